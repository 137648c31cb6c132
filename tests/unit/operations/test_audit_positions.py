"""Where records belong: duplicates, overlaps, gaps, and messages that are none."""

import random
from datetime import UTC, datetime

import msgspec
import pytest
from support.operations_records import batch, encoded, exported, outgoing, record

from payhub_operations.audit.errors import MalformedBatchError
from payhub_operations.audit.model import Gap, RecordBatch, decode_batch, plan, row_of
from payhub_operations.audit.store import by_engine
from payhub_platform.contracts.audit import AuditBatch

LOG = [record(position, "ElementActivated") for position in range(1, 41)]


def _slice(first: int, last: int) -> RecordBatch:
    return batch(LOG[first - 1 : last])


def test_what_follows_is_stored():
    planned = plan(1, [_slice(1, 3), _slice(4, 6)])
    assert [item.position for item in planned.records] == [1, 2, 3, 4, 5, 6]
    assert (planned.next_position, planned.gap) == (7, None)


def test_a_duplicate_changes_nothing():
    planned = plan(4, [_slice(1, 3), _slice(2, 3)])
    assert (planned.records, planned.next_position, planned.gap) == ([], 4, None)


def test_of_an_overlap_only_the_new_part_is_stored():
    planned = plan(3, [_slice(1, 5)])
    assert [item.position for item in planned.records] == [3, 4, 5]
    assert planned.next_position == 6


def test_what_is_before_a_gap_is_stored_and_what_is_behind_it_is_not():
    planned = plan(1, [_slice(9, 10), _slice(1, 2), _slice(5, 6)])
    assert [item.position for item in planned.records] == [1, 2]
    assert planned.gap == Gap(from_position=3, to_position=4)
    assert planned.next_position == 3


def test_an_empty_batch_is_no_gap():
    empty = RecordBatch(engine="north", first_position=9, records=[])
    assert plan(1, [empty]) == plan(1, [])


def test_any_order_of_any_overlapping_pieces_gives_the_log():
    for seed in range(200):
        dice = random.Random(seed)
        pieces = [_slice(low, min(40, low + dice.randrange(9))) for low in dice.choices(range(1, 41), k=30)]
        cover = [_slice(low, min(40, low + 4)) for low in range(1, 41, 5)]
        pieces += cover
        dice.shuffle(pieces)
        planned = plan(1, pieces)
        assert planned.records == LOG
        assert planned.gap is None


def test_engines_are_sorted_apart_in_order():
    first, second, third = batch(LOG[:1]), batch(LOG[:2], "south"), batch(LOG[1:2])
    assert by_engine([first, second, third]) == {"north": [first, third], "south": [second]}


def test_a_batch_is_read():
    assert decode_batch(encoded(outgoing(1))) == batch(outgoing(1))


def test_the_release_before_wrote_records_which_are_still_read():
    records = outgoing(1)
    old = {"engine": "north", "first_position": 1, "records": records}
    read = decode_batch(msgspec.msgpack.encode(old))
    assert (read.records, read.next_position) == (records, 7)


def test_records_that_are_only_announced_are_a_gap_until_they_come():
    announced = RecordBatch(engine="north", first_position=4, records=[], count=3)
    planned = plan(1, [announced, _slice(1, 3), _slice(7, 9)])
    assert planned.gap == Gap(from_position=4, to_position=6)
    assert planned.next_position == 4
    assert plan(1, [announced, _slice(1, 9)]).next_position == 10
    assert plan(5, [announced]).gap == Gap(from_position=5, to_position=6)
    assert plan(7, [announced]) == plan(7, [])
    assert plan(4, [announced, _slice(4, 6), _slice(7, 9)]).next_position == 10


def test_a_message_without_its_entries_announces_them():
    announced = decode_batch(msgspec.msgpack.encode(AuditBatch(engine="north", first_position=4, count=3)))
    assert (announced.records, announced.next_position) == ([], 7)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"engine": "north"}),
        msgspec.msgpack.encode(exported([LOG[0], LOG[2]])),
        msgspec.msgpack.encode(AuditBatch(engine="north", first_position=0, count=0)),
        msgspec.msgpack.encode(AuditBatch(engine="north", first_position=1, count=-1)),
        msgspec.msgpack.encode(AuditBatch(engine="north", first_position=1, count=1, entries=[b"\xc1"])),
        msgspec.msgpack.encode(msgspec.structs.replace(exported(LOG[:1]), engine="")),
        msgspec.msgpack.encode(msgspec.structs.replace(exported(LOG[:1]), first_position=2)),
        msgspec.msgpack.encode(msgspec.structs.replace(exported(LOG[:2]), count=3)),
        msgspec.msgpack.encode(msgspec.structs.replace(exported(LOG[:2]), schema=b"x")),
        msgspec.msgpack.encode({"engine": "north", "first_position": 1, "records": [LOG[0], LOG[2]]}),
    ],
)
def test_what_is_no_batch_is_refused(data: bytes):
    with pytest.raises(MalformedBatchError):
        decode_batch(data)


def test_a_row_holds_only_what_postgresql_takes():
    odd = record(
        1,
        "X\0",
        at_ms=10**18,
        instance=2**64 - 1,
        data={"a\0": ["\0", {"b": "c\0d"}], "n": 1, "none": None, "nan": float("nan")},
    )
    row = row_of("north", odd)
    assert row["type"] == "X\ufffd"
    assert row["at"] == datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    assert row["instance"] == 2**63 - 1
    assert msgspec.json.decode(row["data"]) == {
        "a\ufffd": ["\ufffd", {"b": "c\ufffdd"}],
        "n": 1,
        "none": None,
        "nan": None,
    }
