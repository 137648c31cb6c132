"""Clients, readers and an operator: they send, give up, send again, and remember what they were told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from simulation.engine_checks import History, Sight
from simulation.engine_outside import variables_of
from simulation.engine_processes import BENCH, LIMITED, OWN
from simulation.engine_replica import Replica
from simulation.raft_checks import SafetyViolationError

from payhub_engines.core.commands import (
    CancelInstance,
    Command,
    CorrelateMessage,
    QueueHandover,
    ResolveIncident,
    StartInstance,
)
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.state import State
from payhub_platform.contracts.handover import Callback
from payhub_platform.errors import PayhubError, UnavailableError

TENANTS = ("lion", "puma")
AT_THE_OTHER = 0.4  # how many callbacks reach the neighbour
T = TypeVar("T")
Place = tuple[str, str, str]


class Neighbour(Protocol):
    clients: "Clients"


class Group(Protocol):
    engine: str
    neighbour: Neighbour | None
    history: History
    replicas: dict[str, Replica]
    has_faults: bool

    def begin(self, work: Awaitable[None]) -> None: ...


class Clients:
    """Attributes:
    busy: how many still have something to do.
    """

    def __init__(
        self, group: Group, chooser: random.Random, *, has_bench: bool, has_limits: bool = False
    ) -> None:
        self.group = group
        self.history = group.history
        self.chooser = chooser
        self.busy = 0
        self._processes = [*OWN, BENCH] if has_bench else list(OWN)
        if has_limits:
            self._processes += [LIMITED] * len(self._processes)
        self._places: list[Place] = []

    def begin(self, payments: int, within_s: float) -> None:
        for number in range(payments):
            self._begin(self._pay(f"p{number}", self.chooser.uniform(0, within_s)))
        for _ in range(2):
            self.group.begin(self._read())
        self.group.begin(self._operate())

    def deliver(self, callback: Callback, after_s: float) -> None:
        """Bring a message of the switch until the engine has taken it."""
        self._begin(self._deliver(callback, after_s))

    def _begin(self, work: Awaitable[None]) -> None:
        async def counted() -> None:
            await work
            self.busy -= 1

        self.busy += 1
        self.group.begin(counted())

    async def _deliver(self, callback: Callback, after_s: float) -> None:
        await asyncio.sleep(after_s)
        neighbour = self.group.neighbour
        if neighbour is not None and self.chooser.random() < AT_THE_OTHER:
            # It reaches the engine that does not own the tenant.
            self.history.seen["callback at the other engine"] += 1
            command = QueueHandover(owner=self.group.engine, callback=callback)
            reply = await neighbour.clients.submit(command, callback.tenant)
        else:
            reply = await self.submit(CorrelateMessage(callback=callback), callback.tenant)
        if isinstance(reply, Rejected):
            self.history.fail(SafetyViolationError(f"{callback.message_id} was refused: {reply.code}"))

    async def _pay(self, payment: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        process, tenant = self.chooser.choice(self._processes), self.chooser.choice(TENANTS)
        command = StartInstance(
            process=process,
            tenant=tenant,
            payment=payment,
            fingerprint="one",
            variables=variables_of(process, payment, self.chooser),
        )
        place = (tenant, process, payment)
        self._places.append(place)
        for _ in range(self.chooser.choice([1, 1, 1, 2])):
            reply = await self.submit(command, tenant)
            if isinstance(reply, Accepted):
                self.history.acknowledge(place, reply.key)
            else:
                self.history.fail(SafetyViolationError(f"{payment} was refused: {reply.code}"))
        if self.chooser.random() < 0.1:
            other = StartInstance(
                process=process, tenant=tenant, payment=payment, fingerprint="two", variables={}
            )
            reply = await self.submit(other, tenant)
            if not isinstance(reply, Rejected) or reply.code != "key-reused":
                self.history.fail(SafetyViolationError(f"{payment} was taken with another content"))

    async def submit(self, command: Command, tenant: str) -> Reply:
        """Send a command until it is answered."""
        return await self._ask(lambda replica: replica.parts.stream.submit(command, tenant))

    async def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        while True:
            found = await self._try(question)
            if found is not None:
                return found
            await asyncio.sleep(self.chooser.uniform(0.01, 0.3))

    async def _try(self, question: Callable[[Any], Awaitable[T]]) -> T | None:
        """Ask one replica, usually one that says it leads; None: nobody knows what came of it."""
        await asyncio.sleep(self.chooser.uniform(0, 0.005))
        up = [replica for replica in self.group.replicas.values() if replica.is_up and replica.parts]
        leading = [replica for replica in up if replica.leads]
        choice = leading if leading and self.chooser.random() < 0.9 else up
        if not choice:
            return None
        replica = self.chooser.choice(choice)
        life = replica.life
        try:
            async with asyncio.timeout(self.chooser.choice([0.3, 3.0])):
                answer = await question(replica)
        except (TimeoutError, UnavailableError):
            return None
        except PayhubError as error:
            self.history.fail(SafetyViolationError(f"a command failed: {error}"))
            return None
        # The answer of a killed process arrives only where it had left before.
        return None if life is None or life.is_dying or life.is_paused else answer

    async def _read(self) -> None:
        """Look at some payments, for ever: no read may show less than what was known, or what is not so."""
        while True:
            # Where two say that they lead, one of them is wrong: that is when reads are worth most.
            leading = sum(replica.leads for replica in self.group.replicas.values())
            await asyncio.sleep(self.chooser.uniform(0.002, 0.02 if leading > 1 else 0.4))
            places = self.chooser.sample(self._places, min(6, len(self._places)))
            floor = self.history.floor
            sight = await self._try(
                lambda replica, asked=places: replica.parts.stream.read(lambda state: _look(state, asked))
            )
            if sight is not None:
                self.history.saw(floor, sight)

    async def _operate(self) -> None:
        """Resolve incidents, and cancel a few batches, for ever."""
        while True:
            await asyncio.sleep(self.chooser.uniform(0.2, 1))
            open_ = await self._try(
                lambda replica: replica.parts.stream.read(
                    lambda state: [one.key for one in state.incidents()]
                )
            )
            for key in open_ or []:
                self.history.seen["incident resolved"] += 1
                await self._try(
                    lambda replica, key=key: replica.parts.stream.submit(ResolveIncident(incident=key))
                )
            if self.group.has_faults and self.chooser.random() < 0.1 and self._places:
                place = self.chooser.choice(self._places)
                trace = self.history.traces.by_payment.get(place)
                if place[1] == "sim-batch" and trace is not None and not trace.outcome:
                    self.history.seen["instance cancelled"] += 1
                    command = CancelInstance(instance=trace.key)
                    await self._try(lambda replica, one=command: replica.parts.stream.submit(one))


def _look(state: State, places: list[Place]) -> Sight:
    shown: dict[Place, tuple[int, str] | None] = {}
    for place in places:
        found = state.find_instance(*place)
        shown[place] = None if found is None else (found.key, found.outcome)
    return Sight(state.next_position, shown)
