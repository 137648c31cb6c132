"""Administration is answered to this machine only."""

from ipaddress import ip_address
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from payhub_platform.errors import ForbiddenError


def require_loopback(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Refuse who does not call from the loopback interface.

    Raises:
        ForbiddenError: code ``loopback-only``.
    """
    host = connection.client.host if connection.client else ""
    if not is_loopback(host):
        raise ForbiddenError("loopback-only", "The sandbox is administered from its own machine.")


def is_loopback(host: str) -> bool:
    """Tell whether an address is of the loopback interface."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
