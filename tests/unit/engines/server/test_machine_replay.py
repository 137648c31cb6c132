"""A state that lacks an entry is never written as if it held it."""

from pathlib import Path

import msgspec
import pytest

from payhub_engines.core import events
from payhub_engines.core.appliers import CURRENT_VERSION
from payhub_engines.core.commands import FoundEngine
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.processor import Batch
from payhub_engines.core.state import State
from payhub_engines.server.machine import Machine


def machine(folder: Path, log: list[tuple[int, bytes]]) -> Machine:
    return Machine(folder / "state", lambda index, _: log[index - 1 :], lambda _: None, lambda: 0)


def test_a_replica_that_stops_at_a_newer_entry_applies_it_after_its_upgrade(tmp_path):
    state = State(MemoryStore())
    batch = Batch(state, 0)
    batch.decide(FoundEngine(origin="north/1"))
    entry = batch.seal()
    newer = msgspec.structs.replace(entry, version=CURRENT_VERSION + 1)
    old = machine(tmp_path, [])
    old.apply(1, events.encode_entry(newer))
    with pytest.raises(ReplayError, match="log-version"):
        old.flush()
    old.close()
    upgraded = machine(tmp_path, [])
    assert upgraded.applied_index == 0
    upgraded.apply(1, events.encode_entry(entry))
    assert upgraded.state.origin == "north/1"
    upgraded.close()


def test_a_replay_that_is_cut_off_is_not_written_either(tmp_path):
    batch = Batch(State(MemoryStore()), 0)
    batch.decide(FoundEngine(origin="north/1"))
    entry = batch.seal()
    newer = msgspec.structs.replace(entry, first_position=2, version=CURRENT_VERSION + 1)
    log = [(1, events.encode_entry(entry)), (2, events.encode_entry(newer))]
    replica = machine(tmp_path, log)
    for index, data in log:
        replica.apply(index, data)
    with pytest.raises(ReplayError, match="log-version"):
        replica.rebuild()
    replica.close()
    again = machine(tmp_path, log)
    assert again.applied_index == 0
    again.close()
