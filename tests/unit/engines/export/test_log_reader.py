"""Entries by position, out of a log with holes, large entries and a trimmed beginning."""

import random

import pytest
from support.listed_log import ListedLog, positions_of

from payhub_engines.export import reader as reader_module
from payhub_engines.export.reader import LogReader
from payhub_platform.bus.streams import AUDIT_BATCH_BYTES, AUDIT_ENTRY_BYTES_MAX


def test_the_log_is_read_whole_from_any_position_with_any_holes() -> None:
    for seed in range(40):
        dice = random.Random(seed)
        log = ListedLog()
        for _ in range(60):
            log.add(dice.randrange(1, 9), dice.choice((1, 1, 60_000)), holes=dice.choice((0, 0, 3)))
        log.commit_index += dice.randrange(3)  # a leader's own entry is never shown
        reader = LogReader("north", log)
        starts = list(range(1, log.next_position))
        dice.shuffle(starts)
        for start in starts[:30]:
            batch = reader.read(start)
            assert batch is not None
            assert batch.entries, "none is too large here"
            positions = positions_of(batch.entries)
            assert positions == list(range(batch.first_position, batch.first_position + batch.count))
            assert start in positions_of(batch.entries[:1])
            assert reader.holds(start)
        assert reader.read(log.next_position) is None
        assert not reader.holds(log.next_position)


def test_a_log_is_followed_with_one_read_an_entry() -> None:
    log, position = ListedLog(), 1
    reader = LogReader("north", log)
    for _ in range(500):
        log.add(3)
        batch = reader.read(position)
        assert batch is not None
        position += batch.count
    assert position == log.next_position
    assert log.reads < 520


def test_marks_are_bounded_and_still_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MARKS_MAX", 16)
    log, position = ListedLog(), 1
    reader = LogReader("north", log)
    for _ in range(400):
        log.add(2)
        batch = reader.read(position)
        assert batch is not None
        position += batch.count
    assert len(reader._positions) == len(reader._indices) <= 16
    for start in range(1, position):
        found = reader.read(start)
        assert found is not None
        assert start in positions_of(found.entries[:1])
    log.add(1)
    reads = log.reads
    assert reader.read(position) is not None
    assert log.reads == reads + 1


def test_what_was_trimmed_is_not_held_and_the_answer_begins_later() -> None:
    log = ListedLog()
    indices = [log.add(10, holes=1) for _ in range(20)]
    reader = LogReader("north", log)
    reader.read(1)
    reader.read(101)
    log.trim(indices[12])
    assert not reader.holds(120)
    assert reader.holds(121)
    for asked in (1, 50, 101, 120, 121, 125):
        batch = reader.read(asked)
        assert batch is not None
        assert batch.first_position == 121
    log.trim(log.commit_index + 1)
    assert reader.read(1) is None


def test_a_large_entry_is_announced_and_given_in_parts() -> None:
    log = ListedLog()
    log.add(2)
    log.add(5, AUDIT_ENTRY_BYTES_MAX // 5)
    log.add(2)
    reader = LogReader("north", log)
    sizes = []
    position = 1
    while (batch := reader.read(position)) is not None:
        sizes.append((batch.first_position, batch.count, len(batch.entries)))
        position = batch.first_position + batch.count
    assert sizes == [(1, 2, 1), (3, 5, 0), (8, 2, 1)]
    [(_, whole)] = log.entries(2, 1)
    for asked in (3, 7):
        data = b""
        while not data or len(data) < len(whole):
            part = reader.read_again(asked, 1, len(data))
            assert (part.first_position, part.count, part.entry_bytes) == (3, 5, len(whole))
            assert len(part.entries[0]) <= AUDIT_BATCH_BYTES
            data += part.entries[0]
        assert data == whole


def test_a_replay_gives_whole_entries_and_no_more_than_are_needed() -> None:
    log = ListedLog()
    for _ in range(10):
        log.add(10)
    reader = LogReader("north", log)
    batch = reader.read_again(15, 10, 0)
    assert (batch.first_position, batch.count) == (11, 20)
    assert positions_of(batch.entries) == list(range(11, 31))
    assert reader.read_again(1, 1, 0).count == 10
    assert reader.read_again(1, 1000, 0).count == 100
    nothing = reader.read_again(101, 5, 0)
    assert (nothing.first_position, nothing.count, nothing.entries) == (101, 0, [])


def test_an_index_is_where_everything_below_ends_before_the_position() -> None:
    log = ListedLog()
    indices = [log.add(10, holes=2) for _ in range(10)]
    for reader in (LogReader("north", log), LogReader("north", log)):
        assert indices[3] < reader.index_of(41) <= indices[4]
        assert indices[3] < reader.index_of(50) <= indices[4]
        assert reader.index_of(101) == log.commit_index + 1
        reader.read(41)
        assert indices[3] < reader.index_of(41) <= indices[4]
        assert reader.index_of(101) == log.commit_index + 1
