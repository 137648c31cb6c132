"""One installation on this machine: a folder, its secrets and ports, its servers and services."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from payhub_cli import state
from payhub_cli.errors import AlreadyRunningError
from payhub_cli.local import dropped, files, nats, ports, postgres
from payhub_cli.process import ProcessSpec, of_server
from payhub_cli.profiles import Profile, Secrets, Surroundings, service_names, services
from payhub_cli.supervisor import Child, Supervisor
from payhub_platform.security.secrets import SecretBox

LOCK_FILE: Final = "installation.lock"


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
        state.write(self.around.folder, now)


@contextlib.asynccontextmanager
async def installed(
    profile: Profile, folder: Path, *, sandbox: bool, login_code: str = ""
) -> AsyncIterator[Installation]:
    """Prepare an installation in ``folder``; at the end of the block everything is stopped.

    The environment variables NATS_URL and DATABASE_URL replace the bundled servers.

    Raises:
        AlreadyRunningError: somebody runs the installation of this folder.
        LocalServerError: a bundled server cannot be prepared.
    """
    _make_folder(folder)
    with _locked(folder / LOCK_FILE):
        installation = await asyncio.to_thread(_prepare, profile, folder, sandbox, login_code)
        try:
            yield installation
        finally:
            await installation.supervisor.stop()
            (folder / state.FILE_NAME).unlink(missing_ok=True)


def remove_outside(folder: Path) -> None:
    """Remove what a stopped installation keeps outside its folder."""
    postgres.remove(folder / "postgres")


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Root's PostgreSQL runs as nobody and must pass through to its own folder; others read nothing here.
    folder.chmod(0o711 if dropped.is_root() else 0o700)


def _prepare(profile: Profile, folder: Path, sandbox: bool, login_code: str) -> Installation:
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
        ports=ports.choose_ports(folder / "ports.json", service_names(profile, sandbox=sandbox)),
        nats_url=nats_url,
        database_url=database_url,
        secrets=secrets,
        login_code=login_code,
    )
    return Installation(profile, around, [*servers, *services(profile, around, sandbox=sandbox)])


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
