"""A gateway in this process: real parts, an engine kept in memory, time that stands still."""

import asyncio
import uuid
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from litestar import Litestar
from litestar.testing import AsyncTestClient

from payhub_gateway.app import Parts, create_app
from payhub_gateway.engine_client import EngineRefusalError, EngineUnavailableError
from payhub_gateway.oauth2.model import ASSERTION_TYPE
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import ChannelMoney, PaymentState, TransferAccepted, TransferStatus
from payhub_platform.contracts.engine import PATH_PAYMENTS, StartPayment
from payhub_platform.contracts.tenant import (
    AmsConnection,
    OAuthClient,
    SchemeConnection,
    SigningKey,
    TenantConfig,
)
from payhub_platform.errors import NotFoundError, Problem

ISSUER = "https://pay.example"
NOW_S = 1_790_000_000


class StillClock:
    """Time that passes only when told to."""

    def __init__(self, now_ms: int = NOW_S * 1000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


class MemoryEngine:
    """An engine that keeps payments in memory and treats keys as a real one does."""

    def __init__(self) -> None:
        self.calls: list[tuple[TenantConfig, StartPayment, str]] = []
        self.payments: dict[tuple[str, str], StartPayment] = {}
        self.down = False
        self.state: PaymentState = "PENDING"
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def start(
        self, tenant: TenantConfig, payment: Any, traceparent: str, _path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        self._require_up()
        self.calls.append((tenant, payment, traceparent))
        await self.may_answer.wait()
        known = self.payments.setdefault((tenant.tenant_id, payment.payment_id), payment)
        if known.fingerprint != payment.fingerprint:
            problem = Problem(
                type="urn:payhub:problem:key-reused",
                title="The request cannot be carried out as it stands",
                status=422,
                code="key-reused",
                detail="The key was used for another payment.",
                instance="/engine/v1/payments",
            )
            raise EngineRefusalError(problem, None)
        return TransferAccepted(transaction_id=payment.payment_id)

    async def status(self, tenant: TenantConfig, payment_id: str, traceparent: str) -> TransferStatus:
        assert traceparent
        self._require_up()
        known = self.payments.get((tenant.tenant_id, payment_id))
        if known is None:
            raise NotFoundError("unknown-payment", "There is no such transfer.")
        return TransferStatus(
            transaction_id=payment_id,
            state=self.state,
            amount=ChannelMoney(amount=known.amount.decimal_text(), currency=known.amount.currency),
            payer=known.payer,
            payee=known.payee,
            started_at=iso(NOW_S * 1000),
        )

    def _require_up(self) -> None:
        if self.down:
            raise EngineUnavailableError


def tenant_config(tenant_id: str, clients: list[OAuthClient], **changes: Any) -> TenantConfig:
    config = TenantConfig(
        tenant_id=tenant_id,
        fsp_id=tenant_id,
        name=tenant_id.title(),
        currency="KES",
        status="active",
        version=1,
        epoch=7,
        placement=["north", "south"],
        scheme=SchemeConnection(
            base_url="https://switch.example", switch_fsp_id="switch", switch_public_key_pem="-"
        ),
        ams=AmsConnection(
            base_url="https://ams.example", platform_tenant=tenant_id, username="u", password_sealed="-"
        ),
        signing_key=SigningKey(key_id="k", public_key_pem="-", private_key_sealed="-"),
        clients=clients,
    )
    return msgspec.structs.replace(config, **changes)


def oauth_client(client_id: str, key: Key, scopes: str = "payments:write payments:read") -> OAuthClient:
    jwks = {"keys": [key.as_dict(private=False)]}
    return OAuthClient(client_id=client_id, name=client_id, jwks=jwks, scopes=scopes.split())


def assertion(key: Key, client_id: str, alg: str = "ES256", **claims: Any) -> str:
    """Sign a client assertion; a claim given as None is left out."""
    said = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "iat": NOW_S,
        "exp": NOW_S + 60,
        "jti": str(uuid.uuid4()),
        **claims,
    }
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode({"alg": alg}, said, key, registry=JWSRegistry(algorithms=[alg]))


class Gateway:
    """What a test holds: the parts, and a client of the API."""

    def __init__(self, parts: Parts, clock: StillClock, engine: MemoryEngine, keys: dict[str, Key]) -> None:
        self.clock = clock
        self.engine = engine
        self.keys = keys
        self.parts = parts
        self.app = create_app(parts)
        self.client: AsyncTestClient[Litestar]

    def put_tenant(self, tenant_id: str, **changes: Any) -> None:
        known = self.parts.directory.get(tenant_id)
        assert known is not None
        self.parts.directory.put(msgspec.structs.replace(known, version=known.version + 1, **changes))

    async def ask_token(self, client_assertion: str, **form: str) -> Any:
        fields = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": client_assertion,
            **form,
        }
        return await self.client.post("/oauth2/token", data=fields)

    async def token(self, client_id: str = "buffalo-ussd", scope: str = "") -> str:
        signed = assertion(self.keys[client_id], client_id, iat=self.now_s, exp=self.now_s + 60)
        answer = await self.ask_token(signed, **({"scope": scope} if scope else {}))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    @property
    def now_s(self) -> int:
        return self.clock.now_ms // 1000

    async def send(self, body: Any, token: str | None = None, **headers: str | None) -> Any:
        """Send a transfer; a header given as None is left out."""
        sent: dict[str, str | None] = {
            "Authorization": f"Bearer {token or await self.token()}",
            "X-CorrelationID": "key-1",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        content = body if isinstance(body, bytes | str) else msgspec.json.encode(body)
        present = {name: value for name, value in sent.items() if value is not None}
        return await self.client.post("/channel/transfer", content=content, headers=present)

    async def status(self, payment_id: str, token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token or await self.token()}"}
        return await self.client.get(f"/channel/transfer/{payment_id}", headers=headers)


def transfer(**changes: Any) -> dict[str, Any]:
    """The body of a good transfer from a member of Buffalo."""
    return {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000001"}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002"}},
        "amount": {"amount": "10.50", "currency": "KES"},
        **changes,
    }


def party(identifier: str, kind: str = "MSISDN", **more: str) -> dict[str, Any]:
    return {"partyIdInfo": {"partyIdType": kind, "partyIdentifier": identifier, **more}}


def assert_problem(answer: Any, status: int, code: str, where: str = "") -> None:
    """Assert that an answer is a problem with this status, code and place."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status), problem
    assert problem["type"] == f"urn:payhub:problem:{code}"
    assert [error["pointer"] for error in problem.get("errors", [])] == ([where] if where else [])
