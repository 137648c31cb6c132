"""Processes run by the core alone, in memory: no log, no disk, no socket."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from payhub_cli.bench.connectors import PAYER, handlers
from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.replica import opening_files
from payhub_engines.connectors.job import Job
from payhub_engines.core.commands import Command, CompleteJob, DeployProcess, StartInstance
from payhub_engines.core.events import AnyEvent, JobCreated, LogEntry
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Rejected
from payhub_engines.core.state import State
from payhub_engines.server.jobs import open_job
from payhub_platform.errors import PayhubError

NOW_MS: Final = 1_000_000
BATCH: Final = 100  # commands an entry, as under load
TENANT: Final = "lion"

Answer = Callable[[State, AnyEvent], list[Command]]
"""What the outside answers to an event."""
Decide = Callable[[State, list[Command]], LogEntry | None]


def decide(state: State, commands: list[Command]) -> LogEntry | None:
    """Decide a batch on a state.

    Raises:
        BenchError: a command is rejected.
    """
    batch = Batch(state, NOW_MS)
    for command in commands:
        reply = batch.decide(command)
        if isinstance(reply, Rejected):
            raise BenchError(f"{type(command).__name__} is rejected. {reply.detail}")
    return batch.seal()


def deployed(files: list[bytes]) -> tuple[State, LogEntry]:
    """Return an empty engine with processes, and the entry that made it so."""
    state = State(MemoryStore())
    entry = decide(state, [DeployProcess(xml=xml) for xml in files])
    if entry is None:
        raise BenchError("There is nothing to deploy.")
    return state, entry


def run(state: State, commands: list[Command], answer: Answer, decider: Decide = decide) -> list[LogEntry]:
    """Decide commands and all that follows from them; return the entries of the log."""
    waiting, entries = deque(commands), []
    while waiting:
        batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        entry = decider(state, batch)
        if entry is not None:
            entries.append(entry)
            for event in entry.events:
                waiting.extend(answer(state, event))
    return entries


class PaymentWorld:
    """The connectors of the bench, as ``Answer``."""

    def __init__(self, payload_bytes: int) -> None:
        self._posted: list[Command] = []
        self._payload = "x" * payload_bytes
        self._handlers = handlers(self, self._payload)

    def post(self, command: Command, _tenant: str, _on_reply: Callable[[Any | PayhubError], None]) -> None:
        """Take a message of a connector."""
        self._posted.append(command)

    def start(self, payment: str) -> Command:
        """Return how a payment begins."""
        variables = {"amount": 10_000, "currency": "TZS", "feeMax": 10, "extension": self._payload}
        return StartInstance(
            process=PAYER,
            tenant=TENANT,
            payment=payment,
            fingerprint="f",
            variables={"transactionId": payment, **variables},
        )

    def __call__(self, state: State, event: AnyEvent) -> list[Command]:
        """Do a job that was just created."""
        job: Job | None = open_job(state, event.job) if isinstance(event, JobCreated) else None
        if job is None:
            return []
        variables = self._handlers[job.type](job, None)  # type: ignore[arg-type] # they ask nothing outside
        posted, self._posted = self._posted, []
        return [*posted, CompleteJob(job=job.key, variables=variables)]


def payments(count: int, payload_bytes: int) -> list[LogEntry]:
    """Return the log of an engine that did so many payments, ``p0`` first."""
    state, opening = deployed(opening_files())
    world = PaymentWorld(payload_bytes)
    return [opening, *run(state, [world.start(f"p{number}") for number in range(count)], world)]
