"""Requests of an aggregator, and the control plane wired to a store in memory."""

import base64
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar
from support.tenants_memory import (
    MemoryAms,
    MemoryBus,
    MemoryEngines,
    MemoryHouse,
    MemoryKeyProvider,
    MemoryResolver,
    MemoryScheme,
    MemoryStore,
    MemoryTestDfsp,
)

from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.app import Services, create_app
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.placement.model import CAPACITY_PER_S
from payhub_tenants.publisher import Publisher
from payhub_tenants.store import Store
from payhub_tenants.vault import Vault
from payhub_tenants.wiring import Outside, services_of

TOKEN = "aggregator-token-of-a-test"
NOW_MS = 1_780_000_000_000
ENGINES = frozenset({"north", "south"})
SWITCH_PEM = jws.public_pem(jws.new_private_key_pem())
PASSWORD = "core bank password"
PEER_PEM = jws.public_pem(jws.new_private_key_pem("RS256"))
SCHEME = {
    "baseUrl": "https://hub.example/fspiop/",
    "switchFspId": "Hub",
    "switchPublicKeyPem": PEER_PEM,
    "versions": ["2.0"],
    "iso20022": True,
    "signsParties": False,
    "peerKeys": [{"fspId": "eland", "publicKeyPem": PEER_PEM, "validUntilMs": NOW_MS + 1_000}],
    "tls": {"caPem": PEER_PEM, "certificatePem": PEER_PEM, "privateKeyPem": "a private key"},
    "oauth": {"tokenUrl": "https://idp.example/token", "clientId": "b", "clientSecret": "a secret"},
}


def create_request(tenant: str = "buffalo", **changes: Any) -> dict[str, Any]:
    return {
        "tenantId": tenant,
        "fspId": tenant,
        "name": f"{tenant.title()} SACCO",
        "currency": "KES",
        "scheme": {
            "baseUrl": "http://127.0.0.1:4000/switch",
            "switchFspId": "switch",
            "switchPublicKeyPem": SWITCH_PEM,
        },
        "ams": {
            "baseUrl": f"http://127.0.0.1:4000/banks/{tenant}/fineract-provider/api/v1",
            "platformTenant": "default",
            "username": "payhub",
            "password": PASSWORD,
        },
        "placement": ["north", "south"],
        **changes,
    }


def b64(number: int, size: int = 32) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size)).rstrip(b"=").decode()


def ec_jwk(**changes: Any) -> dict[str, Any]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64(point.x), "y": b64(point.y), "kid": "k1", **changes}


def client_request(client: str = "buffalo-ussd", *keys: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "clientId": client,
        "name": "USSD",
        "jwks": {"keys": list(keys) or [ec_jwk()]},
        "scopes": ["payments:write", "payments:read"],
        **changes,
    }


def identifier(value: str = "254700200001", account: str = "B-1", **changes: Any) -> dict[str, Any]:
    return {"type": "MSISDN", "value": value, "accountId": account, **changes}


@dataclass
class Plane:
    """The control plane with everything outside of it in memory."""

    secrets_key: str = field(default_factory=SecretBox.new_key)
    store: MemoryStore = field(default_factory=MemoryStore)
    bus: MemoryBus = field(default_factory=MemoryBus)
    ams: MemoryAms = field(default_factory=MemoryAms)
    scheme: MemoryScheme = field(default_factory=MemoryScheme)
    keys: MemoryKeyProvider = field(default_factory=MemoryKeyProvider)
    resolver: MemoryResolver = field(default_factory=MemoryResolver)
    engines: MemoryEngines = field(default_factory=MemoryEngines)
    house: MemoryHouse = field(default_factory=MemoryHouse)
    now_ms: int = NOW_MS
    wait_s: float = 5.0
    private_endpoints: bool = False

    def __post_init__(self) -> None:
        self.secrets = SecretBox(self.secrets_key)
        self.vault = Vault(self.keys, self.secrets)
        self.publisher = Publisher(self.store, self.bus, self.vault)
        self.house.switch_pem = SWITCH_PEM.replace("\n", "\r\n")  # the same key, written otherwise

    def clock(self) -> int:
        return self.now_ms

    def app(self) -> Litestar:
        return create_app(self.services(), TOKEN)

    def services(self, store: Store | None = None) -> Services:
        """The services over the store in memory, or over another one."""
        outside = Outside(
            ams=self.ams,
            scheme=self.scheme,
            resolver=self.resolver,
            engines=self.engines,
            capacities=dict.fromkeys(ENGINES, CAPACITY_PER_S),
            paying=self.house,
            sandbox=MemoryTestDfsp(self.house),
            poll_s=0,
            wait_s=self.wait_s,
            private_endpoints=self.private_endpoints,
        )
        fingerprints = Fingerprints(self.secrets_key)
        return services_of(
            store or self.store, self.vault, fingerprints, outside, self.clock, self.publisher.wake
        )
