"""The gateway as one Litestar application."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from joserfc.jwk import ECKey
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
from payhub_gateway.channel.service import TransferService
from payhub_gateway.draining import Draining
from payhub_gateway.engine_client import EngineClient
from payhub_gateway.limits import BODY_BYTES_MAX, InFlight
from payhub_gateway.oauth2.api import authorization_server_metadata, token, token_keys
from payhub_gateway.oauth2.replay import ReplayStore
from payhub_gateway.oauth2.service import TokenServer
from payhub_gateway.oauth2.tokens import AccessTokens
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
    signing_key: ECKey
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
    access_tokens = AccessTokens(parts.issuer, parts.signing_key, parts.clock)
    token_server = TokenServer(parts.issuer, parts.directory, access_tokens, ReplayStore(), parts.clock)
    return Litestar(
        route_handlers=[
            token,
            token_keys,
            authorization_server_metadata,
            start_transfer,
            transfer_status,
            start_transfer_v1,
            transaction_state,
            usage,
            openapi_document,
            live,
            ready,
        ],
        dependencies={
            "access_tokens": _value(access_tokens),
            "token_server": _value(token_server),
            "access": _value(Access(access_tokens, parts.directory, parts.rates, parts.limits)),
            "rates": _value(parts.rates),
            "in_flight": _value(parts.in_flight),
            "clock": _value(parts.clock),
            "draining": _value(parts.draining),
            "transfers": _value(TransferService(parts.engines, parts.in_flight, parts.clock)),
        },
        exception_handlers=exception_handlers(),
        middleware=[RequestLog(), RequestSpan(parts.tracing), HeadCheck()],
        before_send=[add_security_headers, add_rate_limit_headers, parts.draining.add_headers],
        lifespan=lifespan or [],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )


def _value(value: Any) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)
