"""The gateway as one Litestar application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.di import NamedDependency, Provide

from payhub_gateway.access_log import HeadCheck, RequestLog
from payhub_gateway.channel.access import Access
from payhub_gateway.channel.api import (
    start_transfer,
    start_transfer_v1,
    transaction_state,
    transfer_status,
)
from payhub_gateway.channel.bulk import BulkPaymentService, bulk_payment_status, start_bulk_payment
from payhub_gateway.channel.service import TransferService
from payhub_gateway.draining import Draining
from payhub_gateway.engine_client import EngineClient
from payhub_gateway.limits import BODY_BYTES_MAX, InFlight
from payhub_gateway.oauth2.api import (
    authorization_server_metadata,
    introspect,
    push_request,
    revoke,
    token,
    token_keys,
)
from payhub_gateway.oauth2.assembly import OAuth2Options, assemble
from payhub_gateway.oauth2.authorization_api import ask_consent, take_decision
from payhub_gateway.oauth2.registration_api import (
    read_client,
    register_client,
    remove_client,
    replace_client,
)
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.oauth2.store import StateStore
from payhub_gateway.observation import UNTRACED, RequestSpan, add_security_headers
from payhub_gateway.openapi import openapi_document
from payhub_gateway.rates.api import usage
from payhub_gateway.rates.headers import add_rate_limit_headers
from payhub_gateway.rates.service import RateLimits
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.http import exception_handlers
from payhub_platform.telemetry.tracing import Tracing

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the application is put together from."""

    issuer: str
    signing_keys: SigningKeys
    oauth_store: StateStore
    oauth_cache: Path
    oauth_options: OAuth2Options
    directory: TenantDirectory
    engines: EngineClient
    tracing: Tracing
    clock: Clock
    in_flight: InFlight
    rates: RateLimits
    limits: ApiLimits
    draining: Draining


@get("/health/live", opt={UNTRACED: True})
async def live() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "live"}


@get("/health/ready", opt={UNTRACED: True})
async def ready(draining: NamedDependency[Draining]) -> Response[dict[str, str]]:
    """Answer once requests are served; the configuration comes from disk when NATS is down."""
    if draining.is_on:
        return Response({"status": "stopping"}, status_code=503)
    return Response({"status": "ready"})


def create_app(parts: Parts, lifespan: list[Lifespan] | None = None) -> Litestar:
    """Put the gateway together."""
    oauth2 = assemble(
        parts.issuer,
        parts.directory,
        parts.signing_keys,
        parts.oauth_store,
        parts.oauth_cache,
        parts.clock,
        parts.oauth_options,
    )
    return Litestar(
        route_handlers=[
            token,
            push_request,
            introspect,
            revoke,
            ask_consent,
            take_decision,
            register_client,
            read_client,
            replace_client,
            remove_client,
            token_keys,
            authorization_server_metadata,
            start_transfer,
            transfer_status,
            start_transfer_v1,
            transaction_state,
            start_bulk_payment,
            bulk_payment_status,
            usage,
            openapi_document,
            live,
            ready,
        ],
        dependencies={
            "access_tokens": _value(oauth2.tokens),
            "token_server": _value(oauth2.server),
            "authorizations": _value(oauth2.authorizations),
            "inspection": _value(oauth2.inspection),
            "registrations": _value(oauth2.registrations),
            "certificates": _value(oauth2.certificates),
            "access": _value(
                Access(oauth2.guard, oauth2.clients, parts.directory, parts.rates, parts.limits)
            ),
            "rates": _value(parts.rates),
            "in_flight": _value(parts.in_flight),
            "clock": _value(parts.clock),
            "draining": _value(parts.draining),
            "transfers": _value(TransferService(parts.engines, parts.in_flight, parts.clock)),
            "bulk_payments": _value(BulkPaymentService(parts.engines, parts.in_flight, parts.clock)),
        },
        exception_handlers=exception_handlers(),
        middleware=[RequestLog(), RequestSpan(parts.tracing), HeadCheck()],
        before_send=[add_security_headers, add_rate_limit_headers, parts.draining.add_headers],
        lifespan=[*(lifespan or []), _following(oauth2.shared)],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )


def _following(shared: SharedState) -> Lifespan:
    @asynccontextmanager
    async def follow(_app: Litestar) -> AsyncIterator[None]:
        shared.follow()
        try:
            yield
        finally:
            await shared.close()

    return follow


def _value(value: Any) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)
