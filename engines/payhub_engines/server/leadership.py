"""Who leads the group, as whoever serves HTTP needs to know it."""

import asyncio
from typing import Final, Literal, Protocol

import msgspec

POLL_S: Final = 0.02


class Leadership(Protocol):
    """What a replica knows of its group's leader."""

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads and takes commands."""

    @property
    def leader(self) -> str | None:
        """The id of the replica that leads as far as is known here; may be this one before it takes any."""


class Replica(Leadership, Protocol):
    """What serving HTTP needs of an engine, beside what its handlers use."""

    @property
    def is_stopping(self) -> bool:
        """Whether ``prepare_stop`` was called: nobody should come here any more."""

    async def leadership_changed(self) -> None:
        """Return once ``is_leader`` or ``leader`` is no longer what it was at the call."""

    async def prepare_stop(self) -> None:
        """Let another replica lead where there is one, and go on answering; called once at most.

        Raises:
            PayhubError: nobody could take over; stopping goes on all the same.
        """

    async def failure(self) -> BaseException | None:
        """Wait until the replica can no longer go on, and return why."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``/health/ready``: 200 where ``status`` is ready, else 503."""

    status: Literal["starting", "ready", "stopping"]
    replica: str
    leader: str | None


def health(replica: Replica, own: str) -> Health:
    """Tell whether requests are served well here: by the leader, or by a follower that knows one."""
    leader = own if replica.is_leader else replica.leader
    if leader == own and not replica.is_leader:
        leader = None  # elected, and not yet taking commands
    if replica.is_stopping:
        return Health(status="stopping", replica=own, leader=leader)
    return Health(status="starting" if leader is None else "ready", replica=own, leader=leader)


class LeadershipWatch:
    """Makes a change of leadership awaitable; looks at it only as long as anybody waits.

    The log needs no hook for it, and a request that waits for a new leader loses some milliseconds.
    """

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self._waiting: dict[asyncio.Future[None], tuple[bool, str | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def changed(self) -> None:
        """Return once who leads is no longer who led at the call."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = self._now()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="leadership")
        try:
            await waiter
        finally:
            self._waiting.pop(waiter, None)

    def _now(self) -> tuple[bool, str | None]:
        return self._leadership.is_leader, self._leadership.leader

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(POLL_S)
            now = self._now()
            for waiter, before in self._waiting.items():
                if before != now and not waiter.done():
                    waiter.set_result(None)
