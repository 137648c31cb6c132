"""Many entries applied together give what they give one after the other, though much is passed over."""

import pytest
from unit.engines.core.replay_walk import Walk
from unit.engines.core.state_checks import check_state, seen

from payhub_engines.core import events
from payhub_engines.core.appliers import apply_entries
from payhub_engines.core.commands import CompleteJob, StartInstance
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.processor import Batch
from payhub_engines.core.state import State, digest

BATCHES_PER_RUN = 150


def follow(state, raws):
    apply_entries([events.decode_entry(raw) for raw in raws], state)


@pytest.mark.parametrize("seed", range(24))
def test_windows_of_any_size_give_the_leaders_state(seed):
    leader, store = State(MemoryStore()), MemoryStore()
    follower, walk, waiting = State(store), Walk(seed), []
    for _ in range(BATCHES_PER_RUN):
        batch = Batch(leader, walk.now_ms)
        for _ in range(walk.chance.choice([1, 2, 5])):
            batch.decide(walk.command(leader))
        entry = batch.seal()
        if entry is None:
            continue
        waiting.append(events.encode_entry(entry))
        if walk.chance.random() < 0.1:
            follow(follower, waiting)
            waiting.clear()
            assert seen(follower) == seen(leader)
            write(follower, store)
            check_state(follower, store)
    follow(follower, waiting)
    assert seen(follower) == seen(leader)


def test_instances_within_one_window_leave_only_their_end(engine, model):
    xml = model().start().job("a", outputs={"done": "= x"}).end("end").path("start", "a", "end").xml()
    engine.deploy(xml)
    before = len(engine.entries)
    leader = engine.state
    for number in range(3):
        batch = Batch(leader, engine.now_ms)
        batch.decide(
            StartInstance(process="p", tenant="t", payment=f"tx-{number}", fingerprint="", variables={"y": 1})
        )
        engine.entries.append(events.encode_entry(batch.seal()))
        batch = Batch(leader, engine.now_ms)
        batch.decide(CompleteJob(job=next(leader.jobs()).key, variables={"x": number}))
        engine.entries.append(events.encode_entry(batch.seal()))
    at_once, one_by_one = MemoryStore(), MemoryStore()
    followers = State(at_once), State(one_by_one)
    follow(followers[0], engine.entries[:before])
    follow(followers[0], engine.entries[before:])
    for raw in engine.entries:
        follow(followers[1], [raw])
    for state, store in zip(followers, (at_once, one_by_one), strict=True):
        write(state, store)
    assert digest(at_once) == digest(one_by_one)
    assert followers[0].find_instance("t", "p", "tx-2").variables == {"y": 1, "done": 2}
