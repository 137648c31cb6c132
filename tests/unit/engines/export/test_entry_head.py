"""The head of an entry, read by hand, says what msgspec says."""

import msgspec
import pytest

from payhub_engines.core.events import InstanceCompleted, LogEntry, Scope, encode_entry
from payhub_engines.export.entry_head import read_head

INTEGERS = (0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1)


@pytest.mark.parametrize("events", [1, 15, 16, 65_535, 65_536])
def test_the_head_says_where_an_entry_begins_and_ends(events: int) -> None:
    scopes = {1: Scope("lion", "p", "tx", "t")}
    for number in INTEGERS:
        entry = LogEntry(number, number, [InstanceCompleted(1, 2)] * events, scopes, 3, 1)
        head = read_head(encode_entry(entry))
        assert (head.first_position, head.next_position) == (number, number + events)


def test_negative_times_and_longer_entries_are_read_too() -> None:
    for at_ms in (-1, -32, -33, -129, -32_769, -(2**31) - 1):
        data = msgspec.msgpack.encode([7, at_ms, [[1]] * 3, {}, *range(20)])
        assert read_head(data) == (7, 3)


def test_what_is_no_entry_is_refused() -> None:
    whole = msgspec.msgpack.encode([70_000, 70_000, [[1]] * 20, {}])
    cut = [whole[:length] for length in range(14)]
    for data in (*cut, b"\xc1", b"\x80", msgspec.msgpack.encode(["x", 1, []])):
        with pytest.raises(ValueError, match="entry"):
            read_head(data)
