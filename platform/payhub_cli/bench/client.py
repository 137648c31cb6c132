"""Sends payments to the leader, finds the next one, and sends again what has not ended by then."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.load import Load
from payhub_cli.bench.protocol import Answers, Entries, Look, ReadLog, Start, Status, frame, read
from payhub_cli.local.ports import LOOPBACK

TICK_S: Final = 0.005  # how often an open loop looks at what is due
POLL_S: Final = 0.02  # of the replicas while none leads
LOOK_S_MAX: Final = 1.0
LEADER_S_MAX: Final = 30.0
FINISH_S_MAX: Final = 60.0  # what is under way after a load's time
START_MAX: Final = 50  # payments a frame: the engine handles them in one go, unlike as many requests
NOT_LEADER: Final = "engine-not-leader"


class _MovedError(ConnectionError):
    """Another replica leads."""


class Client:
    """One connection at a time, to the leader.

    Attributes:
        leader: the id of the replica that it is (or was last) connected to.
        connections: how many there were so far.
        recovered_at: when the first payment ended after ``note_kill``, as the new leader tells; else None.
    """

    def __init__(self, ports: Mapping[str, int], check: Callable[[], None]) -> None:
        """Prepare.

        Args:
            ports: where the replicas listen, by id.
            check: raises when one ended that should not have.
        """
        self.leader = ""
        self.recovered_at: float | None = None
        self._ports = ports
        self._check = check
        self._loads: dict[str, Load] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.connections = 0
        self._kill_connection: int | None = None

    async def run(self, loads: Sequence[Load]) -> None:
        """Send loads until all are done, or too long after their time.

        Raises:
            BenchError: a replica ended by itself, or none leads.
        """
        self._loads = {load.plan.prefix: load for load in loads}
        seconds_max = max(load.plan.seconds for load in loads) + FINISH_S_MAX
        began = time.perf_counter()
        for load in loads:
            load.begin(began)
        sending = asyncio.create_task(self._send())
        pacing = asyncio.create_task(self._pace())
        try:
            # The deadline only tells the figures what is lost; they say so themselves.
            await asyncio.wait({sending, pacing}, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, pacing):
                task.cancel()
            results = await asyncio.gather(sending, pacing, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def note_kill(self) -> None:
        """Note that the leader was just killed: what a new connection tells counts as recovery."""
        self._kill_connection = self.connections
        self.recovered_at = None

    async def find_leader(self) -> str:
        """Return the replica that takes payments.

        Raises:
            BenchError: none does in time.
        """
        deadline = time.perf_counter() + LEADER_S_MAX
        while time.perf_counter() < deadline:
            for replica in self._ports:
                status = await self.look(replica)
                if status is not None and status.is_leader:
                    return replica
            self._check()
            await asyncio.sleep(POLL_S)
        raise BenchError(f"No replica leads after {LEADER_S_MAX:.0f} s.")

    async def look(self, replica: str) -> Status | None:
        """Return how a replica is; None where it does not answer."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(LOOK_S_MAX), self._connection(replica) as (reader, writer):
                writer.write(frame(Look()))
                answer = await read(reader)
                return answer if isinstance(answer, Status) else None
        return None

    async def read_log(self, replica: str) -> AsyncIterator[tuple[int, bytes]]:
        """Return all entries of a replica's log, in order.

        Raises:
            BenchError: its beginning is no longer there.
        """
        async with self._connection(replica) as (reader, writer):
            following = 1
            while True:
                writer.write(frame(ReadLog(following)))
                answer = await read(reader)
                if not isinstance(answer, Entries) or answer.first_index > 1:
                    raise BenchError(f"Replica {replica} does not hold its whole log any more.")
                if not answer.entries:
                    return
                for index, data in answer.entries:
                    yield index, data
                following = answer.entries[-1][0] + 1

    @contextlib.asynccontextmanager
    async def _connection(
        self, replica: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._ports[replica])
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send(self) -> None:
        while True:
            leader = await self.find_leader()
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                async with self._connection(leader) as (reader, writer):
                    self.leader = leader
                    self.connections += 1
                    self._writer = writer
                    self._send_again()
                    self._send_due(time.perf_counter())
                    await self._listen(reader)
            self._writer = None

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            answers = await read(reader)
            if isinstance(answers, Answers):
                self._take(answers, time.perf_counter())

    def _take(self, answers: Answers, now: float) -> None:
        loads = self._loads
        for payment in answers.accepted:
            if (load := loads.get(payment.rpartition("-")[0])) is not None:
                load.accepted.add(payment)
        for payments in (answers.completed, answers.known):
            for payment in payments:
                if (load := loads.get(payment.rpartition("-")[0])) is not None:
                    load.complete(payment, now)
        if answers.completed and self.recovered_at is None and self._is_after_kill:
            self.recovered_at = now
        if answers.refused:
            self._refused(answers)
        self._send_due(now)

    @property
    def _is_after_kill(self) -> bool:
        return self._kill_connection is not None and self.connections > self._kill_connection

    def _refused(self, answers: Answers) -> None:
        if NOT_LEADER in answers.codes:
            raise _MovedError(NOT_LEADER)  # all that is under way is sent to whoever leads
        now = time.perf_counter()
        for payment, retry_after_s in zip(answers.refused, answers.retry_after_s, strict=True):
            if (load := self._loads.get(payment.rpartition("-")[0])) is not None:
                load.refuse(payment, retry_after_s, now)

    def _send_refused(self, now: float) -> None:
        for load in self._loads.values():
            self._start(load, load.take_again(now))

    def _send_again(self) -> None:
        for load in self._loads.values():
            self._start(load, list(load.due_at))

    def _send_due(self, now: float) -> None:
        if self._writer is not None:
            for load in self._loads.values():
                self._start(load, load.take_due(now))

    def _start(self, load: Load, payments: list[str]) -> None:
        if self._writer is not None:
            for at in range(0, len(payments), START_MAX):
                self._writer.write(frame(Start(load.plan.tenant, payments[at : at + START_MAX])))

    async def _pace(self) -> None:
        """Send what is due in open loops, and what was refused; end when all loads are done."""
        while True:
            now = time.perf_counter()
            self._send_refused(now)
            self._send_due(now)
            if all(load.is_done(now) for load in self._loads.values()):
                return
            await asyncio.sleep(TICK_S)
