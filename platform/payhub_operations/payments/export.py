"""Everything that operations holds of one tenant, to take away: a line of JSON for each row."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from sqlalchemy import Table, select

from payhub_operations.database import Database
from payhub_operations.schema import events, payments
from payhub_platform.errors import UnavailableError

FORMAT: Final = 1
MEDIA_TYPE: Final = "application/x-ndjson"
ROWS_AT_ONCE: Final = 500
EXPORTS_AT_ONCE_MAX: Final = 1  # each keeps one of the few connections for as long as its reader takes
BUSY_AGAIN_S: Final = 30
_KINDS: Final = (("payment", payments), ("event", events))


class PaymentExports:
    """Streams exports, a bounded number at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._free = asyncio.Semaphore(EXPORTS_AT_ONCE_MAX)

    def begin(self, tenant: str) -> AsyncIterator[bytes]:
        """Return the lines of an export: a head, payments, events in the order of each log, and an end.

        The end counts the lines and has the SHA-256 of all bytes before it: an export without it was cut
        off. Events are read after payments, so that none of a payment's is missing.

        Raises:
            UnavailableError: 503 ``overloaded``; another one is under way.
        """
        if self._free.locked():
            raise UnavailableError(
                "overloaded",
                "Another export is under way; one is made at a time.",
                retry_after_s=BUSY_AGAIN_S,
            )
        return self._lines(tenant)

    async def _lines(self, tenant: str) -> AsyncIterator[bytes]:
        digest, counts = hashlib.sha256(), dict.fromkeys((kind for kind, _ in _KINDS), 0)
        async with self._free:
            head = _line({"kind": "head", "format": FORMAT, "tenant": tenant})
            digest.update(head)
            yield head
            async with self._database.tenant(tenant) as connection:
                for kind, table in _KINDS:
                    rows = await connection.stream(_all(table), execution_options={"yield_per": ROWS_AT_ONCE})
                    async for part in rows.mappings().partitions():
                        lines = b"".join(_line({"kind": kind, **row}) for row in part)
                        digest.update(lines)
                        counts[kind] += len(part)
                        yield lines
            yield _line({"kind": "end", "counts": counts, "sha256": digest.hexdigest()})


def _all(table: Table) -> Any:
    return select(table).order_by(*table.primary_key.columns)


def _line(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"
