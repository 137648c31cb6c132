"""The gateway's fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, Key
from litestar.testing import AsyncTestClient
from unit.gateway.gateway_kit import (
    ISSUER,
    Gateway,
    MemoryEngine,
    StillClock,
    oauth_client,
    tenant_config,
)

from payhub_gateway.app import Parts
from payhub_gateway.draining import Draining
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.assembly import OAuth2Options
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.oauth2.store import MemoryStore
from payhub_gateway.rates.service import RateLimits
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.telemetry.tracing import Tracing

ALL_SCOPES = "payments:write payments:read accounts:read parties:write"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    keys: dict[str, Key] = {
        "buffalo-ussd": ECKey.generate_key("P-256"),
        "buffalo-reader": ECKey.generate_key("P-256"),
        "lion-app": ECKey.generate_key("P-256"),
    }
    directory = TenantDirectory(tmp_path / "tenants.cache")
    directory.put(
        tenant_config(
            "buffalo",
            [
                oauth_client("buffalo-ussd", keys["buffalo-ussd"], ALL_SCOPES),
                oauth_client("buffalo-reader", keys["buffalo-reader"], "payments:read"),
            ],
        )
    )
    directory.put(tenant_config("lion", [oauth_client("lion-app", keys["lion-app"], ALL_SCOPES)]))
    clock, engine = StillClock(), MemoryEngine()
    parts = Parts(
        issuer=ISSUER,
        signing_keys=SigningKeys(tmp_path / "token-signing-key.json", clock),
        oauth_store=MemoryStore(clock),
        oauth_cache=tmp_path / "oauth2.cache",
        oauth_options=OAuth2Options(bearer_tokens=True),
        directory=directory,
        engines=engine,
        tracing=Tracing("gateway"),
        clock=clock,
        in_flight=InFlight(per_client_max=2, total_max=3),
        rates=RateLimits(clock, clock.monotonic_ns),
        draining=Draining(),
        limits=ApiLimits(rate_per_s=10, burst=20, quota_per_day=1000),
    )
    held = Gateway(parts, clock, engine, keys)
    async with AsyncTestClient(held.app, base_url=ISSUER) as client:
        held.client = client
        yield held
    parts.tracing.shutdown()
