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
from payhub_gateway.engine_exchange import EngineRefusalError, EngineUnavailableError
from payhub_gateway.oauth2.model import ASSERTION_TYPE
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import (
    AccountState,
    AccountStatus,
    ChannelMoney,
    PartyStatus,
    PaymentState,
    ReceivedRequests,
    RegistrationStatus,
    TransactionRequestStatus,
    TransferAccepted,
    TransferError,
    TransferStatus,
)
from payhub_platform.contracts.engine import PATH_PAYMENTS, PATH_REFUNDS
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
        self.calls: list[tuple[TenantConfig, Any, str]] = []
        self.payments: dict[tuple[str, str], Any] = {}  # by tenant and path
        self.told: list[tuple[str, str, Any, str]] = []
        self.received: list[tuple[str, ReceivedRequests]] = []
        self.asked: list[str] = []
        self.down = self.is_partly_down = False
        self.state: PaymentState = "PENDING"
        self.password: str | None = None
        self.account: AccountState | None = None
        self.error: TransferError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def start(
        self, tenant: TenantConfig, payment: Any, traceparent: str, path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        self._require_up()
        self.calls.append((tenant, payment, traceparent))
        await self.may_answer.wait()
        known = self.payments.setdefault((tenant.tenant_id, f"{path}/{payment.payment_id}"), payment)
        if known.fingerprint != payment.fingerprint:
            raise refusal("key-reused", "The key was used for another payment.")
        return TransferAccepted(transaction_id=payment.payment_id)

    async def find(self, tenant: TenantConfig, path: str, kind: Any, traceparent: str) -> Any:
        assert traceparent
        self._require_up()
        known = self.payments.get((tenant.tenant_id, path))
        if known is None:
            raise NotFoundError("unknown-payment", "There is nothing with this id.")
        own_id = path.rpartition("/")[2]
        if kind is AccountStatus:
            return AccountStatus(state=self.state, party=known.party, account=self.account, error=self.error)
        if kind is PartyStatus:
            return PartyStatus(state=self.state, party=known.party)
        if kind is RegistrationStatus:
            return RegistrationStatus(state=self.state, party=known.party, withdraw=known.withdraw)
        told = {
            "state": self.state,
            "amount": ChannelMoney(amount=known.amount.decimal_text(), currency=known.amount.currency),
            "payer": known.payer,
            "payee": known.payee,
            "started_at": iso(NOW_S * 1000),
            "error": self.error,
        }
        if kind is TransactionRequestStatus:
            return TransactionRequestStatus(transaction_request_id=own_id, **told)
        return TransferStatus(transaction_id=own_id, one_time_password=self.password, **told)

    async def find_all(
        self, tenant: TenantConfig, path: str, kind: Any, traceparent: str
    ) -> tuple[list[Any], bool]:
        assert (kind, bool(traceparent)) == (ReceivedRequests, True)
        self._require_up()
        self.asked.append(path)
        return [part for owner, part in self.received if owner == tenant.tenant_id], not self.is_partly_down

    async def tell(
        self, tenant: TenantConfig, path: str, body: Any, traceparent: str, act: str = ""
    ) -> TransferAccepted:
        assert traceparent
        self._require_up()
        payment, _, what = path.rpartition("/")
        if (tenant.tenant_id, payment) not in self.payments:
            raise NotFoundError("unknown-payment", "There is nothing with this id.")
        self.told.append((tenant.tenant_id, path, body, act))
        await self.may_answer.wait()
        own_id = body.payment_id if what == PATH_REFUNDS else payment.rpartition("/")[2]
        return TransferAccepted(transaction_id=own_id)

    def _require_up(self) -> None:
        if self.down:
            raise EngineUnavailableError


def refusal(code: str, detail: str) -> EngineRefusalError:
    """What an engine says against a request."""
    problem = Problem(
        type=f"urn:payhub:problem:{code}",
        title="The request cannot be carried out as it stands",
        status=422,
        code=code,
        detail=detail,
        instance="/engine/v1/payments",
    )
    return EngineRefusalError(problem, None)


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

    async def call(
        self, method: str, path: str, body: Any = None, client: str = "buffalo-ussd", **headers: str
    ) -> Any:
        """Send a request with a token of all scopes that the client has."""
        known = self.parts.directory.by_client(client)
        assert known is not None
        token = await self.token(client, " ".join(known[1].scopes))
        sent = {"Authorization": f"Bearer {token}"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        content = None if body is None else msgspec.json.encode(body)
        return await self.client.request(method, path, content=content, headers=sent)

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
