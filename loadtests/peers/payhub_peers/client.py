"""The one client for all peers: a closed loop of submitters that each wait for their workflow's end."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from payhub_peers.processes import PeerError

HTTP_OK: Final = 200
HTTP_ACCEPTED: Final = 202
HTTP_UNKNOWN: Final = 404
HTTP_CLIENT_ERROR: Final = 400
HTTP_SERVER_ERROR: Final = 500
RETRY_S: Final = 0.02
REQUEST_S_MAX: Final = 30.0
WORKFLOW_S_MAX: Final = 120.0  # a workflow that has not ended by then, outages included, counts as lost
FINISH_S_MAX: Final = WORKFLOW_S_MAX + REQUEST_S_MAX
_NO_BODY: Final = ("Content-Type",)  # Restate refuses a type where there is no body


@dataclass(frozen=True, slots=True)
class Target:
    """Where a peer's workflows are submitted and waited for; several addresses are replicas of one."""

    addresses: tuple[str, ...]
    submit_path: Callable[[str], str]
    wait_path: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to load, and with how many submitters; what is under way at the end is finished."""

    prefix: str  # of the workflows' ids
    clients: int
    seconds: float
    workflows_max: int


@dataclass(slots=True)
class Load:
    """What happened so far; times are seconds of the monotonic clock."""

    began_at: float = 0.0
    accepted: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    completed_at: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first submission to the last completion."""
        return max(self.completed_at, default=self.began_at) - self.began_at


class LostError(Exception):
    """An accepted workflow is unknown, or did not end in time."""


class Client:
    """Loads one peer."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self.load = Load()
        self._target = target
        self._plan = plan
        self._address = target.addresses[0]
        self._others = itertools.cycle((*target.addresses[1:], target.addresses[0]))
        self._numbers = itertools.islice(itertools.count(1), plan.workflows_max)

    async def run(self) -> Load:
        """Load the peer until the plan is done.

        Raises:
            PeerError: the peer refuses a workflow for good.
        """
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX)
        connector = aiohttp.TCPConnector(limit=self._plan.clients)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self.load.began_at = time.monotonic()
            until = self.load.began_at + self._plan.seconds
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._plan.clients):
                        group.create_task(self._submitter(session, self._ids(until)))
            except* PeerError as refused:
                raise refused.exceptions[0] from None
        return self.load

    def _ids(self, until: float) -> Iterator[str]:
        while time.monotonic() < until:
            number = next(self._numbers, None)
            if number is None:
                return
            yield f"{self._plan.prefix}-{number}"

    async def _submitter(self, session: aiohttp.ClientSession, ids: Iterator[str]) -> None:
        for workflow_id in ids:
            began_at = time.monotonic()
            deadline = began_at + WORKFLOW_S_MAX
            try:
                if not await self._submit(session, workflow_id, deadline):
                    continue
                self.load.accepted.append(workflow_id)
                await self._wait(session, workflow_id, deadline)
            except LostError:
                self.load.lost.append(workflow_id)
                continue
            ended_at = time.monotonic()
            self.load.completed.append(workflow_id)
            self.load.completed_at.append(ended_at)
            self.load.latencies_ms.append((ended_at - began_at) * 1000)

    async def _submit(self, session: aiohttp.ClientSession, workflow_id: str, deadline: float) -> bool:
        """Submit until it is accepted: the same id is the same workflow, so what is unknown is repeated."""
        path = self._target.submit_path(workflow_id)
        while time.monotonic() < deadline:
            status = await self._ask(session, "POST", path)
            if status in {HTTP_OK, HTTP_ACCEPTED}:
                return True
            if HTTP_CLIENT_ERROR <= status < HTTP_SERVER_ERROR:
                raise PeerError(f"POST {path} is refused with {status}.")
            await asyncio.sleep(RETRY_S)
        return False

    async def _wait(self, session: aiohttp.ClientSession, workflow_id: str, deadline: float) -> None:
        path = self._target.wait_path(workflow_id)
        while time.monotonic() < deadline:
            status = await self._ask(session, "GET", path)
            if status == HTTP_OK:
                return
            if status == HTTP_UNKNOWN:
                raise LostError(workflow_id)
            await asyncio.sleep(RETRY_S)
        raise LostError(workflow_id)

    async def _ask(self, session: aiohttp.ClientSession, method: str, path: str) -> int:
        """Return a status, 0 where there is no answer; after a failure the next replica is asked."""
        address = self._address
        try:
            async with session.request(method, address + path, skip_auto_headers=_NO_BODY) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        if (status == 0 or status >= HTTP_SERVER_ERROR) and address == self._address:
            self._address = next(self._others)
        return status
