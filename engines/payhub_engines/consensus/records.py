"""The bytes of the journal: records in frames.

One frame is what one sync makes durable. Frames are numbered without gaps, and frame n+1 is written only
after frame n is durable; so a bad frame with a higher number behind it was damaged after it was
durable, and a bad frame with nothing behind it was being written when the machine stopped.

    frame  = magic(4) payload_length(u32) sequence(u64) crc32(u32, of what precedes) payload
    record = data_length(u32) crc32(u32, of what follows) kind(u8) index(u64) term(u64) data

The last record of a frame is ``END``, and the last byte of that is 255: a frame that ends in a zero was not
written to its end, whatever the file's length says.
"""

import enum
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from payhub_engines.consensus.log import ENTRY_BYTES_MAX

FRAME_MAGIC: Final = b"PHJ1"
FRAME_PAYLOAD_BYTES_MAX: Final = 16 * 1024 * 1024
RECORD_DATA_BYTES_MAX: Final = ENTRY_BYTES_MAX + 1  # a command is one type byte and the entry

_FRAME_HEAD: Final = struct.Struct("<4sIQ")
_CRC: Final = struct.Struct("<I")
FRAME_HEADER_BYTES: Final = _FRAME_HEAD.size + _CRC.size
_RECORD_LENGTHS: Final = struct.Struct("<II")
_RECORD_BODY: Final = struct.Struct("<BQQ")
RECORD_HEADER_BYTES: Final = _RECORD_LENGTHS.size + _RECORD_BODY.size


class Kind(enum.IntEnum):
    """What a record says. Numbers are on disk: never reuse one."""

    SEGMENT = 0  # first of each file; data is a SegmentState, all that older files would say
    ENTRY = 1  # index, term and command
    HARD_STATE = 2  # term, and in data the id that was voted for, or nothing
    COMMIT = 3  # entries up to index are committed
    TRUNCATE = 4  # entries from index on are gone: another leader's take their place
    TRIM = 5  # entries below index are gone: the state holds them
    RESET = 6  # all entries are gone; the next one may have any index
    END = 7  # last of a frame


_KINDS: Final = frozenset(Kind)


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record; ``index`` and ``term`` are 0 where its kind has none."""

    kind: Kind
    index: int
    term: int
    data: bytes


class SegmentState(msgspec.Struct, frozen=True, array_like=True):
    """What the journal knew when a segment was begun, so that older segments can be removed."""

    term: int
    vote: str
    commit_index: int
    first_index: int
    last_index: int  # of the entries in older segments; 0 when the log was empty


class UnknownKindError(ValueError):
    """A whole record says what this release does not know."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"A record of kind {kind} was written by a newer release.")


class FrameHeader(NamedTuple):
    """A frame's number and the length of its payload in bytes."""

    sequence: int
    payload_length: int


def last_index_after(record: Record, last_index: int) -> int:
    """Return the last index on disk after one more record."""
    match record.kind:
        case Kind.ENTRY:
            return record.index
        case Kind.TRUNCATE:
            return record.index - 1
        case Kind.RESET:
            return 0
        case _:
            return last_index


def record_head(kind: Kind, index: int, term: int, data: bytes) -> bytes:
    """Return what precedes the data of a record."""
    head = _RECORD_BODY.pack(kind, index, term)
    return _RECORD_LENGTHS.pack(len(data), zlib.crc32(data, zlib.crc32(head))) + head


def encode_record(record: Record) -> bytes:
    """Write one record."""
    return record_head(record.kind, record.index, record.term, record.data) + record.data


def frame_head(sequence: int, payload_length: int) -> bytes:
    """Return the header of a frame."""
    head = _FRAME_HEAD.pack(FRAME_MAGIC, payload_length, sequence)
    return head + _CRC.pack(zlib.crc32(head))


def encode_frame(sequence: int, payload: bytes) -> bytes:
    """Write one frame around encoded records."""
    return frame_head(sequence, len(payload)) + payload


END_RECORD: Final = record_head(Kind.END, 0, (1 << 64) - 1, b"")


def decode_frame_header(raw: bytes) -> FrameHeader | None:
    """Read a frame's header; None where there is none, or a damaged one."""
    if len(raw) != FRAME_HEADER_BYTES:
        return None
    head, crc = raw[: _FRAME_HEAD.size], raw[_FRAME_HEAD.size :]
    magic, payload_length, sequence = _FRAME_HEAD.unpack(head)
    if magic != FRAME_MAGIC or _CRC.unpack(crc)[0] != zlib.crc32(head):
        return None
    if payload_length > FRAME_PAYLOAD_BYTES_MAX:
        return None
    return FrameHeader(sequence, payload_length)


def decode_record(raw: bytes) -> Record | None:
    """Read exactly one record; None where its checksum does not hold.

    Raises:
        UnknownKindError: its checksum holds, but a newer release wrote it.
    """
    if len(raw) < RECORD_HEADER_BYTES:
        return None
    data_length, crc = _RECORD_LENGTHS.unpack_from(raw)
    body = raw[_RECORD_LENGTHS.size :]
    if len(raw) != RECORD_HEADER_BYTES + data_length or zlib.crc32(body) != crc:
        return None
    kind, index, term = _RECORD_BODY.unpack_from(body)
    if kind not in _KINDS:
        raise UnknownKindError(kind)
    return Record(Kind(kind), index, term, body[_RECORD_BODY.size :])


def decode_payload(payload: bytes) -> list[tuple[int, Record]] | None:
    """Read a frame's records with their offsets in the payload; None where any of them is damaged.

    Raises:
        UnknownKindError: a record is whole, but a newer release wrote it.
    """
    found: list[tuple[int, Record]] = []
    offset = 0
    while offset < len(payload):
        if len(payload) - offset < RECORD_HEADER_BYTES:
            return None
        data_length, _ = _RECORD_LENGTHS.unpack_from(payload, offset)
        end = offset + RECORD_HEADER_BYTES + data_length
        record = decode_record(payload[offset:end])
        if record is None:
            return None
        found.append((offset, record))
        offset = end
    return found


def frame_headers(raw: bytes) -> Iterator[tuple[int, FrameHeader]]:
    """Find everything in raw bytes that is a whole frame header, at any offset."""
    offset = raw.find(FRAME_MAGIC)
    while offset >= 0:
        header = decode_frame_header(raw[offset : offset + FRAME_HEADER_BYTES])
        if header is not None:
            yield offset, header
        offset = raw.find(FRAME_MAGIC, offset + 1)
