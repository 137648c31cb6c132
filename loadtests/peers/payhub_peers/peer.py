"""What every peer's adapter does, so that one runner drives them all."""

import abc
import asyncio
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from payhub_peers.environments import PEERS
from payhub_peers.processes import PeerError, Processes

START_S_MAX: Final = 90.0
READY_POLL_S: Final = 0.01
LOG_CHARACTERS_MAX: Final = 1_500
HTTP_OK: Final = 200


class Peer(abc.ABC):
    """One system on one machine with its own folder, processes and effects file."""

    name: str
    title: str
    durable_by: str
    main: str
    """The process that ``kill`` strikes: the one that runs the workflows' engine."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.folder = work / "data" / self.name
        self.effects = self.folder / "effects"
        self.processes = Processes(self.folder / "log")

    @abc.abstractmethod
    def install(self) -> None:
        """Make the environments; what is made already stays.

        Raises:
            PeerError: something is missing on this machine.
        """

    @abc.abstractmethod
    async def start(self) -> None:
        """Start what does not run, and return when workflows are taken: first start and restart alike.

        Raises:
            PeerError: a process ended or was not ready in time.
        """

    @abc.abstractmethod
    def addresses(self) -> list[str]:
        """Return the base addresses of its front, one a replica."""

    def submit_path(self, workflow_id: str) -> str:
        """Return the path whose POST durably accepts a workflow."""
        return f"/start/{workflow_id}"

    def wait_path(self, workflow_id: str) -> str:
        """Return the path whose GET answers 200 when a workflow has ended."""
        return f"/done/{workflow_id}"

    def clear(self) -> None:
        """Make the data folder new and empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    async def kill(self, *, everything: bool) -> str:
        """Kill -9 the main process, or every process; return what was killed."""
        names = self.processes.names() if everything else [await self.to_kill()]
        await asyncio.to_thread(self.processes.kill, names)
        return " + ".join(names)

    async def to_kill(self) -> str:
        """Return the name of the process that ``kill`` strikes."""
        return self.main

    async def stop(self) -> None:
        """Stop all processes; the data stays."""
        await asyncio.to_thread(self.processes.stop)

    def steps_done(self) -> list[str]:
        """Return the lines of the effects file."""
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def spawn_server(
        self,
        name: str,
        python: str | Path,
        module: str,
        arguments: Mapping[str, object],
        sources: Sequence[Path] = (),
    ) -> None:
        """Start a module of ``payhub_peers.servers`` under a Python, with more folders to import from."""
        options = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        command = [python, "-m", f"payhub_peers.servers.{module}", *options, "--effects", self.effects]
        path = os.pathsep.join(str(folder) for folder in (PEERS, *sources))
        self.processes.spawn(name, command, {"PYTHONPATH": path})

    async def until_ready(
        self, processes: Sequence[str], addresses: Sequence[str], path: str = "/ready"
    ) -> None:
        """Wait until one of the addresses answers 200.

        Raises:
            PeerError: a process ended, or the time is up.
        """
        deadline = time.monotonic() + START_S_MAX
        async with aiohttp.ClientSession() as session:
            while True:
                for address in addresses:
                    if await answers(session, address + path):
                        return
                ended = [name for name in processes if not self.processes.is_running(name)]
                if ended:
                    raise PeerError(f"{', '.join(ended)} ended: {self._log_end()}")
                if time.monotonic() > deadline:
                    raise PeerError(f"{', '.join(processes)} not ready after {START_S_MAX:.0f} s.")
                await asyncio.sleep(READY_POLL_S)

    def _log_end(self) -> str:
        return self.processes.log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:]


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether an address answers 200 now."""
    try:
        async with session.get(url) as response:
            return response.status == HTTP_OK
    except (aiohttp.ClientError, OSError):
        return False
