"""Reading the journal's files back at start-up: what is whole, what was being written, what is damaged."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from payhub_engines.consensus import records
from payhub_engines.consensus.disk import Disk
from payhub_engines.consensus.errors import (
    JournalDamagedError,
    JournalDoubtfulError,
    JournalVersionError,
)
from payhub_engines.consensus.places import Place, Places
from payhub_engines.consensus.records import FRAME_HEADER_BYTES, Kind, Record, SegmentState

OnDoubt = Callable[[JournalDoubtfulError], None]
"""Asked whether the last frame may be cut off although it may have been acknowledged; raises where not."""

_SEGMENT_NAME: Final = re.compile(r"journal-([0-9]{20})\.log")


def refuse(doubt: JournalDoubtfulError) -> None:
    """Cut nothing off that may have been acknowledged."""
    raise doubt


def segment_name(segment: int) -> str:
    """Return the file name of a segment."""
    return f"journal-{segment:020d}.log"


def segments_on(disk: Disk) -> list[int]:
    """Return the numbers of all segments, ascending."""
    matches = (_SEGMENT_NAME.fullmatch(name) for name in disk.names())
    return sorted(int(matched[1]) for matched in matches if matched)


@dataclass
class Recovered:
    """What the files say, record by record in the order in which they were written."""

    places: Places = field(default_factory=Places)
    term: int = 0
    vote: str = ""
    commit_index: int = 0
    next_sequence: int = 1
    segments: list[int] = field(default_factory=list)
    active_size: int = 0  # bytes in the last segment
    last_frame: int = 0  # offset of the last frame in the last segment
    first_index: int = 1
    is_reset: bool = False
    has_begun: bool = False

    def take(self, record: Record, place: Place) -> str:
        """Apply one record; return what is wrong with it, or nothing."""
        match record.kind:
            case Kind.SEGMENT:
                return self._take_segment(record)
            case Kind.ENTRY:
                return self._take_entry(record, place)
            case Kind.HARD_STATE:
                self.term, self.vote = record.term, record.data.decode()
            case Kind.COMMIT:
                self.commit_index = max(self.commit_index, record.index)
            case Kind.TRUNCATE:
                self.places.drop_from(record.index)
            case Kind.TRIM:
                self.first_index = max(self.first_index, record.index)
            case Kind.RESET:
                self.places = Places()
                self.first_index = 1
                self.is_reset = True
            case Kind.END:
                pass
        return ""

    def finish(self) -> None:
        """Forget what was trimmed, once all records are taken."""
        self.places.drop_below(self.first_index)
        self.commit_index = min(self.commit_index, self.places.last)

    def _take_segment(self, record: Record) -> str:
        state = msgspec.msgpack.decode(record.data, type=SegmentState)
        if not self.has_begun:
            self.places = Places(state.last_index + 1)
            self.first_index = state.first_index
            self.is_reset = state.last_index == 0  # the log was empty: it may have been cleared
        elif state.last_index != self.places.last:
            return f"The segment continues entry {state.last_index}, but {self.places.last} came before it."
        self.has_begun = True
        self.term, self.vote = state.term, state.vote
        self.commit_index = max(self.commit_index, state.commit_index)
        return ""

    def _take_entry(self, record: Record, place: Place) -> str:
        if self.is_reset:
            self.places = Places(record.index)
            self.first_index = record.index
            self.is_reset = False
        if record.index != self.places.last + 1:
            return f"Entry {record.index} follows entry {self.places.last}."
        self.places.append(record.term, place)
        return ""


def recover(disk: Disk, on_doubt: OnDoubt = refuse) -> Recovered:
    """Read all segments; repair the tail that was being written when the machine stopped.

    Raises:
        JournalDamagedError: something that was durable is damaged or missing.
        JournalVersionError: a newer release wrote it.
        JournalDoubtfulError: what ``on_doubt`` raises for a last frame that nobody can judge.
    """
    found = Recovered(segments=segments_on(disk))
    for previous, segment in zip(found.segments, found.segments[1:], strict=False):
        if segment != previous + 1:
            raise JournalDamagedError(segment_name(previous + 1), 0, "The segment is missing.")
    for segment in list(found.segments):
        is_last = segment == found.segments[-1]
        size = _read_segment(disk, found, segment)
        if size < disk.size(segment_name(segment)) or size == 0:
            _check_tail(disk, found, segment, size, on_doubt, is_last=is_last)
            _cut_tail(disk, found, segment, size)
    if found.segments and len(found.places) and found.first_index < found.places.first:
        missing = f"Entries {found.first_index} to {found.places.first - 1} are missing."
        raise JournalDamagedError(segment_name(found.segments[0]), 0, missing)
    found.finish()
    return found


def _read_segment(disk: Disk, found: Recovered, segment: int) -> int:
    """Take the whole frames of a segment; return where they end."""
    name = segment_name(segment)
    size = disk.size(name)
    offset = 0
    while offset < size:
        frame = _read_frame(disk, name, offset, found)
        if frame is None:
            break
        for position, record in frame:
            length = records.RECORD_HEADER_BYTES + len(record.data)
            at = offset + FRAME_HEADER_BYTES + position
            if (at == FRAME_HEADER_BYTES) != (record.kind is Kind.SEGMENT):
                raise JournalDamagedError(name, at, "A segment does not begin as it must.")
            wrong = found.take(record, Place(segment, at, length))
            if wrong:
                raise JournalDamagedError(name, at, wrong)
            end = at + length
        found.last_frame = offset
        offset = end
        found.next_sequence += 1
    found.active_size = offset
    return offset


def _read_frame(disk: Disk, name: str, offset: int, found: Recovered) -> list[tuple[int, Record]] | None:
    header = records.decode_frame_header(disk.read(name, offset, FRAME_HEADER_BYTES))
    if header is None:
        return None
    if not found.has_begun:
        found.next_sequence = header.sequence  # older segments were trimmed away
    if header.sequence != found.next_sequence:
        detail = f"Frame {found.next_sequence} should be here, but it is frame {header.sequence}."
        raise JournalDamagedError(name, offset, detail)
    payload = disk.read(name, offset + FRAME_HEADER_BYTES, header.payload_length)
    if len(payload) != header.payload_length:
        return None
    try:
        return records.decode_payload(payload) or None
    except records.UnknownKindError as error:
        raise JournalVersionError(name, offset, str(error)) from error


def _check_tail(
    disk: Disk, found: Recovered, segment: int, offset: int, on_doubt: OnDoubt, *, is_last: bool
) -> None:
    """Check that what cannot be read was still being written when the machine stopped.

    Nobody was told of a frame that did not reach the disk to its end, and nothing is written behind a
    frame before it is durable. So it is torn where its end is missing or a zero, and damaged where something
    follows. What is left has its full length and is wrong: either the file system wrote its blocks in
    another order and lost power in between, or it was damaged later. That is for ``on_doubt`` to say.
    """
    name = segment_name(segment)
    if not is_last:
        raise JournalDamagedError(name, offset, "What was durable here cannot be read.")
    rest = disk.read(name, offset, disk.size(name) - offset)
    header = records.decode_frame_header(rest[:FRAME_HEADER_BYTES])
    if header is None:
        # Without older segments the number of the first frame is unknown: any frame behind it will do.
        numbers = [each.sequence for _, each in records.frame_headers(rest[1:])]
        follower = next((each for each in numbers if each > found.next_sequence or not found.has_begun), None)
        is_torn = not any(rest[FRAME_HEADER_BYTES:])
    else:
        # Tenants choose what is inside a frame: only behind its end there may be another one.
        end = FRAME_HEADER_BYTES + header.payload_length
        follower = header.sequence + 1 if len(rest) > end else None
        is_torn = len(rest) < end or not rest[end - 1]
    if follower is not None:
        detail = f"What was durable here cannot be read; frame {follower} follows it."
        raise JournalDamagedError(name, offset, detail)
    if offset == 0 and segment > 1 and segment == found.segments[0]:
        raise JournalDamagedError(
            name, 0, "Older segments were removed because of this one, so it was whole."
        )
    if not is_torn:
        on_doubt(JournalDoubtfulError(name, offset))


def _cut_tail(disk: Disk, found: Recovered, segment: int, offset: int) -> None:
    name = segment_name(segment)
    if offset > 0:
        disk.truncate(name, offset)
        return
    # The segment was being created: nothing in it was ever durable.
    disk.remove(name)
    disk.sync_directory()
    found.segments.remove(segment)
    found.active_size = disk.size(segment_name(found.segments[-1])) if found.segments else 0
