"""Which tenant a request names beside its credential, and what is done about it when that is another."""

import logging
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection
from opentelemetry import metrics

from payhub_platform.contracts.engine import HEADER_TENANT

HEADERS_NAMING_A_TENANT: Final = ("Platform-TenantId", "Fineract-Platform-TenantId", HEADER_TENANT)
PATH_TENANT: Final = "tenant_id"
"""The path parameter that names a tenant, wherever a path has one."""

_logger = logging.getLogger("payhub.audit")
_refusals = metrics.get_meter("payhub.gateway").create_counter(
    "payhub.gateway.refusals", description="Requests that named a tenant other than their credential's"
)
# What a stranger sends is written down only where it cannot be anything but a name.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def named_tenants(request: ASGIConnection[Any, Any, Any, Any]) -> list[tuple[str, str]]:
    """Return where a request names a tenant, and which: hints that may agree with its credential.

    Payment Hub EE's channels send a header; paths may name a tenant too.
    """
    named = [
        (f"header:{header}", value)
        for header in HEADERS_NAMING_A_TENANT
        for value in request.headers.getall(header, [])
    ]
    in_path = request.path_params.get(PATH_TENANT)
    return named if in_path is None else [*named, (f"path:{PATH_TENANT}", str(in_path))]


def mismatch(named: Iterable[tuple[str, str]], tenant_id: str, client_id: str) -> str | None:
    """Return where another tenant than the credential's is named; it is audited: the caller refuses.

    Args:
        named: what ``named_tenants`` found.
        tenant_id: the tenant of the credential.
        client_id: the client of the credential.
    """
    for where, value in named:
        if value != tenant_id:
            _audit(tenant_id, client_id, where, value)
            return where
    return None


def _audit(tenant_id: str, client_id: str, where: str, named: str) -> None:
    """Write one structured line, and count."""
    line = {
        "event": "tenant-mismatch",
        "tenant": tenant_id,
        "client": client_id,
        "where": where,
        "named": named if _NAME.fullmatch(named) else "(unreadable)",
    }
    _logger.warning("%s", msgspec.json.encode(line).decode())
    _refusals.add(1, {"code": "tenant-mismatch", "tenant": tenant_id})
