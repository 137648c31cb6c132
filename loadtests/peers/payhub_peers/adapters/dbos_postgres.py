"""DBOS in one Python process, with a PostgreSQL server of its own."""

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from payhub_peers.environments import pinned, python_environment
from payhub_peers.peer import START_S_MAX, Peer
from payhub_peers.processes import PeerError, free_port

USER: Final = "postgres"
DEBIAN: Final = Path("/usr/lib/postgresql")  # Debian keeps the servers out of PATH, one folder a version
POLL_S: Final = 0.02
ROOT_ID: Final = 0


class DbosPostgres(Peer):
    """A durable-execution library whose state is PostgreSQL's."""

    name = "dbos-postgres"
    durable_by = "PostgreSQL with its defaults: fsync and synchronous_commit on"
    main = "app"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.title = f"DBOS {pinned(self.name, 'dbos')} + PostgreSQL"
        self._port, self._database_port = free_port(), free_port()
        self._python = Path()
        self._programs = Path()
        # PostgreSQL refuses to run as root.
        self._user = USER if os.geteuid() == ROOT_ID else None

    def install(self) -> None:
        """Find PostgreSQL and make the virtual environment."""
        self._programs = _programs()
        if self._user is not None:
            try:
                pwd.getpwnam(self._user)
            except KeyError as error:
                raise PeerError(f"PostgreSQL does not run as root and there is no user {USER}.") from error
        self.title += " " + self._program("postgres", "--version").stdout.decode().split()[2]
        self._python = python_environment(self.work, self.name)

    async def start(self) -> None:
        """Start the database, then the application."""
        if not self.processes.is_running("postgres"):
            self._start_database()
        if not self.processes.is_running(self.main):
            url = f"postgresql+psycopg://{USER}@127.0.0.1:{self._database_port}/eight_steps"
            told = {"port": str(self._port), "data": self.folder, "database": url}
            self.spawn_server(self.main, self._python, "dbos_app", told)
        await self.until_ready([self.main], self.addresses())

    def addresses(self) -> list[str]:
        """Return the one front."""
        return [f"http://127.0.0.1:{self._port}"]

    def _start_database(self) -> None:
        cluster, port = self.folder / "postgres", str(self._database_port)
        if not cluster.exists():
            cluster.mkdir(mode=0o700)
            if self._user is not None:
                shutil.chown(cluster, self._user)
            made = self._program("initdb", "-D", cluster, "--username", USER, "--auth", "trust")
            if made.returncode != 0:
                raise PeerError(f"initdb failed: {made.stderr.decode(errors='replace')}")
        # What is not said here is PostgreSQL's default, fsync and synchronous_commit among it.
        options: list[str | Path] = ["-D", cluster, "-p", port, "-h", "127.0.0.1", "-k", cluster]
        self.processes.spawn("postgres", [self._programs / "postgres", *options], {}, self._user)
        deadline = time.monotonic() + START_S_MAX
        while self._program("pg_isready", "-h", "127.0.0.1", "-p", port).returncode != 0:
            if time.monotonic() > deadline:
                raise PeerError(f"PostgreSQL does not start: see {self.processes.log}.")
            time.sleep(POLL_S)

    def _program(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        command = [str(self._programs / name), *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, user=self._user, cwd="/")


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs: the newest of Debian's, or what PATH leads to."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = shutil.which("initdb")
    if not versions and found is None:
        raise PeerError("There is no PostgreSQL server here (on Debian and Ubuntu: package postgresql).")
    return versions[-1].parent if versions else Path(str(found)).resolve().parent
