"""One installation on this machine: a folder, its secrets and ports, its servers and services."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from payhub_cli import state
from payhub_cli.errors import AlreadyRunningError, FolderError
from payhub_cli.local import certificates, dropped, files, nats, ports, postgres
from payhub_cli.process import ProcessSpec, of_server
from payhub_cli.profiles import (
    CERTIFICATES,
    ENGINES,
    Profile,
    Secrets,
    Surroundings,
    members,
    port_names,
    replica_names,
    services,
)
from payhub_cli.supervisor import Child, Supervisor
from payhub_platform.security.secrets import SecretBox

_logger = logging.getLogger(__name__)

T = TypeVar("T")

LOCK_FILE: Final = "installation.lock"
REPLICAS_FILE: Final = "replicas.json"  # how many replicas each engine of the folder has
PRIVATE_FOLDERS: Final = ("logs", "traces")


class Installation:
    """A running installation.

    Attributes:
        around: its folder, ports, servers' addresses and secrets.
        supervisor: what keeps it running.
    """

    def __init__(self, profile: Profile, around: Surroundings, specs: Sequence[ProcessSpec]) -> None:
        self.profile = profile
        self.around = around
        self.supervisor = Supervisor(specs, around.folder / "logs", self._record)

    def url(self, service: str) -> str:
        """Return the base URL of a service."""
        return self.around.url(service)

    def engine_urls(self) -> dict[str, str]:
        """Return a base URL of each engine: its first replica's, which asks the others."""
        return {engine: self.around.replica_urls(engine)["1"] for engine in ENGINES[self.profile]}

    def replica_urls(self) -> dict[str, list[str]]:
        """Return the base URLs of each engine's replicas."""
        return {engine: list(self.around.replica_urls(engine).values()) for engine in ENGINES[self.profile]}

    def _record(self, children: Sequence[Child]) -> None:
        records = [
            state.ProcessRecord(
                name=child.spec.name,
                pid=child.pid,
                url=child.spec.url,
                state=child.state,
                restarts=child.restarts,
                is_python=child.spec.is_python,
                log=str(child.log_file),
            )
            for child in children
        ]
        now = state.InstallationState(profile=self.profile, supervisor_pid=os.getpid(), processes=records)
        try:
            state.write(self.around.folder, now)
        except OSError as error:
            # `payhub status` knows less then; what runs must not stop for that.
            _logger.warning("The state of the installation cannot be written: %s", error)


@contextlib.asynccontextmanager
async def installed(
    profile: Profile, folder: Path, *, sandbox: bool, login_code: str = "", replicas: int | None = None
) -> AsyncIterator[Installation]:
    """Prepare an installation in ``folder``; at the end of the block everything is stopped.

    Each engine has ``replicas`` replicas; None means as many as the folder has, or one. The environment
    variables NATS_URL and DATABASE_URL replace the bundled servers. Who is cancelled while it is
    prepared or stopped is cancelled once that is done: both take seconds, and halves of them are bad.

    Raises:
        FolderError: the folder cannot be made, holds other things, or another number of replicas.
        AlreadyRunningError: somebody runs the installation of this folder.
        LocalServerError: a bundled server cannot be prepared.
    """
    _make_folder(folder)
    with _locked(folder / LOCK_FILE):
        work = asyncio.to_thread(_prepare, profile, folder, sandbox, login_code, replicas)
        installation = await _to_the_end(work)
        try:
            yield installation
        finally:
            await _to_the_end(installation.supervisor.stop())
            (folder / state.FILE_NAME).unlink(missing_ok=True)


def remove_outside(folder: Path) -> None:
    """Remove what a stopped installation keeps outside its folder."""
    postgres.remove(folder / "postgres")


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait until ``work`` is done; a cancellation meanwhile takes effect afterwards."""
    task, cancelled = asyncio.create_task(work), False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    result = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / LOCK_FILE).exists() and any(folder.iterdir()):
            raise FolderError(f"{folder} holds other things. Name an empty folder, or one made by payhub.")
        # Root's PostgreSQL runs as nobody and must pass through to its own folder; the others are closed.
        folder.chmod(0o711 if dropped.is_root() else 0o700)
        (folder / LOCK_FILE).touch()
        for name in PRIVATE_FOLDERS:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}.") from error


def _prepare(
    profile: Profile, folder: Path, sandbox: bool, login_code: str, asked: int | None
) -> Installation:
    replicas = _replicas(folder, profile, asked)
    if replicas > 1:
        certificates.prepare(folder / CERTIFICATES, members(profile, replicas))
    makers = {
        "internal_token": files.new_password,
        "secrets_key": SecretBox.new_key,
        "aggregator_token": files.new_password,
        "operator_token": files.new_password,
    }
    secrets = msgspec.convert(files.load_secrets(folder / "secrets.json", makers), Secrets)
    nats_url, database_url = os.environ.get("NATS_URL", ""), os.environ.get("DATABASE_URL", "")
    servers: list[ProcessSpec] = []
    if not nats_url:
        server = nats.prepare(folder / "nats")
        nats_url = server.url
        servers.append(of_server(server))
    if not database_url:
        server = postgres.prepare(folder / "postgres")
        database_url = server.url
        servers.append(of_server(server))
    around = Surroundings(
        folder=folder,
        ports=ports.choose_ports(
            folder / "ports.json", port_names(profile, sandbox=sandbox, replicas=replicas)
        ),
        nats_url=nats_url,
        database_url=database_url,
        secrets=secrets,
        login_code=login_code,
        replicas=replicas,
    )
    return Installation(profile, around, [*servers, *services(profile, around, sandbox=sandbox)])


def _replicas(folder: Path, profile: Profile, asked: int | None) -> int:
    """Return how many replicas each engine of the folder has, and keep it.

    Raises:
        FolderError: it is another number than the one asked for; another group would begin with nothing.
    """
    file = folder / REPLICAS_FILE
    known = msgspec.json.decode(file.read_bytes(), type=int) if file.exists() else None
    names = [name for engine in ENGINES[profile] for name in replica_names(engine, 1).values()]
    if known is None and any((folder / name).exists() for name in names):
        known = 1
    if None not in (known, asked) and known != asked:
        text = f"Each engine in {folder} has {known} replica(s) for good"
        raise FolderError(f"{text}: leave --replicas out, or name another folder with --data.")
    replicas = asked or known or 1
    if not file.exists():
        files.write_private(file, msgspec.json.encode(replicas))
    return replicas


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    with ExitStack() as stack:
        opened = stack.enter_context(file.open("w"))
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"{file.parent} is in use by another payhub. Stop it, or name another folder with --data."
            raise AlreadyRunningError(text) from error
        yield
