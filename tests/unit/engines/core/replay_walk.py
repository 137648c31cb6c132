"""A random walk through every kind of element and command: makes commands from what the state offers."""

import random

from unit.engines.core.conftest import Model, looped

from payhub_engines.core.commands import (
    AcknowledgeHandover,
    Activation,
    BroadcastSignal,
    CancelInstance,
    CompleteJob,
    ContinueBroadcast,
    CorrelateMessage,
    DeployProcess,
    ExpireMessage,
    FailJob,
    FailTimer,
    FenceTenant,
    ForgetInstances,
    ForgetUsage,
    FoundEngine,
    MigrateInstance,
    ModifyInstance,
    PassBroadcastOver,
    QueueHandover,
    ResolveIncident,
    SetVariables,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.usage import DAY_MS
from payhub_platform.contracts.handover import Callback

CODES = ["refused", "surprise", "inner"]
KEYS = ["k1", "k2", "ключ"]
MESSAGES = ["answer", "cancel", "yes", "no", "stop", "tell", "go"]
SIGNALS = ["bell", "gong"]


def _guarded():
    """Return a sub-process with event sub-processes of several kinds, compensation and escalation."""
    interrupting = (
        Model().start("g-e", message="stop").job("g-clean").end("g-o").path("g-e", "g-clean", "g-o")
    )
    noting = Model().start("n-e", interrupting=False, message="tell").end("n-o").path("n-e", "n-o")
    ringing = Model().start("r-e", interrupting=False, signal="bell").end("r-o").path("r-e", "r-o")
    ticking = Model().start("t-e", interrupting=False, cycle="R2/PT1S").end("t-o").path("t-e", "t-o")
    failing = Model().start("f-e", error="inner").end("f-o", compensate="").path("f-e", "f-o")
    risen = Model().start("u-e", interrupting=False, escalation="up").end("u-o").path("u-e", "u-o")
    inside = Model().start("in").job("book").job("unbook", isForCompensation="true").undo("book", "unbook")
    inside.job("check").throw("rise", escalation="up").throw("ring", signal="gong").end("out")
    inside.end("broken", error="inner").exclusive("sound", default="sound-rise")
    inside.path("in", "book", "check", "sound", "rise", "ring", "out").flow("sound", "broken", "= count = 1")
    for name, part in (
        ("on-stop", interrupting),
        ("on-tell", noting),
        ("on-bell", ringing),
        ("on-time", ticking),
        ("on-inner", failing),
        ("on-up", risen),
    ):
        inside.sub(name, part, by_event=True)
    return inside


def everything(version):
    """Build a process in which a random walk meets each kind of element; ``version`` only names its end."""
    whole = Model("everything").start()
    whole.start("gone", message="go", key="").start("rung", signal="gong")
    counted = {"limits": "= limits", "member": "= key", "amount": "= amount"}
    whole.job("take", "payhub:take-allowance", headers=counted).boundary(
        "over", "take", error="limit-exceeded"
    )
    whole.job("give-back", "payhub:return-allowance")
    whole.job("reserve", retries="2", inputs={"limit": "= count + 1"}, outputs={"count": "= limit"})
    whole.job("release", isForCompensation="true").undo("reserve", "release")
    whole.boundary("refused", "reserve", error="refused").boundary("late", "reserve", timer="PT5S")
    whole.boundary("nudge", "reserve", interrupting=False, cycle="R/PT2S").end("nudged")
    whole.exclusive("again", default="again-fork").parallel("fork").parallel("join")
    whole.receive("answer", "answer", outputs={"answer.x": "= x"})
    whole.boundary("remind", "answer", timer="= wait", interrupting=False).end("reminded")
    whole.boundary("cancel", "answer", message="cancel").job("notify", tag="sendTask")
    whole.inclusive("some", default="some-guarded").inclusive("merge").sub("guarded", _guarded())
    whole.boundary("risen", "guarded", interrupting=False, escalation="up").end("rose")
    items = looped("= items", "item", "results", "= x", until="= numberOfCompletedInstances >= 2")
    whole.job("each", loop=items).boundary("dropped", "each", error="")
    inner = (
        Model().start("i-in").script("i-sum", "= item + 1", "x").catch("i-wait", timer="PT1S").end("i-out")
    )
    inner.path("i-in", "i-sum", "i-wait", "i-out")
    whole.sub("items", inner, looped("= items", "item", sequential=True))
    whole.call("child", "child", outputs={"child": "= done"}).boundary(
        "child-failed", "child", error="refused"
    )
    whole.events("gate").catch("yes", message="yes").catch("no", message="no", outputs={"why": "= x"})
    whole.catch("expired", timer="PT3S").throw("revert", compensate="").throw("jump", link="over")
    whole.catch("landed", link="over").end(f"done-{version}", outputs={"state": "DONE"})
    whole.end("failed", terminate=True).end("gave-up", compensate="reserve")
    whole.path("start", "take", "reserve", "again").flow("gone", "take").flow("rung", "reserve")
    whole.flow("again", "take", "= count < 2").flow("again", "fork")
    whole.path("fork", "answer", "join").path("fork", "notify", "join", "some")
    whole.flow("some", "guarded").flow("some", "each", "= count > 1").flow("some", "child", '= key = "k1"')
    whole.flow("some", "items", "= count >= 2")
    for name in ("guarded", "each", "child", "items"):
        whole.flow(name, "merge")
    whole.path("merge", "gate", "yes", "jump").path("landed", "give-back", f"done-{version}")
    whole.path("gate", "no", "revert", "failed").path("gate", "expired", "gave-up")
    for source, target in (
        ("refused", "failed"),
        ("over", "failed"),
        ("late", "reserve"),
        ("nudge", "nudged"),
        ("remind", "reminded"),
        ("cancel", "failed"),
        ("risen", "rose"),
        ("dropped", "merge"),
        ("child-failed", "merge"),
    ):
        whole.flow(source, target)
    late = Model().start("l-e", interrupting=False, timer="PT20S").end("l-o").path("l-e", "l-o")
    return whole.sub("very-late", late, by_event=True).xml()


def child():
    task = Model("child").start().job("work", outputs={"done": "= x"}).end().end("bad", error="refused")
    task.exclusive("well", default="well-end").path("start", "work", "well", "end")
    return task.flow("well", "bad", "= count = 3").xml()


def ticker():
    return Model("ticker").start("tick", cycle="R3/PT4S").end("tock").path("tick", "tock").xml()


class Walk:
    """Makes random commands from what a state offers, and some from nothing."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.now_ms = 1_000_000
        self.first = [
            FoundEngine(origin=f"north/{seed}"),
            *(DeployProcess(xml=xml) for xml in (child(), ticker(), everything(1))),
        ]

    def variables(self):
        return {
            "key": self.chance.choice([*KEYS, *KEYS, None]),
            "count": self.chance.randint(0, 3),
            "wait": self.chance.choice(["PT2S", "PT2S", "soon"]),
            "x": [1.5, {"y": None}],
            "items": self.chance.choice([[], [1], [1, 2, 3], "none"]),
            "limits": self.chance.choice([None, self.limits(), self.limits()]),
            "amount": {"amount": str(self.chance.randint(1, 6)), "currency": "UGX"},
        }

    def limits(self):
        return {
            "per_payment_minor": 5,
            "per_day_minor": self.chance.randint(20, 40),
            "per_member_day_minor": 20,
            "velocity_payments": 5,
            "velocity_window_ms": 10_000,
        }

    def callback(self):
        starts = self.chance.random() < 0.2
        return Callback(
            tenant=self.chance.choice(["lion", "rhino"]),
            name=self.chance.choice(MESSAGES),
            correlation_key=self.chance.choice(KEYS),
            variables={"x": self.chance.randint(0, 9)},
            start_process="everything" if starts else "",
            payment=f"tx-{self.chance.randint(0, 5)}" if starts else "",
            fingerprint=self.chance.choice(["f", "g"]),
            broadcast=self.chance.random() < 0.3,
            ttl_ms=self.chance.choice([0, 1000, 5000]),
            message_id=self.chance.choice(["", "", "id-1", "id-2", "id-3"]),
        )

    def start(self, _state):
        payment, tenant = f"tx-{self.chance.randint(0, 12)}", self.chance.choice(["lion", "rhino"])
        return StartInstance(
            process="everything", tenant=tenant, payment=payment, fingerprint="f", variables=self.variables()
        )

    def job(self, state):
        key, kind = self.chance.choice(list(state.index.jobs) or [1]), self.chance.random()
        if kind < 0.7:
            return CompleteJob(job=key, variables=self.variables())
        if kind < 0.85:
            return FailJob(job=key, message="down", retry_after_ms=100)
        return ThrowJobError(
            job=key, code=self.chance.choice(CODES), description="", variables={"error": {"code": 1}}
        )

    def message(self, _state):
        if self.chance.random() < 0.3:
            sequence = self.chance.randint(1, 30)
            lowest = self.chance.randint(1, sequence)
            return CorrelateMessage(
                callback=self.callback(), origin="south", sequence=sequence, lowest_open=lowest
            )
        return CorrelateMessage(callback=self.callback())

    def signal(self, _state):
        tenant, name = self.chance.choice(["lion", "rhino"]), self.chance.choice(SIGNALS)
        return BroadcastSignal(tenant=tenant, name=name, variables={"x": 1})

    def broadcast(self, state):
        left = [one.key for one in state.broadcasts()] or [1]
        if self.chance.random() < 0.1:
            return PassBroadcastOver(broadcast=self.chance.choice(left), code="failed", message="m")
        return ContinueBroadcast(
            broadcast=self.chance.choice(left), receivers_max=self.chance.choice([1, 256])
        )

    def due(self, state):
        self.now_ms += self.chance.randint(0, 3000)
        timers = [timer.key for timer in state.due_timers(self.now_ms)]
        if self.chance.random() < 0.05:
            return FailTimer(timer=self.chance.choice(timers or [1]), code="failed", message="m")
        messages = [message.key for message in state.expired_messages(self.now_ms)]
        if messages and self.chance.random() < 0.5:
            return ExpireMessage(message=self.chance.choice(messages))
        return TriggerTimer(timer=self.chance.choice(timers or [1]))

    def handover(self, state):
        if self.chance.random() < 0.5:
            return QueueHandover(owner="north", callback=self.callback())
        number = self.chance.randint(1, 9)
        if number == 9:
            return FenceTenant(tenant="lion", epoch=state.next_position)
        return AcknowledgeHandover(owner="north", sequence=number)

    def resolve(self, state):
        incident = self.chance.choice(list(state.index.incidents) or [1])
        return ResolveIncident(incident=incident, variables=self.chance.choice([{}, self.variables()]))

    def operator(self, state):
        key = self.chance.randint(1, state.next_key)
        running = list({place[0] for place in state.index.jobs.values()})
        key = self.chance.choice(running) if running and self.chance.random() < 0.9 else key
        found = state.document(key)
        inside = [0] if found is None else list(found.elements)
        kind = self.chance.randint(0, 4)
        if kind == 0:
            return SetVariables(
                instance=key, variables=self.variables(), element_instance=self.chance.choice(inside)
            )
        if kind == 1:
            return CancelInstance(instance=key, compensate=self.chance.random() < 0.7)
        if kind == 2:
            versions = [deployed.version for deployed in state.deployed() if deployed.process == "everything"]
            mapping = {"done-1": "done-2"} if self.chance.random() < 0.5 else {}
            return MigrateInstance(
                instance=key, version=self.chance.choice(versions or [""]), mapping=mapping
            )
        names = ["reserve", "check", "gate", "join", "each", "items", "guarded", "i-wait", "work", "revert"]
        wanted = self.chance.sample(names, k=self.chance.randint(0, 2))
        ended = self.chance.sample(inside, k=min(len(inside), self.chance.randint(0, 2)))
        return ModifyInstance(
            instance=key,
            activate=tuple(Activation(element=name, variables={"here": 1}) for name in wanted),
            terminate=tuple(ended),
        )

    def keep(self, _state):
        if self.chance.random() < 0.3:
            self.now_ms += self.chance.randint(0, 2 * DAY_MS)
            return ForgetUsage()
        if self.chance.random() < 0.5:
            return ForgetInstances(ended_before_ms=self.now_ms - self.chance.randint(0, 3000))
        return DeployProcess(xml=everything(self.chance.randint(1, 2)), tenant="lion")

    def command(self, state):
        if self.first:
            return self.first.pop(0)
        kinds = {
            self.start: 4,
            self.job: 30,
            self.message: 12,
            self.signal: 2,
            self.broadcast: 4,
            self.due: 10,
            self.handover: 2,
            self.resolve: 5,
            self.operator: 2,
            self.keep: 1,
        }
        return self.chance.choices(list(kinds), weights=list(kinds.values()))[0](state)
