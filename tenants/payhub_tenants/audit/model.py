"""An entry of a tenant's audit, and the chain that binds entries. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from payhub_tenants.fields import View

FIRST: Final = ""  # what the first entry is bound to


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One act; ``detail`` holds no secret and no member's data."""

    tenant_id: str
    number: int  # from 1, without gaps
    at_ms: int
    actor: str  # an operator's id, "aggregator" for the installation's own token, "payhub" for jobs
    action: str
    detail: dict[str, Any]
    digest: str = ""


class AuditView(View, frozen=True, kw_only=True):
    """An entry as it is shown."""

    number: int
    at_ms: int
    actor: str
    action: str
    detail: dict[str, Any]
    digest: str


class AuditPage(View, frozen=True, kw_only=True):
    """Some entries in order; ``next`` is the ``after`` of the following page."""

    entries: list[AuditView]
    next: int | None = None


def digest_of(before: str, entry: AuditEntry) -> str:
    """Bind an entry to the digest of the one before: SHA-256 over JSON with sorted keys (format 1)."""
    content = (1, before, entry.tenant_id, entry.number, entry.at_ms, entry.actor, entry.action, entry.detail)
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def first_broken(entries: Iterable[AuditEntry]) -> int | None:
    """Return the number of the first entry that does not follow from the one before; None where all do."""
    before, expected = FIRST, 1
    for entry in entries:
        if entry.number != expected or entry.digest != digest_of(before, entry):
            return expected
        before, expected = entry.digest, expected + 1
    return None


def audit_view(entry: AuditEntry) -> AuditView:
    """Return an entry as it is shown."""
    return AuditView(
        number=entry.number,
        at_ms=entry.at_ms,
        actor=entry.actor,
        action=entry.action,
        detail=entry.detail,
        digest=entry.digest,
    )
