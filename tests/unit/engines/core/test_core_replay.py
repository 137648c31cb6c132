"""The replay property: after every command, the log alone gives the same bytes as the live state."""

import random

import pytest

from payhub_engines.core import events
from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.commands import (
    AcknowledgeHandover,
    CompleteJob,
    CorrelateMessage,
    ExpireMessage,
    FailJob,
    QueueHandover,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.processor import Processor, seal
from payhub_engines.core.state import State, digest
from payhub_platform.contracts.handover import Callback

RUNS = 25
COMMANDS_PER_RUN = 80
CODES = ["refused", "surprise"]


def everything(model):
    """Build a process with each kind of element, in which a random walk meets all of them."""
    whole = (
        model("everything")
        .start()
        .job("reserve", retries="2", inputs={"limit": "= count + 1"}, outputs={"count": "= limit"})
        .boundary("refused", "reserve", error="refused")
        .boundary("late", "reserve", timer="PT5S")
        .exclusive("again", default="again-fork")
        .parallel("fork")
        .receive("answer", "answer", outputs={"answer.x": "= x"})
        .boundary("remind", "answer", timer="= wait", interrupting=False)
        .boundary("cancel", "answer", message="cancel")
        .job("notify", tag="sendTask")
        .parallel("join")
        .events("gate")
        .catch("yes", message="yes")
        .catch("no", message="no", outputs={"why": "= x"})
        .catch("expired", timer="PT3S")
        .end("done", outputs={"state": "DONE"})
        .end("failed", terminate=True)
        .end("reminded")
    )
    whole.path("start", "reserve", "again").flow("again", "reserve", "= count < 3").flow("again", "fork")
    whole.path("fork", "answer", "join").path("fork", "notify", "join", "gate")
    whole.path("gate", "yes", "done").path("gate", "no", "failed").path("gate", "expired", "reserve")
    for source, target in (
        ("refused", "failed"),
        ("late", "reserve"),
        ("remind", "reminded"),
        ("cancel", "failed"),
    ):
        whole.flow(source, target)
    return whole.xml()


class Walk:
    """Makes random commands from what the state offers, and some from nothing."""

    def __init__(self, seed, store):
        self.chance = random.Random(seed)
        self.state = State(store)
        self.now_ms = 1_000_000

    def variables(self):
        key = self.chance.choice(["k1", "k2", "ключ", None])
        return {"key": key, "count": self.chance.randint(0, 3), "wait": "PT2S", "x": [1.5, {"y": None}]}

    def callback(self):
        starts = self.chance.random() < 0.2
        return Callback(
            tenant=self.chance.choice(["lion", "rhino"]),
            name=self.chance.choice(["answer", "cancel", "yes", "no"]),
            correlation_key=self.chance.choice(["k1", "k2", "ключ"]),
            variables={"x": self.chance.randint(0, 9)},
            start_process="everything" if starts else "",
            payment=f"tx-{self.chance.randint(0, 5)}" if starts else "",
            fingerprint=self.chance.choice(["f", "g"]),
            broadcast=self.chance.random() < 0.3,
            ttl_ms=self.chance.choice([0, 1000, 5000]),
        )

    def start(self):
        payment, tenant = f"tx-{self.chance.randint(0, 8)}", self.chance.choice(["lion", "rhino"])
        return StartInstance(
            process="everything", tenant=tenant, payment=payment, fingerprint="f", variables=self.variables()
        )

    def job(self):
        jobs = [job.key for job in self.state.jobs()] or [1]
        key, kind = self.chance.choice(jobs), self.chance.random()
        if kind < 0.65:
            return CompleteJob(job=key, variables=self.variables())
        if kind < 0.85:
            return FailJob(job=key, message="down", retry_after_ms=100)
        return ThrowJobError(
            job=key, code=self.chance.choice(CODES), description="", variables={"error": {"code": 1}}
        )

    def message(self):
        if self.chance.random() < 0.4:
            sequence = self.chance.randint(1, 30)
            lowest = self.chance.randint(1, sequence)
            return CorrelateMessage(
                callback=self.callback(), origin="south", sequence=sequence, lowest_open=lowest
            )
        return CorrelateMessage(callback=self.callback())

    def due(self):
        self.now_ms += self.chance.randint(0, 3000)
        timers = [timer.key for timer in self.state.due_timers(self.now_ms)]
        messages = [message.key for message in self.state.expired_messages(self.now_ms)]
        if messages and self.chance.random() < 0.5:
            return ExpireMessage(message=self.chance.choice(messages))
        return TriggerTimer(timer=self.chance.choice(timers or [1]))

    def handover(self):
        if self.chance.random() < 0.5:
            return QueueHandover(owner="north", callback=self.callback())
        return AcknowledgeHandover(owner="north", sequence=self.chance.randint(1, 9))

    def command(self):
        kinds = [self.start, self.job, self.message, self.due, self.handover]
        return self.chance.choices(kinds, weights=[1, 5, 4, 2, 1])[0]()


def check_invariants(store):
    """Ended instances leave nothing behind, and each waiting thing belongs to a token."""
    state = State(store)
    for raw_key, _ in store.scan(b"i"):
        record = state.instance(int.from_bytes(raw_key[1:], "big"))
        if record.ended_at_ms is not None:
            assert record.active_elements == ()
    owned = {"j": set(), "d": set(), "s": set()}
    for raw_key, _ in store.scan(b"t"):
        for active in state.tokens(int.from_bytes(raw_key[1:], "big")).elements.values():
            owned["j"] |= {active.job} - {0}
            owned["d"] |= set(active.timers)
            owned["s"] |= set(active.subscriptions)
    for table, keys in owned.items():
        assert {int.from_bytes(key[1:], "big") for key, _ in store.scan(table.encode())} == keys
    assert state.counts().timers == sum(1 for _ in store.scan(b"D"))
    assert state.counts().subscriptions == sum(1 for _ in store.scan(b"S"))


@pytest.mark.parametrize("seed", range(RUNS))
def test_replay_gives_the_same_state_after_every_batch(model, seed):
    definition = parse(everything(model))
    processor = Processor(Catalogue((definition,)))
    live, log = MemoryStore(), []
    follower = MemoryStore()
    walk = Walk(seed, live)
    for _ in range(COMMANDS_PER_RUN):
        batch = range(walk.chance.choice([1, 1, 2, 5]))
        outcomes = [processor.process(walk.command(), live, walk.now_ms) for _ in batch]
        entry = seal(outcomes, live, walk.now_ms)
        if entry.events:
            log.append(events.encode_entry(entry))
            apply_entry(events.decode_entry(log[-1]), follower)
        assert digest(follower) == digest(live)
    check_invariants(live)
    restarted = MemoryStore()
    for raw in log:
        apply_entry(events.decode_entry(raw), restarted)
    assert digest(restarted) == digest(live)


def test_the_random_walk_meets_every_kind_of_event(model):
    processor = Processor(Catalogue((parse(everything(model)),)))
    met = set()
    for seed in range(RUNS):
        store = MemoryStore()
        walk = Walk(seed, store)
        for _ in range(COMMANDS_PER_RUN):
            outcome = processor.process(walk.command(), store, walk.now_ms)
            met |= {type(event) for event in outcome.events}
    assert met == set(events.AnyEvent.__args__)
