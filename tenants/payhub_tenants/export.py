"""Everything that a tenant owns here, as one JSON document; secrets are not in it: they are credentials."""

import base64
import hashlib
from typing import Any, Final

import msgspec

from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.model import PartyIdentifier
from payhub_tenants.store import Transaction
from payhub_tenants.tenants.model import Tenant

FORMAT: Final = 1
PAGE: Final = 500
_SEALED: Final = "_sealed"  # how the names of sealed secrets end, wherever they stand


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """An export: its bytes, their SHA-256, and how many records of each kind are in it."""

    content: bytes
    digest: str
    records: dict[str, int]

    @property
    def digest_base64(self) -> str:
        """The digest as RFC 9530 writes it."""
        return base64.b64encode(bytes.fromhex(self.digest)).decode()


async def export_of(transaction: Transaction, tenant: Tenant, book: IdentifierBook) -> Export:
    """Read everything of one tenant in one transaction, so that it fits together."""
    tenant_id = tenant.tenant_id
    parts: dict[str, list[Any]] = {
        "clients": list(await transaction.clients.of_tenant(tenant_id)),
        "keys": list(await transaction.keys.all(tenant_id)),
        "certificates": list(await transaction.keys.certificates(tenant_id)),
        "approvals": list(await transaction.approvals.all(tenant_id)),
        "evidence": list(await transaction.lifecycle.evidence(tenant_id)),
        "partyIdentifiers": await _identifiers(transaction, tenant_id, book),
        "audit": await _audit(transaction, tenant_id),
    }
    documents = await transaction.documents.all(tenant_id)
    content = msgspec.json.encode(
        {
            "format": FORMAT,
            "tenant": _shown(tenant),
            "documents": {kind: _shown(body) for kind, body in sorted(documents.items())},
            **{name: [_shown(each) for each in rows] for name, rows in parts.items()},
        },
        order="sorted",
    )
    records = {name: len(rows) for name, rows in parts.items()} | {"documents": len(documents)}
    return Export(content=content, digest=hashlib.sha256(content).hexdigest(), records=records)


async def _identifiers(transaction: Transaction, tenant_id: str, book: IdentifierBook) -> list[Any]:
    kept = await book.readable(transaction, tenant_id)
    found: list[PartyIdentifier] = []
    while kept is not None and (page := await kept.page(found[-1] if found else None, PAGE)):
        found += page
    return sorted(found, key=lambda each: each.key)


async def _audit(transaction: Transaction, tenant_id: str) -> list[Any]:
    found: list[Any] = []
    while page := await transaction.audit.page(tenant_id, len(found), PAGE):
        found += page
    return found


def _shown(row: Any) -> Any:
    return _without_secrets(msgspec.to_builtins(row))


def _without_secrets(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_secrets(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _without_secrets(value)
        for name, value in part.items()
        if not name.endswith(_SEALED) and name != "request_fingerprint"
    }
