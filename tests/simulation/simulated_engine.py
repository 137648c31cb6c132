"""An engine without a disk: real core, real hand-over workers, a log that is a list, crashes at any point."""

import asyncio
import random
from collections.abc import Callable

from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.commands import Command
from payhub_engines.core.events import AnyEvent, LogEntry, decode_entry, encode_entry
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.processor import Processor, seal
from payhub_engines.core.reply import Reply
from payhub_engines.core.state import State
from payhub_engines.core.store import Store
from payhub_engines.handover.receiver import HandoverReceiver
from payhub_engines.handover.sender import HandoverSender
from payhub_platform.errors import UnavailableError

DISK_S_MAX = 0.05


class SimulatedStream:
    """Decides batches over committed state, as the stream processor does; the disk takes its time.

    A crash while the disk works loses the batch or (once the log has it) only its replies.
    """

    def __init__(self, catalogue: Catalogue, log: list[bytes], chance: random.Random) -> None:
        self._processor = Processor(catalogue)
        self._log = log
        self._chance = chance
        self._store = replayed(log)
        self._waiting: list[tuple[Command, asyncio.Future[Reply]]] = []
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[LogEntry], None]] = []

    @property
    def view(self) -> State:
        return State(self._store)

    @property
    def store(self) -> Store:
        return self._store

    def on_committed(self, listener: Callable[[LogEntry], None]) -> None:
        self._listeners.append(listener)

    async def submit(self, command: Command) -> Reply:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, reply))
        self._wake.set()
        return await reply

    def crash(self) -> None:
        for _, reply in self._waiting:
            if not reply.done():
                reply.set_exception(UnavailableError("crashed", "The engine is gone."))

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._commit(now_ms=round(asyncio.get_running_loop().time() * 1000))

    async def _commit(self, now_ms: int) -> None:
        batch, deciding = list(self._waiting), copied(self._store)
        outcomes = [self._processor.process(command, deciding, now_ms) for command, _ in batch]
        entry = seal(outcomes, deciding, now_ms)
        await asyncio.sleep(self._chance.uniform(0, DISK_S_MAX))
        if entry.events:
            self._log.append(encode_entry(entry))
            await asyncio.sleep(self._chance.uniform(0, DISK_S_MAX))
            self._store = deciding
            for listener in self._listeners:
                listener(entry)
        for (_, reply), outcome in zip(batch, outcomes, strict=True):
            if not reply.done():
                reply.set_result(outcome.reply)
        self._waiting = self._waiting[len(batch) :]
        if self._waiting:
            self._wake.set()


class SimulatedEngine:
    """The parts that a hand-over passes, started and crashed together; only the log survives a crash."""

    def __init__(self, name: str, catalogue: Catalogue, bus, chance: random.Random) -> None:
        self.name = name
        self.log: list[bytes] = []
        self._catalogue = catalogue
        self._bus = bus
        self._chance = chance
        self._tasks: list[asyncio.Task[None]] = []
        self._receiver: HandoverReceiver | None = None
        self.stream: SimulatedStream | None = None

    def start(self) -> None:
        self.stream = SimulatedStream(self._catalogue, self.log, self._chance)
        self._receiver = HandoverReceiver(self.name, self.stream, self._bus)
        sender = HandoverSender(self.name, self.stream, self._bus)
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

    async def submit(self, command: Command) -> Reply:
        if self.stream is None:
            raise UnavailableError("crashed", "The engine is not there.")
        return await self.stream.submit(command)

    def logged(self, *kinds: type[AnyEvent]) -> list[tuple[LogEntry, AnyEvent]]:
        """Return the logged events of some kinds with their entries."""
        entries = [decode_entry(raw) for raw in self.log]
        return [(entry, event) for entry in entries for event in entry.events if isinstance(event, kinds)]


def replayed(log: list[bytes]) -> MemoryStore:
    """Build the state out of the log alone."""
    store = MemoryStore()
    for raw in log:
        apply_entry(decode_entry(raw), store)
    return store


def copied(store: Store) -> MemoryStore:
    """Copy a state."""
    copy = MemoryStore()
    for key, value in store.scan(b""):
        copy.put(key, value)
    return copy
