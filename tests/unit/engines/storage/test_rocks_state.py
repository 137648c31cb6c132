"""The state on disk: writes with their index, what a torn log leaves, checkpoints."""

import random
import shutil

import pytest

from payhub_engines.core.store import Store
from payhub_engines.storage.errors import StateError
from payhub_engines.storage.rocks import RocksState


@pytest.fixture
def state(tmp_path):
    opened = RocksState(tmp_path / "state")
    yield opened
    opened.close()


def put_all(state, applied_index, **values):
    state.write({key.encode(): value.encode() for key, value in values.items()}, applied_index)


def keys(store: Store, prefix: bytes = b"") -> list[bytes]:
    return [key for key, _ in store.scan(prefix)]


def test_a_new_state_is_empty(state):
    assert state.applied_index == 0
    assert keys(state) == []
    assert state.get(b"a") is None


def test_an_entry_is_never_written_twice(state):
    put_all(state, 7, a="1")
    for index in (6, 7):
        with pytest.raises(StateError, match="applied-twice"):
            put_all(state, index, a="2")
    assert state.get(b"a") == b"1"


def test_a_scan_shows_what_was_there_when_it_was_called(state):
    put_all(state, 1, a="1", c="3")
    scanned = state.scan(b"")
    state.write({b"a": None, b"c": None, b"d": b"4"}, 2)
    assert list(scanned) == [(b"a", b"1"), (b"c", b"3")]
    assert keys(state) == [b"d"]


def test_keys_may_be_any_bytes_and_never_meet_the_index(state):
    odd = [b"", b"\x00", b"\xff", b"\xff\xff\x01", b"m", b"mapplied-index", b"s", b"t"]
    state.write({key: key + b"!" for key in odd}, 3)
    assert keys(state) == sorted(odd)
    assert keys(state, b"\xff") == [b"\xff", b"\xff\xff\x01"]
    assert state.get(b"") == b"!"
    assert state.applied_index == 3


def test_it_is_all_there_after_a_restart(tmp_path):
    for life in range(3):
        state = RocksState(tmp_path / "deep" / "state")
        assert state.applied_index == life
        put_all(state, life + 1, **{f"key-{life}": "x"})
        state.close()
        state.close()
    state = RocksState(tmp_path / "deep" / "state")
    assert keys(state) == [b"key-0", b"key-1", b"key-2"]
    state.close()
    with pytest.raises(StateError, match="state-closed"):
        state.get(b"key-0")


def test_random_writes_are_what_a_sorted_dict_gives(tmp_path):
    chooser = random.Random(11)
    state, expected = RocksState(tmp_path / "state"), {}
    for index in range(1, 120):
        changes = {}
        for _ in range(chooser.randint(0, 12)):
            key = bytes(chooser.choices((0, 1, 0x61, 0xFF), k=chooser.randint(0, 3)))
            changes[key] = None if chooser.random() < 0.35 else chooser.randbytes(3)
        state.write(changes, index)
        expected = {k: v for k, v in {**expected, **changes}.items() if v is not None}
        prefix = bytes(chooser.choices((0, 0x61, 0xFF), k=chooser.randint(0, 2)))
        wanted = sorted((k, v) for k, v in expected.items() if k.startswith(prefix))
        assert list(state.scan(prefix)) == wanted
        assert list(state.scan(b"")) == sorted(expected.items())
        if chooser.random() < 0.05:
            state.close()
            state = RocksState(tmp_path / "state")
            assert state.applied_index == index
    state.close()


def test_a_torn_log_leaves_a_prefix_of_the_writes_with_its_index(tmp_path):
    state = RocksState(tmp_path / "state")
    for index in range(1, 31):
        put_all(state, index, last=str(index), **{f"key-{index:02}": "x" * index})
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path / "state", crashed)
    state.close()
    [log] = [path for path in crashed.glob("*.log") if path.stat().st_size]
    whole = log.read_bytes()
    seen = set()
    for length in range(0, len(whole), len(whole) // 25):
        torn = tmp_path / f"torn-{length}"
        shutil.copytree(crashed, torn)
        (torn / log.name).write_bytes(whole[:length])
        again = RocksState(torn)
        applied = again.applied_index
        assert int(again.get(b"last") or b"0") == applied
        assert keys(again, b"key-") == [b"key-%02d" % index for index in range(1, applied + 1)]
        put_all(again, applied + 1, after="x")
        again.close()
        seen.add(applied)
    assert len(seen) > 10


def test_sync_tells_what_a_trim_may_rely_on(state):
    put_all(state, 4, a="1")
    assert state.sync() == 4


def test_a_checkpoint_is_a_state_of_its_own(tmp_path, state):
    put_all(state, 1, a="1")
    state.checkpoint(tmp_path / "copy")
    put_all(state, 2, b="2")
    copy = RocksState(tmp_path / "copy")
    assert (copy.applied_index, keys(copy)) == (1, [b"a"])
    copy.close()


def test_a_second_opener_is_refused(tmp_path, state):
    with pytest.raises(StateError, match="state-unreadable"):
        RocksState(tmp_path / "state")
    put_all(state, 1, a="1")


def test_a_damaged_state_is_refused(tmp_path):
    state = RocksState(tmp_path / "state")
    put_all(state, 1, a="1")
    state.close()
    (tmp_path / "state" / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(StateError, match="state-unreadable"):
        RocksState(tmp_path / "state")
