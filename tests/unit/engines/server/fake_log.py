"""A replicated log in memory, of which the test decides what commits, who leads and what is refused."""

import asyncio

from payhub_engines.consensus.errors import NotLeaderError, OutcomeUnknownError
from payhub_engines.consensus.log import OnRole, StateMachine


class FakeLog:
    """Implements ``ReplicatedLog`` for one replica; other leaders are played by the test.

    Attributes:
        is_held: appends and barriers wait for ``commit`` and ``confirm``.
        refusal: raised by every append and barrier at once.
        refuse_after: appends that are still taken before ``refusal`` counts; None: it counts at once.
        taker: who leads after a hand-over.
    """

    def __init__(self) -> None:
        self.committed: list[tuple[int, bytes]] = []
        self.is_held = False
        self.refusal: Exception | None = None
        self.refuse_after: int | None = None
        self.taker: str | None = None
        self.is_leader = False
        self.leader: str | None = None
        self.term = 0
        self.first_index = 1
        self.appended = 0
        self._pending: list[tuple[bytes, asyncio.Future[int]]] = []
        self._barriers: list[asyncio.Future[None]] = []
        self._machine: StateMachine | None = None
        self._on_role: OnRole = lambda _: None
        self._stopped = asyncio.Event()

    @property
    def commit_index(self) -> int:
        return self.committed[-1][0] if self.committed else 0

    @property
    def machine(self) -> StateMachine:
        assert self._machine is not None
        return self._machine

    async def start(self, machine: StateMachine, on_role: OnRole) -> None:
        self._machine, self._on_role = machine, on_role
        for index, data in list(self.committed):
            if index > machine.applied_index:
                machine.apply(index, data)

    def lead(self) -> None:
        self.term += 1
        self.is_leader, self.leader = True, "1"
        self._on_role(self.is_leader)

    def lose(self) -> list[bytes]:
        """Lose the leadership; return what was proposed and may or may not be kept by the next leader."""
        proposed = [data for data, _ in self._pending]
        waiting: list[asyncio.Future] = [*(waiter for _, waiter in self._pending), *self._barriers]
        self._pending, self._barriers = [], []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(OutcomeUnknownError())
        self.is_leader, self.leader = False, "2"
        self._on_role(self.is_leader)
        return proposed

    async def append(self, data: bytes) -> int:
        self._refuse()
        self.appended += 1
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append((data, waiter))
        if not self.is_held:
            self.commit()
        return await waiter

    def commit(self) -> None:
        """Commit what was proposed."""
        pending, self._pending = self._pending, []
        for data, waiter in pending:
            index = self.put(data)
            if not waiter.done():
                waiter.set_result(index)

    def put(self, data: bytes) -> int:
        """Commit an entry, this replica's or another leader's."""
        index = self.commit_index + 1
        self.committed.append((index, data))
        self.machine.apply(index, data)
        return index

    async def barrier(self) -> None:
        self._refuse()
        if self.is_held:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._barriers.append(waiter)
            await waiter

    def confirm(self) -> None:
        """Let the reads go on."""
        barriers, self._barriers = self._barriers, []
        for waiter in barriers:
            if not waiter.done():
                waiter.set_result(None)

    async def hand_over(self) -> str | None:
        self._refuse()
        if self.taker is not None:
            self.lose()
        return self.taker

    def entries(self, from_index: int, bytes_max: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        size = 0
        for index, data in self.committed:
            if index >= from_index and index <= self.machine.applied_index:
                size += len(data)
                if found and size > bytes_max:
                    break
                found.append((index, data))
        return found

    def trim(self, below_index: int) -> None:
        self.first_index = max(self.first_index, below_index)

    async def stop(self) -> None:
        self._stopped.set()

    async def wait_stopped(self) -> None:
        await self._stopped.wait()

    def _refuse(self) -> None:
        if not self.is_leader:
            raise NotLeaderError
        if self.refusal is not None:
            if self.refuse_after is None or self.refuse_after <= 0:
                raise self.refusal
            self.refuse_after -= 1
