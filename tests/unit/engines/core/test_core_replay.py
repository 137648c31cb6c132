"""The replay property: after every batch the log alone gives the same state as the leader has."""

import random

import pytest
from unit.engines.core.replay_walk import Walk
from unit.engines.core.state_checks import check_state, replayed, seen

from payhub_engines.core import broadcasts, events
from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.commands import CompleteJob, MigrateInstance
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.processor import Batch
from payhub_engines.core.state import State, digest

RUNS = 24
BATCHES_PER_RUN = 150


@pytest.fixture(autouse=True)
def _small_broadcasts(monkeypatch):
    """Let a few receivers be more than one command reaches."""
    monkeypatch.setattr(broadcasts, "RECEIVERS_A_COMMAND_MAX", 2)
    monkeypatch.setattr(broadcasts, "RECEIVERS_INSIDE_MAX", 2)


class Replica:
    """A state with its store; writes at moments of its own."""

    def __init__(self):
        self.store = MemoryStore()
        self.state = State(self.store)

    def write(self):
        write(self.state, self.store)

    def restart(self):
        """Load the state from what was written; everything must have been."""
        self.state = State(self.store)


def decided(walk, state):
    """Decide a batch; return its encoded entry, None where nothing happened."""
    batch = Batch(state, walk.now_ms)
    for _ in range(walk.chance.choice([1, 1, 2, 5])):
        batch.decide(walk.command(state))
    entry = batch.seal()
    return None if entry is None else events.encode_entry(entry)


@pytest.mark.parametrize("seed", range(RUNS))
def test_replay_gives_the_same_state_after_every_batch(seed):
    leader, follower, log = Replica(), Replica(), []
    walk, chance = Walk(seed), random.Random(-seed)
    restarts_at = [0, 0, 0.05, 0.2][seed % 4]
    for _ in range(BATCHES_PER_RUN):
        raw = decided(walk, leader.state)
        if raw is None:
            continue
        log.append(raw)
        apply_entry(events.decode_entry(raw), follower.state)
        assert seen(follower.state) == seen(leader.state)
        for replica in (leader, follower):
            if chance.random() < 0.3:
                replica.write()
        if chance.random() < restarts_at:
            leader.write()
            leader.restart()
            leader, follower = (follower, leader) if chance.random() < 0.5 else (leader, follower)
        if chance.random() < 0.1:
            leader.write()
            follower.write()
            assert digest(follower.store) == digest(leader.store)
            check_state(leader.state, leader.store)
    leader.write()
    restarted, store = replayed(log)
    write(restarted, store)
    assert digest(store) == digest(leader.store)
    check_state(leader.state, leader.store)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_written_and_the_rest_of_the_log_give_the_same_state(seed):
    """A crash: the store holds the state as of some entry, and the log is replayed from there."""
    leader, crashed, log, written = Replica(), Replica(), [], 0
    walk = Walk(1_000 + seed)
    for _ in range(BATCHES_PER_RUN):
        raw = decided(walk, leader.state)
        if raw is None:
            continue
        log.append(raw)
        apply_entry(events.decode_entry(raw), crashed.state)
        if walk.chance.random() < 0.05:
            crashed.write()
            written = len(log)
        if walk.chance.random() < 0.05:
            crashed.restart()
            for lost in log[written:]:
                apply_entry(events.decode_entry(lost), crashed.state)
            assert seen(crashed.state) == seen(leader.state)
    leader.write()
    crashed.write()
    assert digest(crashed.store) == digest(leader.store)


def test_the_random_walk_meets_every_kind_of_event():
    met = set()
    for seed in range(RUNS):
        state, walk = State(MemoryStore()), Walk(seed)
        for _ in range(BATCHES_PER_RUN):
            raw = decided(walk, state)
            met |= set() if raw is None else {type(event) for event in events.decode_entry(raw).events}
    assert met == set(events.AnyEvent.__args__)


def test_a_later_command_of_a_batch_follows_the_version_that_an_earlier_one_migrated_to(engine, model):
    old = model().start().job("a").end("first").path("start", "a", "first")
    engine.deploy(old.xml())
    key, job = engine.start("p"), next(engine.state.jobs()).key
    new = engine.deploy(model().start().job("a").end("second").path("start", "a", "second").xml())
    batch = Batch(engine.state, engine.now_ms)
    batch.decide(MigrateInstance(instance=key, version=new.version))
    batch.decide(CompleteJob(job=job, variables={}))
    entry = batch.seal()
    engine.entries.append(events.encode_entry(entry))
    assert [event.element for event in entry.events if isinstance(event, events.ElementPassed)] == ["second"]
