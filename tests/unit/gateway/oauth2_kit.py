"""Copies of a gateway over one store, and clients that speak OAuth2 to them as FAPI 2.0 wants."""

import asyncio
import base64
import hashlib
import html
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry
from litestar import Litestar
from unit.gateway.gateway_kit import (
    ISSUER,
    MemoryEngine,
    StillClock,
    assertion,
    oauth_client,
    tenant_config,
    transfer,
)

from payhub_gateway.app import Parts, create_app
from payhub_gateway.draining import Draining
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.assembly import OAuth2Options
from payhub_gateway.oauth2.identity import LOGIN_TYPE, challenge_of
from payhub_gateway.oauth2.model import ASSERTION_TYPE
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.oauth2.store import Kind, MemoryStore, StoreUnavailableError
from payhub_gateway.rates.service import RateLimits
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.telemetry.tracing import Tracing

CALLBACK = "https://tpp.example/cb"
VERIFIER = "v" * 43
MEMBER = "member-7"


class Store(MemoryStore):
    """A store that can be out of reach."""

    down = False

    async def get(self, kind: Kind, key: str) -> Any:
        self._require_up()
        return await super().get(kind, key)

    async def create(self, kind: Kind, key: str, value: bytes) -> bool:
        self._require_up()
        return await super().create(kind, key, value)

    async def update(self, kind: Kind, key: str, value: bytes, revision: int) -> bool:
        self._require_up()
        return await super().update(kind, key, value, revision)

    async def delete(self, kind: Kind, key: str) -> None:
        self._require_up()
        await super().delete(kind, key)

    def _require_up(self) -> None:
        if self.down:
            raise StoreUnavailableError


def ath(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def challenge(verifier: str = VERIFIER) -> str:
    return ath(verifier)


def signed(header: dict[str, Any], claims: dict[str, Any], key: Key) -> str:
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header, present, key, registry=JWSRegistry(algorithms=[header["alg"]]))


class House:
    """Copies of the gateway, time, and everybody's keys."""

    def __init__(self, folder: Path, copies: int, options: OAuth2Options) -> None:
        self.clock = StillClock()
        self.store = Store(self.clock)
        self.keys: dict[str, Key] = {
            name: ECKey.generate_key("P-256")
            for name in ("buffalo-admin", "buffalo-app", "lion-admin", "lion-app")
        }
        self.directories: list[TenantDirectory] = []
        self.parts = [self._parts(folder / f"copy-{number}", options) for number in range(copies)]
        self.apps = [create_app(parts) for parts in self.parts]
        self.copies: list[httpx.AsyncClient] = []

    def _parts(self, folder: Path, options: OAuth2Options) -> Parts:
        folder.mkdir(parents=True)
        directory = TenantDirectory(folder / "tenants.cache")
        for tenant in ("buffalo", "lion"):
            admin = "clients:register tokens:introspect payments:write payments:read"
            directory.put(
                tenant_config(
                    tenant,
                    [
                        oauth_client(f"{tenant}-admin", self.keys[f"{tenant}-admin"], admin),
                        oauth_client(
                            f"{tenant}-app", self.keys[f"{tenant}-app"], "members:identify payments:read"
                        ),
                    ],
                )
            )
        self.directories.append(directory)
        return Parts(
            issuer=ISSUER,
            signing_keys=SigningKeys(folder / "keys.json", self.clock),
            oauth_store=self.store,
            oauth_cache=folder / "oauth2.cache",
            oauth_options=options,
            directory=directory,
            engines=MemoryEngine(),
            tracing=Tracing("gateway"),
            clock=self.clock,
            in_flight=InFlight(),
            rates=RateLimits(self.clock, self.clock.monotonic_ns),
            limits=ApiLimits(rate_per_s=1000, burst=2000, quota_per_day=1_000_000),
            draining=Draining(),
        )

    @asynccontextmanager
    async def open_again(self, copy: int) -> AsyncIterator[None]:
        """Run a new process of a copy, with what the old one left on disk."""
        old = self.parts[copy]
        keys = SigningKeys(old.oauth_cache.with_name("keys.json"), self.clock)
        async with running(create_app(msgspec.structs.replace(old, signing_keys=keys))) as client:
            self.copies[copy] = client
            yield

    @property
    def now_s(self) -> int:
        return self.clock.now_ms // 1000

    def suspend(self, tenant: str) -> None:
        for directory in self.directories:
            known = directory.get(tenant)
            assert known is not None
            directory.put(msgspec.structs.replace(known, version=known.version + 1, status="suspended"))

    def client(self, name: str, copy: int = 0) -> "Client":
        """Return a configured client that talks to one copy."""
        return Client(self, name, self.keys[name], self.copies[copy])

    async def tpp(self, tenant: str = "buffalo", **metadata: Any) -> "Client":
        """Register a client for the code flow."""
        key = metadata.pop("key", None) or ECKey.generate_key("P-256")
        answer = await self.register(key, tenant, **metadata)
        assert answer.status_code == 201, answer.text
        client = Client(self, answer.json()["client_id"], key, self.copies[0])
        client.registration = answer.json()
        return client

    async def register(self, key: Key, tenant: str = "buffalo", **metadata: Any) -> Any:
        admin = self.client(f"{tenant}-admin")
        token = (await admin.token(scope="clients:register")).json()["access_token"]
        sent = {
            "client_name": "Budget & Co",
            "redirect_uris": [CALLBACK],
            "jwks": {"keys": [key.as_dict(private=False)]},
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            **metadata,
        }
        return await admin.call("POST", "/oauth2/register", token, json=sent)


class Client:
    """An OAuth2 client with a signing key and a DPoP key."""

    def __init__(self, house: House, client_id: str, key: Key, http: httpx.AsyncClient) -> None:
        self.house = house
        self.client_id = client_id
        self.key = key
        self.http = http
        self.dpop_key: Key = ECKey.generate_key("P-256")
        self.registration: dict[str, Any] = {}

    def at(self, copy: int) -> "Client":
        """Return the same client, talking to another copy."""
        other = Client(self.house, self.client_id, self.key, self.house.copies[copy])
        other.dpop_key, other.registration = self.dpop_key, self.registration
        return other

    def assertion(self, alg: str = "ES256", **claims: Any) -> str:
        now_s = self.house.now_s
        return assertion(self.key, self.client_id, alg, **{"iat": now_s, "exp": now_s + 60, **claims})

    def proof(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Make a DPoP proof; a claim given as None is left out."""
        key = key or self.dpop_key
        said = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": ISSUER + path,
            "iat": self.house.now_s,
            "ath": None if token is None else ath(token),
            **claims,
        }
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False), **(header or {})}
        return signed(head, said, key)

    async def post(
        self, path: str, form: dict[str, str], *, headers: dict[str, str] | None = None, dpop: bool = True
    ) -> Any:
        """Send a form with a client assertion; a field given as empty text is left out."""
        sent = {"client_assertion_type": ASSERTION_TYPE, **form}
        if "client_assertion" not in form:
            sent["client_assertion"] = self.assertion()
        sent = {name: value for name, value in sent.items() if value != ""}
        head = {"DPoP": self.proof("POST", path)} if dpop else {}
        return await self.http.post(path, data=sent, headers={**head, **(headers or {})})

    async def token(self, *, dpop: bool = True, headers: dict[str, str] | None = None, **form: str) -> Any:
        return await self.post(
            "/oauth2/token", {"grant_type": "client_credentials", **form}, headers=headers, dpop=dpop
        )

    async def call(
        self, method: str, path: str, token: str, headers: dict[str, str] | None = None, **sent: Any
    ) -> Any:
        """Call an API with a token and a proof."""
        head = {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, path, token), **(headers or {})}
        return await self.http.request(method, path, headers=head, **sent)

    async def pay(self, token: str, **headers: str) -> Any:
        head = {
            "X-CorrelationID": "key-1",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.call("POST", "/channel/transfer", token, head, json=transfer())

    async def push(self, *, dpop: bool = True, **form: str) -> Any:
        asked = {
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "payments:read",
            "state": "s1",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            **form,
        }
        return await self.post("/oauth2/par", asked, dpop=dpop)

    async def request_uri(self, **form: str) -> str:
        answer = await self.push(**form)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uri"])

    async def open_page(self, request_uri: str) -> Any:
        query = {"client_id": self.client_id, "request_uri": request_uri}
        return await self.http.get("/oauth2/authorize", params=query, follow_redirects=False)

    def login(self, request_uri: str, app: str = "buffalo-app", **claims: Any) -> str:
        now_s = self.house.now_s
        said = {
            "iss": app,
            "sub": MEMBER,
            "aud": ISSUER,
            "iat": now_s,
            "exp": now_s + 60,
            "challenge": challenge_of(request_uri),
            **claims,
        }
        return signed({"alg": "ES256", "typ": LOGIN_TYPE}, said, self.house.keys[app])

    async def decide(self, request_uri: str, decision: str = "approve", page: str = "", **form: str) -> Any:
        """Fill the page in as a browser would."""
        text = page or (await self.open_page(request_uri)).text
        hidden = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)
        }
        sent = {"login_statement": self.login(request_uri), **hidden, "decision": decision, **form}
        return await self.http.post("/oauth2/authorize", data=sent, follow_redirects=False)

    async def code(self, **form: str) -> str:
        answer = await self.decide(await self.request_uri(**form))
        assert answer.status_code == 303, answer.text
        return query_of(answer)["code"]

    async def exchange(
        self, code: str, *, dpop: bool = True, headers: dict[str, str] | None = None, **form: str
    ) -> Any:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **form,
        }
        return await self.post("/oauth2/token", asked, headers=headers, dpop=dpop)

    async def refresh(self, refresh_token: str, *, dpop: bool = True, **form: str) -> Any:
        asked = {"grant_type": "refresh_token", "refresh_token": refresh_token, **form}
        return await self.post("/oauth2/token", asked, dpop=dpop)


def query_of(answer: Any) -> dict[str, str]:
    """Return the parameters that a redirect carries."""
    query = parse_qs(urlsplit(answer.headers["location"]).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


def assert_refused(answer: Any, error: str, status: int = 400) -> None:
    """Assert an error of RFC 6749 section 5.2."""
    assert (answer.status_code, answer.json().get("error")) == (status, error), answer.text
    assert "location" not in answer.headers
    description = answer.json().get("error_description", "")
    assert all(" " <= c <= "~" and c not in '"\\' for c in description)


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app in this event loop, where copies share the store in memory."""
    ready, over = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        # In a task of its own: a fixture's parts run in several, and a lifespan must end where it began.
        async with app.lifespan():
            ready.set()
            await over.wait()

    task = asyncio.create_task(live())
    await ready.wait()
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
            yield client
    finally:
        over.set()
        await task


@asynccontextmanager
async def house_of(folder: Path, copies: int = 1, **options: Any) -> AsyncIterator[House]:
    """Run copies of the gateway in this process."""
    house = House(folder, copies, OAuth2Options(**options))
    async with AsyncExitStack() as stack:
        for app in house.apps:
            house.copies.append(await stack.enter_async_context(running(app)))
        yield house
    for parts in house.parts:
        parts.tracing.shutdown()
