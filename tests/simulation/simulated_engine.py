"""An engine without a disk: real core, real hand-over workers, a log that is a list, crashes at any point."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar, cast

from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.commands import Command, DeployProcess, FoundEngine
from payhub_engines.core.events import AnyEvent, LogEntry, decode_entry, encode_entry
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Reply
from payhub_engines.core.state import State
from payhub_engines.handover.receiver import HandoverReceiver
from payhub_engines.handover.sender import HandoverSender
from payhub_platform.errors import UnavailableError

_T = TypeVar("_T")
Read = Callable[[State], Any]

DISK_S_MAX = 0.05
WRITTEN_AFTER_A_BATCH = 0.1  # how often the state is written


class SimulatedDisk:
    """What survives a crash: the log, and the state as it was last written."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self._store = MemoryStore()
        self._applied = 0

    def read(self) -> tuple[State, MemoryStore]:
        """Load what was written, and replay the log above it; return the state and its store."""
        store = copied(self._store)
        state = State(store)
        for raw in self.log[self._applied :]:
            apply_entry(decode_entry(raw), state)
        return state, store

    def write(self, state: State, store: MemoryStore) -> None:
        """Write a state that holds all of the log."""
        write(state, store)
        self._store, self._applied = copied(store), len(self.log)


class SimulatedMachine:
    """The state that the workers read when they begin to lead."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.state, self.store = disk.read()


class SimulatedStream:
    """Decides batches on the state, as the stream processor does; the disk takes its time.

    A crash while the disk works loses the batch or (once the log has it) only its replies.
    """

    def __init__(self, disk: SimulatedDisk, opening: list[Command], chance: random.Random) -> None:
        self.machine = SimulatedMachine(disk)
        self._disk = disk
        self._opening = opening
        self._chance = chance
        self._waiting: list[tuple[Command | Read, asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[LogEntry], None]] = []
        self._role_listeners: list[Callable[[bool], None]] = []

    @property
    def waiting(self) -> int:
        """How many commands wait, those included whose entry is not committed yet."""
        return len(self._waiting)

    def on_committed(self, listener: Callable[[LogEntry], None]) -> None:
        self._listeners.append(listener)

    def on_role(self, listener: Callable[[bool], None]) -> None:
        self._role_listeners.append(listener)

    async def submit(self, command: Command, tenant: str = "") -> Reply:  # noqa: ARG002 - one turn for all
        return cast("Reply", await self._put(command))

    async def read(self, function: Callable[[State], _T], tenant: str = "") -> _T:  # noqa: ARG002
        """Return what a function finds between two batches."""
        return cast("_T", await self._put(function))

    def refusal_of_payment(self, _tenant: str) -> None:
        """Refuse nothing."""

    async def _put(self, asked: Command | Read) -> Any:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, reply))
        self._wake.set()
        return await reply

    def crash(self) -> None:
        for _, reply in self._waiting:
            if not reply.done():
                reply.set_exception(UnavailableError("crashed", "The engine is gone."))

    async def run(self) -> None:
        await self._decide(self._opening)
        is_leader = True
        for listener in self._role_listeners:
            listener(is_leader)
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._commit()

    async def _commit(self) -> None:
        batch = list(self._waiting)
        replies = iter(await self._decide([asked for asked, _ in batch if isinstance(asked, Command)]))
        for asked, reply in batch:
            answer = next(replies) if isinstance(asked, Command) else asked(self.machine.state)
            if not reply.done():
                reply.set_result(answer)
        self._waiting = self._waiting[len(batch) :]
        if self._waiting:
            self._wake.set()

    async def _decide(self, commands: list[Command]) -> list[Reply]:
        state, now_ms = self.machine.state, round(asyncio.get_running_loop().time() * 1000)
        batch = Batch(state, now_ms)
        replies = [batch.decide(command) for command in commands]
        entry = batch.seal()
        await asyncio.sleep(self._chance.uniform(0, DISK_S_MAX))
        if entry is not None:
            self._disk.log.append(encode_entry(entry))
            await asyncio.sleep(self._chance.uniform(0, DISK_S_MAX))
            for listener in self._listeners:
                listener(entry)
            if self._chance.random() < WRITTEN_AFTER_A_BATCH:
                self._disk.write(state, self.machine.store)
        return replies


class SimulatedEngine:
    """The parts that a hand-over passes, started and crashed together; only the disk survives a crash."""

    def __init__(self, name: str, process: bytes, bus, chance: random.Random) -> None:
        self.name = name
        self.disk = SimulatedDisk()
        self._opening: list[Command] = [FoundEngine(origin=f"{name}/first"), DeployProcess(xml=process)]
        self._bus = bus
        self._chance = chance
        self._tasks: list[asyncio.Task[None]] = []
        self._receiver: HandoverReceiver | None = None
        self.stream: SimulatedStream | None = None

    def start(self) -> None:
        self.stream = SimulatedStream(self.disk, self._opening, self._chance)
        self._receiver = HandoverReceiver(self.name, self.stream, self._bus)
        sender = HandoverSender(self.stream, self._bus)
        for work in (self.stream.run(), self._receiver.run(), sender.run()):
            self._tasks.append(asyncio.create_task(work))

    async def crash(self) -> None:
        """Take the engine away in the middle of whatever it does."""
        self._bus.forget(self.name)
        if self.stream is None or self._receiver is None:
            return
        stream, self.stream = self.stream, None
        for task in self._tasks:
            task.cancel()
        stopping = asyncio.create_task(self._receiver.stop())
        ended = await asyncio.gather(*self._tasks, stopping, return_exceptions=True)
        assert all(error is None or isinstance(error, asyncio.CancelledError) for error in ended), ended
        self._tasks.clear()
        stream.crash()

    @property
    def is_done(self) -> bool:
        """Whether all that was ever queued is acknowledged, and that is committed."""
        if self.stream is None:
            return False
        return not self.stream.waiting and not self.stream.machine.state.counts().outbox

    async def submit(self, command: Command) -> Reply:
        if self.stream is None:
            raise UnavailableError("crashed", "The engine is not there.")
        return await self.stream.submit(command)

    def logged(self, *kinds: type[AnyEvent]) -> list[tuple[LogEntry, AnyEvent]]:
        """Return the logged events of some kinds with their entries."""
        entries = [decode_entry(raw) for raw in self.disk.log]
        return [(entry, event) for entry in entries for event in entry.events if isinstance(event, kinds)]


def replayed(log: list[bytes]) -> tuple[State, MemoryStore]:
    """Build the state out of the log alone; return it, written, with its store."""
    store = MemoryStore()
    state = State(store)
    for raw in log:
        apply_entry(decode_entry(raw), state)
    write(state, store)
    return state, store


def copied(store: MemoryStore) -> MemoryStore:
    """Copy a store."""
    copy = MemoryStore()
    for key, value in store.scan(b""):
        copy.put(key, value)
    return copy
