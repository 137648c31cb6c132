"""Two engines hand callbacks over to each other while NATS and they themselves fail; a seed is a story.

The senders and receivers are the real ones, in virtual time. After every story each callback that an
engine has committed into its outbox took effect at the other engine, and no one twice.
"""

import asyncio
import random
from collections import Counter

import pytest
from simulation.simulated_bus import SimulatedBus
from simulation.simulated_engine import SimulatedEngine, replayed
from simulation.virtual_time import run_virtual

from payhub_engines.core.commands import QueueHandover, StartInstance
from payhub_engines.core.events import (
    HandoverAcknowledged,
    HandoverQueued,
    HandoverReceived,
    MessageCorrelated,
)
from payhub_engines.core.memory_store import write
from payhub_engines.core.reply import Accepted
from payhub_engines.core.state import digest
from payhub_engines.core.tables import RECEIVED
from payhub_engines.handover.sender import AT_ONCE_MAX
from payhub_platform.contracts.handover import Callback
from payhub_platform.errors import UnavailableError

SEEDS = 300
CALLBACKS = 12  # to each engine
STORY_S = 15.0
CRASHES_MAX = 4
DOWN_S_MAX = 3.0
HEALED_S_MAX = 60.0
TTL_MS = 3_600_000

# Two receives in a row: what takes effect twice ends the instance.
PROCESS = b"""<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">
  <message id="m" name="answer"><extensionElements>
    <zeebe:subscription correlationKey="=id"/></extensionElements></message>
  <process id="ask" isExecutable="true">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="once"/>
    <receiveTask id="once" messageRef="m"/><sequenceFlow id="f2" sourceRef="once" targetRef="twice"/>
    <receiveTask id="twice" messageRef="m"/><sequenceFlow id="f3" sourceRef="twice" targetRef="end"/>
    <endEvent id="end"/>
  </process>
</definitions>"""


class Story:
    """One run: the same payment ids and engines at both sides, so that nothing may be mixed up."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bus = SimulatedBus(self.chance)
        self.engines = {
            name: SimulatedEngine(name, PROCESS, self.bus, self.chance) for name in ("north", "south")
        }
        self.acknowledged: Counter[tuple[str, str]] = Counter()  # by owner and payment

    async def tell(self) -> None:
        for engine in self.engines.values():
            engine.start()
        acts = [self._crashes(engine) for engine in self.engines.values()]
        for owner, origin in (("north", "south"), ("south", "north")):
            for number in range(CALLBACKS):
                acts += [self._payment(owner, f"p{number}"), self._callback(origin, owner, f"p{number}")]
        await asyncio.gather(*acts)
        self.bus.is_bad = False
        async with asyncio.timeout(HEALED_S_MAX):
            while not all(engine.is_done for engine in self.engines.values()):
                await asyncio.sleep(0.1)
        for owner, origin in (("north", "south"), ("south", "north")):
            self._check(self.engines[owner], self.engines[origin])
        for engine in self.engines.values():
            await engine.crash()

    async def _crashes(self, engine: SimulatedEngine) -> None:
        moments = sorted(self.chance.uniform(0, STORY_S) for _ in range(self.chance.randint(0, CRASHES_MAX)))
        now_s = asyncio.get_running_loop().time
        for moment in moments:
            await asyncio.sleep(max(0.0, moment - now_s()))
            await engine.crash()
            await asyncio.sleep(self.chance.uniform(0, DOWN_S_MAX))
            engine.start()

    async def _payment(self, owner: str, payment: str) -> None:
        """Start a payment at its owner before or after its callback; the same key may come again."""
        await asyncio.sleep(self.chance.uniform(0, STORY_S))
        command = StartInstance(
            process="ask", tenant="lion", payment=payment, fingerprint="f", variables={"id": payment}
        )
        while True:
            try:
                await self.engines[owner].submit(command)
            except UnavailableError:
                await asyncio.sleep(0.2)
            else:
                return

    async def _callback(self, origin: str, owner: str, payment: str) -> None:
        """Give a callback to the engine that does not own it, once."""
        await asyncio.sleep(self.chance.uniform(0, STORY_S))
        callback = Callback(
            tenant="lion",
            name="answer",
            correlation_key=payment,
            variables={},
            payment=payment,
            ttl_ms=TTL_MS,
        )
        try:
            reply = await self.engines[origin].submit(QueueHandover(owner=owner, callback=callback))
        except UnavailableError:
            return
        assert isinstance(reply, Accepted)
        self.acknowledged[owner, payment] += 1

    def _check(self, owner: SimulatedEngine, origin: SimulatedEngine) -> None:
        queued = Counter(event.callback.payment for _, event in origin.logged(HandoverQueued))
        effects = Counter(
            entry.scopes[event.instance].payment for entry, event in owner.logged(MessageCorrelated)
        )
        promised = {payment for (name, payment) in self.acknowledged if name == owner.name}
        assert promised <= set(queued), "an acknowledged callback is not in the log"
        assert effects == queued, "a callback was lost or took effect twice"
        sequences = [event.sequence for _, event in origin.logged(HandoverQueued)]
        received = [event.sequence for _, event in owner.logged(HandoverReceived)]
        done = [event.sequence for _, event in origin.logged(HandoverAcknowledged)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert sorted(received) == sorted(done) == sequences
        state, store = replayed(owner.disk.log)
        for payment in queued:
            assert state.find_instance("lion", "ask", payment).active_elements == ("twice",)
        assert state.counts().messages == 0
        live = owner.stream.machine
        write(live.state, live.store)
        assert digest(store) == digest(live.store)
        assert sum(1 for _ in store.scan(RECEIVED)) <= AT_ONCE_MAX


@pytest.mark.timeout(120)
def test_every_committed_callback_takes_effect_once_whatever_fails() -> None:
    queued = 0
    for seed in range(SEEDS):
        story = Story(seed)
        try:
            run_virtual(story.tell())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        queued += sum(story.acknowledged.values())
    assert queued > SEEDS * CALLBACKS  # most callbacks were taken, so the stories tell something
