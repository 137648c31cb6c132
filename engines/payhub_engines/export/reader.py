"""Reads entries by position out of the committed log, without reading what is in them."""

from bisect import bisect_right
from typing import Final

from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.export.entry_head import EntryHead, read_head
from payhub_engines.export.schema import SCHEMA
from payhub_platform.bus.streams import AUDIT_BATCH_BYTES, AUDIT_ENTRY_BYTES_MAX
from payhub_platform.contracts.audit import AuditBatch

MARKS_MAX: Final = 4096


class LogReader:
    """Finds entries by the positions of their events.

    It remembers where positions lie: who follows the log goes on at the last mark, and who asks for
    something older searches between two marks only. Entries are committed, so that marks stay true.
    """

    def __init__(self, engine_id: str, log: ReplicatedLog) -> None:
        self._engine_id = engine_id
        self._log = log
        self._positions: list[int] = []  # in order
        self._indices: list[int] = []  # all entries below this index end before the position

    @property
    def first_index(self) -> int:
        """The lowest index that the log holds."""
        return self._log.first_index

    @property
    def next_index(self) -> int:
        """The index behind the last entry."""
        return self._log.commit_index + 1

    def read(self, from_position: int) -> AuditBatch | None:
        """Return the entries from the one with a position on, bounded in size; None where there are none yet.

        The batch starts later than asked where the log no longer holds the position.
        """
        found = self._log.entries(self.index_of(from_position), AUDIT_BATCH_BYTES)
        if not found:
            return None
        first, last = read_head(found[0][1]), read_head(found[-1][1])
        self._mark(last.next_position, found[-1][0] + 1)
        is_carried = len(found[0][1]) <= AUDIT_ENTRY_BYTES_MAX
        return AuditBatch(
            engine=self._engine_id,
            first_position=first.first_position,
            count=last.next_position - first.first_position,
            entries=[data for _, data in found] if is_carried else [],
            schema=SCHEMA,
        )

    def read_again(self, from_position: int, count: int, offset: int) -> AuditBatch:
        """Return entries that were missed: as ``read``, but no more events than ``count`` needs.

        An entry too large for a message is given in parts: the one that begins at byte ``offset``. A batch
        of no event tells that there is nothing at the position yet.
        """
        batch = self.read(from_position)
        if batch is None:
            return AuditBatch(engine=self._engine_id, first_position=from_position, count=0)
        if batch.entries:
            return self._cut(batch, from_position + count)
        [(_, data)] = self._log.entries(self.index_of(from_position), 1)
        return AuditBatch(
            engine=batch.engine,
            first_position=batch.first_position,
            count=batch.count,
            entries=[data[offset : offset + AUDIT_BATCH_BYTES]],
            schema=SCHEMA,
            entry_bytes=len(data),
        )

    def holds(self, position: int) -> bool:
        """Tell whether the log (still) has the event at a position."""
        found = self._entry_at(self.index_of(position))
        return found is not None and found[1].first_position <= position < found[1].next_position

    def index_of(self, position: int) -> int:
        """Return the index of the entry with a position; what is below it ends before the position.

        A position that the log no longer holds is at its first index, one that it does not hold yet behind
        its last entry.
        """
        place = bisect_right(self._positions, position) - 1
        low = self.first_index
        if place >= 0:
            low = max(low, self._indices[place])
            if self._positions[place] == position:
                return low
        is_last = place + 1 == len(self._positions)
        high = self.next_index if is_last else self._indices[place + 1]
        while low < high:
            middle = (low + high) // 2
            found = self._entry_at(middle)
            if found is None or found[1].next_position > position:
                high = middle
            else:
                low = found[0] + 1
        return low

    def _entry_at(self, index: int) -> tuple[int, EntryHead] | None:
        """Return the first entry at or behind an index."""
        found = self._log.entries(index, 1)
        return (found[0][0], read_head(found[0][1])) if found else None

    def _cut(self, batch: AuditBatch, end: int) -> AuditBatch:
        kept: list[bytes] = []
        next_position = batch.first_position
        for data in batch.entries:
            if kept and next_position >= end:
                break
            kept.append(data)
            next_position = read_head(data).next_position
        return AuditBatch(
            engine=batch.engine,
            first_position=batch.first_position,
            count=next_position - batch.first_position,
            entries=kept,
            schema=batch.schema,
        )

    def _mark(self, position: int, index: int) -> None:
        place = bisect_right(self._positions, position)
        if place and self._positions[place - 1] == position:
            return
        self._positions.insert(place, position)
        self._indices.insert(place, index)
        if len(self._positions) > MARKS_MAX:
            # Every second goes, but not the last, where the log is followed.
            del self._positions[:-1:2]
            del self._indices[:-1:2]
