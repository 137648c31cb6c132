"""payhub's engine with one replica or three; the engine's own code is met in ``servers/payhub_engine.py``."""

import sys
from pathlib import Path

import aiohttp

from payhub_peers.environments import ROOT
from payhub_peers.peer import Peer, answers
from payhub_peers.processes import PeerError, free_port


class PayhubEngine(Peer):
    """A group of replicas, each a process with a folder and a front of its own."""

    durable_by = "fdatasync of the Raft journal on each replica, one for a batch"

    def __init__(self, work: Path, *, replicas: int) -> None:
        self.name = f"payhub-{replicas}"
        super().__init__(work)
        self.title = f"payhub, {replicas} replica{'s' if replicas > 1 else ''}"
        self.main = "replica-1"
        self._ports = {str(number): free_port() for number in range(1, replicas + 1)}
        raft = {replica: free_port() for replica in self._ports}
        addresses = [f"{replica}=127.0.0.1:{port}" for replica, port in raft.items()]
        self._peers = ",".join(addresses) if replicas > 1 else ""

    def install(self) -> None:
        """Nothing: it runs from this source tree, in the runner's own environment."""

    async def start(self) -> None:
        """Start the replicas that do not run; return when one leads."""
        for replica, port in self._ports.items():
            name = f"replica-{replica}"
            if self.processes.is_running(name):
                continue
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            told = {"port": str(port), "data": folder, "replica": replica, "peers": self._peers}
            sources = (ROOT / "engines", ROOT / "platform")
            self.spawn_server(name, sys.executable, "payhub_engine", told, sources)
        await self.until_ready(self.processes.names(), self.addresses())

    def addresses(self) -> list[str]:
        """Return the fronts; only the leader's takes workflows, the others answer 503."""
        return [f"http://127.0.0.1:{port}" for port in self._ports.values()]

    async def to_kill(self) -> str:
        """Return the leader."""
        async with aiohttp.ClientSession() as session:
            for replica, port in self._ports.items():
                if await answers(session, f"http://127.0.0.1:{port}/ready"):
                    return f"replica-{replica}"
        raise PeerError(f"{self.name}: no replica leads.")
