"""Refusals that somebody should look at: one structured line in the log, and a counter."""

import logging
import re
from typing import Final

import msgspec
from opentelemetry import metrics

_logger = logging.getLogger("payhub.audit")
_refusals = metrics.get_meter("payhub.gateway").create_counter(
    "payhub.gateway.refusals", description="Requests that named a tenant other than their credential's"
)
# What a stranger sends is written down only where it cannot be anything but a name.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def tenant_mismatch(tenant_id: str, client_id: str, where: str, named: str) -> None:
    """Note that a client of a tenant named another one.

    Args:
        tenant_id: the tenant of the credential.
        client_id: the client of the credential.
        where: the header, path or field that named the other.
        named: what it named.
    """
    line = {
        "event": "tenant-mismatch",
        "tenant": tenant_id,
        "client": client_id,
        "where": where,
        "named": named if _NAME.fullmatch(named) else "(unreadable)",
    }
    _logger.warning("%s", msgspec.json.encode(line).decode())
    _refusals.add(1, {"code": "tenant-mismatch", "tenant": tenant_id})
