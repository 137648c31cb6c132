"""DBOS with PostgreSQL: workflow and steps are asynchronous functions, as its own benchmark has them."""

from typing import Any, Final

from dbos import DBOS, DBOSConfig, SetWorkflowID, error

from payhub_peers.servers.front import arguments, serve
from payhub_peers.workflow import STEPS, Effects

POLL_S: Final = 0.02  # how often a workflow of the process before is asked for; those of this one are not


class DbosWorkflows:
    """Implements ``Workflows``."""

    def __init__(self, database: str, effects: Effects) -> None:
        config: DBOSConfig = {
            "name": "eight-steps",
            "system_database_url": database,
            "application_version": "1",  # a new process goes on with the workflows of the one before
            "log_level": "WARNING",
        }
        DBOS(config=config)

        @DBOS.step()
        async def step(workflow_id: str, number: int) -> None:
            effects.append(workflow_id, number)

        @DBOS.workflow()
        async def eight_steps(workflow_id: str) -> None:
            for number in range(1, STEPS + 1):
                await step(workflow_id, number)

        self._workflow = eight_steps
        self._handles: dict[str, Any] = {}

    @property
    def is_ready(self) -> bool:
        """Always: it is one process."""
        return True

    async def open(self) -> None:
        """Launch; DBOS itself goes on with what had not ended."""
        DBOS.launch()

    async def start(self, workflow_id: str) -> None:
        """Start the workflow; DBOS has inserted its row when it returns."""
        with SetWorkflowID(workflow_id):
            self._handles[workflow_id] = await DBOS.start_workflow_async(self._workflow, workflow_id)

    async def wait(self, workflow_id: str) -> bool:
        """Wait for the result, of this process's own workflows without asking the database."""
        handle = self._handles.get(workflow_id)
        if handle is None:
            try:
                handle = await DBOS.retrieve_workflow_async(workflow_id)
            except error.DBOSNonExistentWorkflowError:
                return False
        await handle.get_result(polling_interval_sec=POLL_S)
        self._handles.pop(workflow_id, None)
        return True

    async def close(self) -> None:
        """Stop; what runs goes on after the next start."""
        DBOS.destroy()


def main() -> None:
    """Run until SIGTERM."""
    told = arguments()
    serve(DbosWorkflows(told.database, Effects(told.effects)), told.port)


if __name__ == "__main__":
    main()
