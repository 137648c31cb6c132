"""Replicas of an engine as HTTP knows them, over real sockets: who leads is decided here, not by Raft."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import HttpMethod, Litestar, Request, Response, get, post, route
from litestar.params import FromPath
from support.ports import free_ports

from payhub_engines.server import app as engine_app
from payhub_engines.server.leadership import Health, LeadershipWatch, health
from payhub_engines.server.settings import EngineSettings
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.errors import UnavailableError
from payhub_platform.http import BODY_BYTES_MAX, exception_handlers

COMMIT_S = 0.005
ELECTION_S = 0.15


class Group:
    """What the replicas of one engine agree on: who leads, and what was committed."""

    def __init__(self, count: int = 3) -> None:
        ports = free_ports(count)
        self.members = {
            str(number): Member(self, str(number), ports[number - 1]) for number in range(1, count + 1)
        }
        self.leader: str | None = "1"
        self.deciding = asyncio.Event()
        self.forwarded = 0
        self.committed: list[tuple[str, bytes]] = []  # by which replica, and the body
        self.seen: list[tuple[str, Request[Any, Any, Any], bytes]] = []

    @property
    def urls(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{member.port}" for name, member in self.members.items()}

    @property
    def addresses(self) -> str:
        return ",".join(f"{name}={url}" for name, url in self.urls.items())

    def elect_another(self, than: str) -> None:
        """Nobody leads for a moment, then the next one that serves does."""
        self.leader = None
        others = [name for name, member in self.members.items() if name != than and member.serves]
        if others:
            asyncio.get_running_loop().call_later(ELECTION_S, setattr, self, "leader", others[0])


class Member:
    """One replica. It implements ``payhub_engines.server.leadership.Replica``."""

    def __init__(self, group: Group, own: str, port: int) -> None:
        self.group = group
        self.own = own
        self.port = port
        self.serves = False
        self.hears_of_leader = True
        self.believes: str | None = None  # what it has last heard, where that is no longer so
        self.is_stopping = False
        self.failed: asyncio.Future[BaseException | None]
        self._watch = LeadershipWatch(self)

    @property
    def is_leader(self) -> bool:
        return self.group.leader == self.own

    @property
    def leader(self) -> str | None:
        return (self.believes or self.group.leader) if self.hears_of_leader else None

    async def leadership_changed(self) -> None:
        await self._watch.changed()

    async def prepare_stop(self) -> None:
        self.is_stopping = True
        if self.is_leader:
            self.group.elect_another(self.own)
            await asyncio.sleep(ELECTION_S)

    async def failure(self) -> BaseException | None:
        return await asyncio.shield(self.failed)

    def settings(self, folder: Path = Path()) -> EngineSettings:
        group = self.group
        return EngineSettings(
            engine_id="north",
            site="north",
            data_dir=folder,
            port=self.port,
            nats_url="",
            internal_token="",
            secrets_key="",
            replica=self.own,
            peers=",".join(f"{name}=127.0.0.1:{index}" for index, name in enumerate(group.members, 1)),
            replica_urls=group.addresses,
        )

    async def serve(self, stop: asyncio.Event) -> int:
        """Serve as an engine's process does until ``stop``."""
        started = asyncio.Event()
        self.is_stopping = False
        self.failed = asyncio.get_running_loop().create_future()
        return await engine_app.run(self, self._app(started), self.settings(), started, lambda: stop)

    def _app(self, started: asyncio.Event) -> Litestar:
        @contextlib.asynccontextmanager
        async def lifespan(_app: Litestar) -> AsyncIterator[None]:
            self.serves = True
            started.set()
            yield
            self.serves = False

        @post("/engine/v1/payments", status_code=202)
        async def start(request: Request[Any, Any, Any]) -> TransferAccepted:
            self._require_lead()
            body = await request.body()
            self.group.deciding.set()
            await asyncio.sleep(COMMIT_S)
            self._require_lead()
            self.group.committed.append((self.own, body))
            self.group.forwarded += "x-payhub-forwarded" in request.headers
            return TransferAccepted(transaction_id="p-1")

        methods = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH]

        @route("/fspiop/{path:path}", http_method=methods)
        async def scheme(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
            assert path
            self._require_lead()
            self.group.seen.append((self.own, request, await request.body()))
            return Response(
                b"\x00raw", status_code=206, headers={"x-of": self.own, "connection": "x-hop", "x-hop": "1"}
            )

        @get("/health/ready")
        async def ready() -> Health:
            return health(self, self.own)

        return Litestar(
            [start, scheme, ready],
            lifespan=[lifespan],
            exception_handlers=exception_handlers(),
            openapi_config=None,
            logging_config=None,
            request_max_body_size=BODY_BYTES_MAX,
        )

    def _require_lead(self) -> None:
        if not self.is_leader:
            raise UnavailableError("engine-not-leader", "This replica does not lead.")


class Running:
    """The members that serve, each like a process of its own."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._stops: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[int]] = {}

    async def start(self, name: str) -> None:
        self._stops[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self.group.members[name].serve(self._stops[name]))
        while not await listens(self.group.members[name].port):
            assert not self._tasks[name].done()
            await asyncio.sleep(0.01)

    async def stop(self, name: str) -> int:
        """Ask one to stop, as SIGTERM does, and return its exit status."""
        self._stops.pop(name).set()
        return await self._tasks.pop(name)

    async def ended(self, name: str) -> int:
        """Wait until one ends by itself, and return its exit status."""
        self._stops.pop(name)
        return await self._tasks.pop(name)

    def begin_stop(self, name: str) -> asyncio.Task[int]:
        self._stops.pop(name).set()
        return self._tasks.pop(name)


async def listens(port: int) -> bool:
    """Tell whether somebody does, on the loopback interface."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def running_group(count: int = 3) -> AsyncIterator[Running]:
    running = Running(Group(count))
    try:
        for name in running.group.members:
            await running.start(name)
        yield running
    finally:
        await asyncio.gather(*(running.stop(name) for name in list(running._tasks)))
