"""Restate as one node, with a Python endpoint that does the steps."""

from pathlib import Path
from typing import Final

import aiohttp

from payhub_peers.environments import npm_folder, python_environment
from payhub_peers.peer import Peer
from payhub_peers.processes import PeerError, free_port

VERSION: Final = "1.7.12"
REGISTERED: Final = 201


class Restate(Peer):
    """A durable-execution server; its HTTP ingress is the front."""

    name = "restate"
    title = f"Restate {VERSION}, single node"
    durable_by = "the log server's RocksDB, WAL synced: Restate's default"
    main = "server"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self._ingress, self._admin, self._node, self._endpoint = (free_port() for _ in range(4))
        self._python = Path()
        self._server = Path()

    def install(self) -> None:
        """Fetch the server by npm, and make the endpoint's virtual environment."""
        self._python = python_environment(self.work, self.name)
        found = list(npm_folder(self.work, self.name).glob("@restatedev/restate-server-*/bin/restate-server"))
        if not found:
            raise PeerError("npm brought no Restate server for this machine.")
        self._server = found[0]

    async def start(self) -> None:
        """Start server and endpoint, and make them known to each other."""
        is_new = not (self.folder / "restate").exists()
        if not self.processes.is_running(self.main):
            settings = {
                "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self._ingress}",
                "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self._admin}",
                "RESTATE_BIND_ADDRESS": f"127.0.0.1:{self._node}",
                "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self._node}",
                "RESTATE_DISABLE_TELEMETRY": "true",
                "RESTATE_LOG_FILTER": "warn",
            }
            # The node's name is in its data; it must not change when the host's does.
            options: list[str | Path] = [
                "--base-dir",
                self.folder / "restate",
                "--node-name",
                "one",
                "--listen-mode",
                "tcp",
            ]
            self.processes.spawn(self.main, [self._server, *options], settings)
        if not self.processes.is_running("endpoint"):
            told = {"port": str(self._endpoint), "data": self.folder}
            self.spawn_server("endpoint", self._python, "restate_app", told)
        await self.until_ready([self.main], [f"http://127.0.0.1:{self._admin}"], "/health")
        await self.until_ready([self.main], self.addresses(), "/restate/health")
        await self.until_ready(["endpoint"], [f"http://127.0.0.1:{self._endpoint}"], "/health")
        if is_new:
            await self._register()

    def addresses(self) -> list[str]:
        """Return the ingress."""
        return [f"http://127.0.0.1:{self._ingress}"]

    def submit_path(self, workflow_id: str) -> str:
        """Return where a workflow is sent: answered when it is in the log."""
        return f"/EightSteps/{workflow_id}/run/send"

    def wait_path(self, workflow_id: str) -> str:
        """Return where a workflow's result is waited for."""
        return f"/restate/workflow/EightSteps/{workflow_id}/attach"

    async def _register(self) -> None:
        deployment = {"uri": f"http://127.0.0.1:{self._endpoint}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{self._admin}/deployments", json=deployment) as response,
        ):
            if response.status != REGISTERED:
                raise PeerError(f"Restate refuses the endpoint: {await response.text()}")
