"""What always meets a defect is tried later and later, is seen, and holds nothing else up."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

from simulation.virtual_time import run_virtual
from unit.engines.core.conftest import Model
from unit.engines.server.fake_log import FakeLog

from payhub_engines.core.commands import (
    BroadcastSignal,
    ContinueBroadcast,
    DeployProcess,
    StartInstance,
    TriggerTimer,
)
from payhub_engines.core.processor import Batch
from payhub_engines.server import retries
from payhub_engines.server.retries import SUBJECTS_MAX, WAIT_S_MAX, WAIT_S_MIN, Retries
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.server.timers import TimerWorker


def test_the_wait_doubles_up_to_a_bound_and_ends_with_success():
    async def tell():
        tried, now_s = Retries(), asyncio.get_running_loop().time
        waits = []
        for count in range(1, 14):
            assert tried.failed(7) == count
            since_s = now_s()
            while tried.held():
                await asyncio.sleep(WAIT_S_MIN / 2)
            waits.append(now_s() - since_s)
        expected = [min(WAIT_S_MIN * 2**number, WAIT_S_MAX) for number in range(13)]
        assert all(abs(one - other) <= WAIT_S_MIN for one, other in zip(waits, expected, strict=True))
        assert tried.has_failed(7)
        tried.done(7)
        assert not tried.has_failed(7)
        assert tried.failed(7) == 1

    run_virtual(tell())


def test_only_so_many_are_remembered():
    async def tell():
        tried = Retries()
        for subject in range(SUBJECTS_MAX + 10):
            tried.failed(subject)
        assert len(tried.held()) == SUBJECTS_MAX

    run_virtual(tell())


class Run:
    """A stream processor and its timer worker in virtual time, over a log that commits at once."""

    def __init__(self, xml: bytes) -> None:
        self._folder = TemporaryDirectory()
        self.log = FakeLog()
        self.stream = StreamProcessor(
            Path(self._folder.name) / "state",
            self.log,
            lambda: round(asyncio.get_running_loop().time() * 1000),
            lambda _: [DeployProcess(xml=xml)],
        )
        self._worker = TimerWorker(
            self.stream, lambda: round(asyncio.get_running_loop().time() * 1000), kept_ms=10**9
        )

    async def __aenter__(self) -> Self:
        await self.stream.start()
        self.log.lead()
        self._task = asyncio.create_task(self._worker.run())
        while not self.stream.is_ready:
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.stream.stop()
        self._folder.cleanup()


class Poisoned(Batch):
    """Meets a defect with the first timer of all."""

    tries: ClassVar[list[float]] = []
    is_mended = False

    def decide(self, command):
        poisoned = isinstance(command, TriggerTimer) and command.timer == min(
            self._decision.state.index.timers
        )
        if poisoned and not Poisoned.is_mended:
            Poisoned.tries.append(asyncio.get_running_loop().time())
            raise RuntimeError("poison")
        return super().decide(command)


def process(catch: dict[str, str]) -> bytes:
    return Model().start().catch("c", **catch).job("a").end().path("start", "c", "a", "end").xml()


def started(number: int) -> StartInstance:
    return StartInstance(process="p", tenant="lion", payment=f"p{number}", fingerprint="", variables={})


def test_a_timer_that_meets_a_defect_is_an_incident_and_holds_no_other_up(monkeypatch):
    monkeypatch.setattr("payhub_engines.server.commits.Batch", Poisoned)
    monkeypatch.setattr(Poisoned, "tries", [])
    monkeypatch.setattr(Poisoned, "is_mended", False)

    async def tell():
        async with Run(process({"timer": "PT1S"})) as run:
            for number in range(3):
                await run.stream.submit(started(number))
            await asyncio.sleep(300)
            state = run.stream.machine.state
            [incident] = state.incidents()
            assert (incident.code, incident.element, incident.payment) == ("command-failed", "c", "p0")
            assert state.counts().jobs == 2
            assert len(Poisoned.tries) < 16
            monkeypatch.setattr(Poisoned, "is_mended", True)
            await asyncio.sleep(retries.WAIT_S_MAX + 2)
            assert state.counts().jobs == 3
            assert not list(state.incidents())

    run_virtual(tell())


class PoisonedReceiver(Batch):
    """Meets a defect where a broadcast is to reach the fifth instance."""

    def decide(self, command):
        reply = super().decide(command)
        if isinstance(command, ContinueBroadcast):
            jobs = [place[0] for place in self._decision.state.index.jobs.values()]
            fifth = self._decision.state.find_key("lion", "p", "p4")
            if fifth in jobs:
                raise RuntimeError("poison")
        return reply


def test_a_receiver_that_meets_a_defect_is_an_incident_and_holds_no_other_up(monkeypatch):
    monkeypatch.setattr("payhub_engines.server.commits.Batch", PoisonedReceiver)
    monkeypatch.setattr("payhub_engines.core.broadcasts.RECEIVERS_A_COMMAND_MAX", 2)

    async def tell():
        async with Run(process({"signal": "bell"})) as run:
            for number in range(9):
                await run.stream.submit(started(number))
            await run.stream.submit(BroadcastSignal(tenant="lion", name="bell", variables={"x": 1}))
            await asyncio.sleep(30)
            state = run.stream.machine.state
            [incident] = state.incidents()
            assert (incident.code, incident.payment) == ("command-failed", "p4")
            assert state.incident_payload(incident.key) == {"x": 1}
            assert state.counts().jobs == 8
            assert not list(state.broadcasts())

    run_virtual(tell())
