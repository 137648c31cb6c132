"""Records that wait for a sync, and the frame that one sync makes durable.

Damage to the last frame costs entries at most:

- A term with its vote is written twice, in two frames, before it counts.
- What takes entries away ends its frame: what takes their place comes in the next one. So entries that were
  replaced do not come back with the loss of those that the state may hold already.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from payhub_engines.consensus import records
from payhub_engines.consensus.records import END_RECORD, FRAME_HEADER_BYTES, Kind, Record

RECORDS_BYTES_MAX: Final = records.FRAME_PAYLOAD_BYTES_MAX - 1024  # leaves room for commit and end
_TAKE_AWAY: Final = (Kind.TRUNCATE, Kind.RESET)
_IS_COPY: Final = 1  # index of a term and vote that are written for the second time


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in parts, so that no entry is copied.

    Attributes:
        parts: its bytes.
        length: their sum.
        entries: of each entry its index, its term, and its record's offset in the frame and length.
        last_index: of the entries on disk after this.
    """

    parts: list[bytes]
    length: int
    entries: list[tuple[int, int, int, int]]
    last_index: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one sync writes: a frame, into a new segment or the active one, and old segments to remove."""

    frame: Frame
    is_new_segment: bool
    segment: int
    begin: int  # where the frame begins in the segment
    commit_index: int
    removable: list[int]


class RecordBuffer:
    """Records in the order in which they are to be written."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Record, bytes]] = deque()  # with what precedes its data on disk

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def push(self, record: Record) -> None:
        """Add a record; its checksum is made here, once."""
        self._waiting.append((record, _head(record)))

    def take(
        self, sequence: int, *, segment_record: bytes, commit_index: int | None, last_index: int
    ) -> Frame:
        """Take as many records as one frame holds.

        Args:
            sequence: the frame's number.
            segment_record: precedes them in a new segment, else empty.
            commit_index: is noted behind them; None where it has not moved.
            last_index: of the entries on disk before this frame.
        """
        parts = [b"", segment_record]
        size = FRAME_HEADER_BYTES + len(segment_record)
        entries: list[tuple[int, int, int, int]] = []
        promise: Record | None = None
        while self._waiting:
            record, head = self._waiting[0]
            length = len(head) + len(record.data)
            if size + length > RECORDS_BYTES_MAX:
                break
            self._waiting.popleft()
            if record.kind is Kind.ENTRY:
                entries.append((record.index, record.term, size, length))
            elif record.kind is Kind.HARD_STATE:
                promise = record
            last_index = records.last_index_after(record, last_index)
            parts += (head, record.data)
            size += length
            if record.kind in _TAKE_AWAY:
                break
        if promise is not None and promise.index != _IS_COPY:
            copy = Record(promise.kind, _IS_COPY, promise.term, promise.data)
            self._waiting.appendleft((copy, _head(copy)))
        if commit_index is not None:
            parts.append(records.encode_record(Record(Kind.COMMIT, commit_index, 0, b"")))
            size += len(parts[-1])
        parts.append(END_RECORD)
        size += len(END_RECORD)
        parts[0] = records.frame_head(sequence, size - FRAME_HEADER_BYTES)
        return Frame(parts, size, entries, last_index)


def _head(record: Record) -> bytes:
    return records.record_head(record.kind, record.index, record.term, record.data)
