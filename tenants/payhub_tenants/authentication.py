"""The aggregator's credential: one bearer token per installation."""

import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from payhub_platform.errors import UnauthenticatedError


def aggregator_guard(token: str) -> Guard:
    """Return a Litestar guard that lets only the bearer of ``token`` in (constant-time compare)."""
    expected = f"Bearer {token}".encode()

    def require(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        sent = connection.headers.get("authorization", "")
        if not hmac.compare_digest(sent.encode(), expected):
            raise UnauthenticatedError("aggregator-credential", "This API is for the aggregator.")

    return require
