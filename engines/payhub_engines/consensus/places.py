"""Where each entry of the journal lies: a few integers per entry, so that long logs stay small in memory."""

from array import array
from typing import NamedTuple

UNWRITTEN = 0
"""Segment number of an entry that is still only in memory; real segments count from 1."""


class Place(NamedTuple):
    """A record's segment, its offset in the file and its length, both in bytes."""

    segment: int
    offset: int
    length: int


class Places:
    """Terms and places of consecutive entries, by index.

    Attributes:
        first: index of the first entry, or of the next one where there is none.
        last: index of the last entry; ``first - 1`` where there is none.
    """

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self.last = first - 1  # kept, not counted: it is asked for all the time
        self._terms = array("Q")
        self._segments = array("Q")
        self._offsets = array("Q")
        self._lengths = array("L")

    def __len__(self) -> int:
        return len(self._terms)

    def append(self, term: int, place: Place) -> None:
        """Add the entry at ``last + 1``."""
        self._terms.append(term)
        self._segments.append(place.segment)
        self._offsets.append(place.offset)
        self._lengths.append(place.length)
        self.last += 1

    def settle(self, index: int, place: Place) -> None:
        """Set where an entry was written."""
        position = index - self.first
        self._segments[position] = place.segment
        self._offsets[position] = place.offset
        self._lengths[position] = place.length

    def term(self, index: int) -> int:
        """Return an entry's term."""
        return self._terms[self._position(index)]

    def place(self, index: int) -> Place:
        """Return where an entry lies."""
        position = self._position(index)
        return Place(self._segments[position], self._offsets[position], self._lengths[position])

    def drop_from(self, index: int) -> None:
        """Forget an index and all above."""
        position = max(index - self.first, 0)
        for column in (self._terms, self._segments, self._offsets, self._lengths):
            del column[position:]
        self.first = min(self.first, index)
        self.last = self.first + len(self._terms) - 1

    def drop_below(self, index: int) -> None:
        """Forget all below an index."""
        position = max(index - self.first, 0)
        for column in (self._terms, self._segments, self._offsets, self._lengths):
            del column[:position]
        self.first = max(self.first, index)
        self.last = self.first + len(self._terms) - 1

    def _position(self, index: int) -> int:
        position = index - self.first
        if not 0 <= position < len(self._terms):
            raise IndexError(index)
        return position
