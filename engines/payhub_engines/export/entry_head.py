"""The head of a log entry, read without its events: a few bytes, however large the entry is."""

from typing import Final, NamedTuple

_ARRAY_16: Final = 0xDC
_ARRAY_32: Final = 0xDD
_FIXARRAY: Final = 0x90
_FIXARRAY_LAST: Final = 0x9F
_FIXINT_LAST: Final = 0x7F
_NEGATIVE_FIXINT: Final = 0xE0
_INTEGER_BYTES: Final = {
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
}  # by msgpack's first byte, unsigned and signed
_SIGNED_FIRST: Final = 0xD0


class EntryHead(NamedTuple):
    """Which events an entry holds, and how many."""

    first_position: int
    events: int

    @property
    def next_position(self) -> int:
        """The position behind its last event."""
        return self.first_position + self.events


def read_head(entry: bytes) -> EntryHead:
    """Read the head of ``[first_position, at_ms, [event, ...], ...]``.

    Raises:
        ValueError: these bytes are no entry.
    """
    try:
        _, offset = _array(entry, 0)
        first_position, offset = _integer(entry, offset)
        _, offset = _integer(entry, offset)
        events, offset = _array(entry, offset)
    except IndexError:
        offset = len(entry) + 1
    if offset > len(entry):
        raise ValueError("A log entry ends within its head.")
    return EntryHead(first_position, events)


def _array(data: bytes, offset: int) -> tuple[int, int]:
    """Return an array's length and where its first item begins."""
    first = data[offset]
    if _FIXARRAY <= first <= _FIXARRAY_LAST:
        return first - _FIXARRAY, offset + 1
    if first == _ARRAY_16:
        return int.from_bytes(data[offset + 1 : offset + 3]), offset + 3
    if first == _ARRAY_32:
        return int.from_bytes(data[offset + 1 : offset + 5]), offset + 5
    raise ValueError(f"Byte {offset} of a log entry begins no array.")


def _integer(data: bytes, offset: int) -> tuple[int, int]:
    """Return an integer and where the next item begins."""
    first = data[offset]
    if first <= _FIXINT_LAST:
        return first, offset + 1
    if first >= _NEGATIVE_FIXINT:
        return first - 0x100, offset + 1
    width = _INTEGER_BYTES.get(first)
    if width is None:
        raise ValueError(f"Byte {offset} of a log entry begins no integer.")
    end = offset + 1 + width
    return int.from_bytes(data[offset + 1 : end], signed=first >= _SIGNED_FIRST), end
