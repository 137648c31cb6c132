"""SpiffWorkflow with its whole state written to SQLite after every step, synced (journal WAL, ``FULL``).

SpiffWorkflow is a library without a store or workers; this is the plain way to make it durable.
Workflows run in a few threads, so that Python goes on while a sync waits for the disk.
"""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from payhub_peers.servers.front import arguments, serve
from payhub_peers.workflow import PROCESS_ID, STEP_PREFIX, Effects, script_task_process

THREADS: Final = 4


class Store:
    """One row a workflow: its id, its serialized state (NULL before the first step), whether it ended."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS workflow (id TEXT PRIMARY KEY, state TEXT, ended INTEGER NOT NULL)"
        )

    def insert(self, workflow_id: str) -> bool:
        """Add a workflow, durably; tells whether it is new."""
        with self._lock:
            done = self._database.execute(
                "INSERT OR IGNORE INTO workflow (id, ended) VALUES (?, 0)", (workflow_id,)
            )
            return done.rowcount > 0

    def update(self, workflow_id: str, state: str, *, ended: bool) -> None:
        """Write a workflow's state, durably."""
        with self._lock:
            self._database.execute(
                "UPDATE workflow SET state = ?, ended = ? WHERE id = ?", (state, int(ended), workflow_id)
            )

    def ended(self, workflow_id: str) -> bool | None:
        """Tell whether a workflow has ended; None where it is unknown."""
        with self._lock:
            row = self._database.execute("SELECT ended FROM workflow WHERE id = ?", (workflow_id,)).fetchone()
        return None if row is None else bool(row[0])

    def unfinished(self) -> list[tuple[str, str | None]]:
        """Return the ids and states of all that have not ended."""
        with self._lock:
            return self._database.execute("SELECT id, state FROM workflow WHERE ended = 0").fetchall()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class SpiffWorkflows:
    """Implements ``Workflows``."""

    def __init__(self, data: Path, effects: Effects) -> None:
        self._store = Store(data / "workflows.db")
        self._engine = PythonScriptEngine(TaskDataEnvironment({"effect": effects.append}))
        self._serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure())
        parser = BpmnParser()
        parser.add_bpmn_str(script_task_process().encode())
        self._spec = parser.get_spec(PROCESS_ID)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="workflow")
        self._running: dict[str, asyncio.Future[None]] = {}

    @property
    def is_ready(self) -> bool:
        """Always: it is one process."""
        return True

    async def open(self) -> None:
        """Go on with the workflows that have not ended."""
        for workflow_id, state in self._store.unfinished():
            self._run(workflow_id, state)

    async def start(self, workflow_id: str) -> None:
        """Insert the workflow's row, then run it."""
        if await asyncio.to_thread(self._store.insert, workflow_id):
            self._run(workflow_id, None)

    async def wait(self, workflow_id: str) -> bool:
        """Wait until the last state is committed."""
        running = self._running.get(workflow_id)
        if running is not None:
            await asyncio.shield(running)
            return True
        return await asyncio.to_thread(self._store.ended, workflow_id) is not None

    async def close(self) -> None:
        """Stop; what runs goes on after the next start."""
        self._threads.shutdown(cancel_futures=True)
        self._store.close()

    def _run(self, workflow_id: str, state: str | None) -> None:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, self._run_to_the_end, workflow_id, state)
        self._running[workflow_id] = future
        future.add_done_callback(lambda _done: self._running.pop(workflow_id))

    def _run_to_the_end(self, workflow_id: str, state: str | None) -> None:
        if state is None:
            workflow = BpmnWorkflow(self._spec, script_engine=self._engine)
            workflow.get_next_task(state=TaskState.READY).set_data(workflow_id=workflow_id)
            self._run_to_the_next_step(workflow)
        else:
            workflow = self._serializer.deserialize_json(state)
            workflow.script_engine = self._engine
        while not workflow.is_completed():
            workflow.get_next_task(state=TaskState.READY).run()
            self._run_to_the_next_step(workflow)
            saved = self._serializer.serialize_json(workflow)
            self._store.update(workflow_id, saved, ended=workflow.is_completed())

    @staticmethod
    def _run_to_the_next_step(workflow: BpmnWorkflow) -> None:
        """Run start, end and the library's own nodes: they have no effect, so no commit of their own."""
        while not workflow.is_completed():
            task = workflow.get_next_task(state=TaskState.READY)
            if task.task_spec.name.startswith(STEP_PREFIX):
                return
            task.run()


def main() -> None:
    """Run until SIGTERM."""
    told = arguments()
    serve(SpiffWorkflows(told.data, Effects(told.effects)), told.port)


if __name__ == "__main__":
    main()
