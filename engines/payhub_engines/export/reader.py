"""Reads audit records by position out of the committed log."""

from collections.abc import Iterator
from typing import Final

import msgspec

from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.core.audit import audit_records
from payhub_engines.core.events import LogEntry, decode_entry
from payhub_platform.bus.streams import AUDIT_BATCH_BYTES
from payhub_platform.contracts.audit import AuditBatch, AuditRecord

READ_BYTES: Final = AUDIT_BATCH_BYTES
RECORDS_A_BATCH_MAX: Final = 500


class LogReader:
    """Turns log entries into batches of audit records, from any position on."""

    def __init__(self, engine_id: str, log: ReplicatedLog) -> None:
        self._engine_id = engine_id
        self._log = log

    def read(self, from_position: int) -> AuditBatch | None:
        """Return the records from a position on, bounded in size; None where there are none yet.

        The batch starts later than asked where the log no longer holds the position.
        """
        records: list[AuditRecord] = []
        size_bytes = 0
        for record in self._records(from_position):
            size_bytes += len(msgspec.msgpack.encode(record))
            if records and size_bytes > AUDIT_BATCH_BYTES:
                break
            records.append(record)
            if len(records) == RECORDS_A_BATCH_MAX:
                break
        if not records:
            return None
        return AuditBatch(engine=self._engine_id, first_position=records[0].position, records=records)

    def _records(self, from_position: int) -> Iterator[AuditRecord]:
        for _, data in self._log.entries(self._index_of(from_position), READ_BYTES):
            for record in audit_records(decode_entry(data)):
                if record.position >= from_position:
                    yield record

    def _index_of(self, position: int) -> int:
        """Find the index of the entry that holds a position, by bisection: positions grow with it."""
        low, high = self._log.first_index, self._log.commit_index
        while low < high:
            middle = (low + high) // 2
            found = self._entry_at(middle)
            if found is None or _last_position(found[1]) >= position:
                high = middle
            else:
                low = max(middle, found[0]) + 1
        return low

    def _entry_at(self, index: int) -> tuple[int, LogEntry] | None:
        found = self._log.entries(index, 1)
        return (found[0][0], decode_entry(found[0][1])) if found else None


def _last_position(entry: LogEntry) -> int:
    return entry.first_position + len(entry.events) - 1
