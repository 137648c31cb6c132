"""SpiffWorkflow with SQLite, as one Python process."""

from pathlib import Path

from payhub_peers.environments import pinned, python_environment
from payhub_peers.peer import Peer
from payhub_peers.processes import free_port


class SpiffSqlite(Peer):
    """A BPMN library in Python, its state saved after every step."""

    name = "spiff-sqlite"
    durable_by = "SQLite, journal WAL, synchronous=FULL: one sync a step"
    main = "app"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.title = f"SpiffWorkflow {pinned(self.name, 'SpiffWorkflow')} + SQLite"
        self._port = free_port()
        self._python = Path()

    def install(self) -> None:
        """Make the virtual environment."""
        self._python = python_environment(self.work, self.name)

    async def start(self) -> None:
        """Start the process."""
        if not self.processes.is_running(self.main):
            told = {"port": str(self._port), "data": self.folder}
            self.spawn_server(self.main, self._python, "spiff_app", told)
        await self.until_ready([self.main], self.addresses())

    def addresses(self) -> list[str]:
        """Return the one front."""
        return [f"http://127.0.0.1:{self._port}"]
