"""The engine in memory with a virtual clock: to try a process without a cluster, a disk or a wait.

Example::

    engine = Engine()
    engine.deploy(xml)
    engine.on_job("check", lambda variables: {"fits": variables["amount"] < 100})
    key = engine.start("payment", {"amount": 5})
    engine.publish("answer", "tx-1", {"state": "COMMITTED"})
    engine.advance(10)
    assert engine.instance(key).state == "COMPLETED"
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from payhub_engines.connectors import job as connector
from payhub_engines.core import events
from payhub_engines.core.bpmn.check import parse_checked
from payhub_engines.core.bpmn.model import DefinitionError, ProcessDefinition
from payhub_engines.core.commands import (
    Activation,
    BroadcastSignal,
    CancelInstance,
    Command,
    CompleteJob,
    ContinueBroadcast,
    CorrelateMessage,
    DeployProcess,
    ExpireMessage,
    FailJob,
    MigrateInstance,
    ModifyInstance,
    ResolveIncident,
    SetVariables,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.feel import compile_expression
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.processor import Batch, Rejected, Reply
from payhub_engines.core.records import IncidentRecord, JobRecord
from payhub_engines.core.state import State
from payhub_platform.contracts.handover import Callback
from payhub_platform.errors import NotFoundError, UnprocessableError

TENANT_DEFAULT: Final = "default"
START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
TURNS_MAX: Final = 10_000  # jobs and timers that one call may cause: a process that never waits ends here

_STATES: Final[dict[str, Literal["COMPLETED", "TERMINATED"]]] = {
    "completed": "COMPLETED",
    "terminated": "TERMINATED",
}

JobFunction = Callable[[dict[str, Any]], Mapping[str, Any] | None]
"""Gets a job's variables and returns those to merge; raises BpmnError or JobFailed."""


class BpmnError(connector.BpmnError):
    """A business refusal, told by its code."""

    def __init__(self, code: str, description: str = "", variables: dict[str, Any] | None = None) -> None:
        super().__init__(code, description, variables)


class JobFailed(connector.JobFailedError):
    """A technical failure; the job is tried again after ``retry_after_ms``."""

    def __init__(self, message: str = "failed", retry_after_ms: int = 0) -> None:
        super().__init__(message, retry_after_ms)


class RejectedError(UnprocessableError):
    """The engine refused a command; ``code`` says why."""


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance as a test looks at it; ``path`` are element ids in the order in which they were entered."""

    key: int
    state: Literal["ACTIVE", "COMPLETED", "TERMINATED"]
    path: list[str]
    variables: dict[str, Any]
    incidents: list[IncidentRecord]
    waiting_at: tuple[str, ...]
    handed_over: bool


class Engine:
    """One engine. Jobs run at once, as soon as there is a function for their type."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.entries: list[bytes] = []  # the log, as it would be replicated
        self._store = MemoryStore()
        self.state = State(self._store)
        self._functions: dict[str, JobFunction] = {}
        self._paths: dict[int, list[str]] = {}
        self._started = 0

    @property
    def store(self) -> MemoryStore:
        """The rows of the state, as they would stand on disk now."""
        write(self.state, self._store)
        return self._store

    def deploy(self, xml: bytes | str, tenant: str = "") -> ProcessDefinition:
        """Deploy a process; running instances keep their version.

        Raises:
            DefinitionError: what is wrong with it, and where.
        """
        raw = xml.encode() if isinstance(xml, str) else xml
        definition = parse_checked(raw)
        reply = self.execute(DeployProcess(xml=raw, tenant=tenant))
        if isinstance(reply, Rejected):
            raise DefinitionError(reply.code, reply.detail)
        return definition

    def on_job(self, job_type: str, function: JobFunction) -> None:
        """Do jobs of a type with a function, waiting ones at once."""
        self._functions[job_type] = function
        self._settle()

    def start(
        self,
        process_id: str,
        variables: Mapping[str, Any] | None = None,
        tenant: str = TENANT_DEFAULT,
        payment: str = "",
    ) -> int:
        """Start an instance and return its key; without ``payment`` it gets a business key of its own.

        Raises:
            RejectedError: the engine's reason.
        """
        self._started += 1
        command = StartInstance(
            process=process_id,
            tenant=tenant,
            payment=payment or f"payment-{self._started}",
            fingerprint="",
            variables=dict(variables or {}),
        )
        reply = self.execute(command)
        if isinstance(reply, Rejected):
            raise RejectedError(reply.code, reply.detail)
        return reply.key

    def publish(
        self,
        name: str,
        key: str,
        variables: Mapping[str, Any] | None = None,
        ttl: float = 0,
        tenant: str = TENANT_DEFAULT,
    ) -> Reply:
        """Publish a message; ``ttl`` is how many seconds it is kept when nothing waits for it."""
        callback = Callback(
            tenant=tenant,
            name=name,
            correlation_key=key,
            variables=dict(variables or {}),
            ttl_ms=_milliseconds(ttl),
        )
        return self.execute(CorrelateMessage(callback=callback))

    def execute(self, command: Command) -> Reply:
        """Decide any command, log its events, then do the jobs that follow from it."""
        reply = self._execute(command)
        self._settle()
        return reply

    def advance(self, seconds: float) -> None:
        """Let virtual time pass; what falls due on the way happens at its time, in order."""
        until_ms = self.now_ms + _milliseconds(seconds)
        while True:
            due = [at for at in self._wake_ups() if at <= until_ms]
            if not due:
                break
            self.now_ms = max(self.now_ms, min(due))
            self._settle()
        self.now_ms = until_ms

    def instance(self, key: int) -> InstanceView:
        """Return an instance as it is now.

        Raises:
            NotFoundError: there is none with this key.
        """
        record = self.state.instance(key)
        if record is None:
            raise NotFoundError("instance-not-found", f"There is no instance {key}.")
        return InstanceView(
            key=key,
            state=_STATES.get(record.outcome, "ACTIVE"),
            path=list(self._paths[key]),
            variables=record.variables,
            incidents=[incident for incident in self.state.incidents() if incident.instance == key],
            waiting_at=record.active_elements,
            handed_over=record.handed_over,
        )

    def signal(
        self, name: str, variables: Mapping[str, Any] | None = None, tenant: str = TENANT_DEFAULT
    ) -> Reply:
        """Broadcast a signal to everything of a tenant that waits for it."""
        return self.execute(BroadcastSignal(tenant=tenant, name=name, variables=dict(variables or {})))

    def resolve_incident(
        self, incident: int, variables: Mapping[str, Any] | None = None, retries: int = 1
    ) -> Reply:
        """Set variables and do the step again that an incident stopped."""
        command = ResolveIncident(incident=incident, variables=dict(variables or {}), retries=retries)
        return self.execute(command)

    def set_variables(self, key: int, variables: Mapping[str, Any]) -> Reply:
        """Set variables of a running instance."""
        return self.execute(SetVariables(instance=key, variables=dict(variables)))

    def cancel(self, key: int, *, compensate: bool = False) -> Reply:
        """End an instance; ``compensate``: after what it had completed is undone."""
        return self.execute(CancelInstance(instance=key, compensate=compensate))

    def modify(
        self, key: int, activate: tuple[Activation, ...] = (), terminate: tuple[int, ...] = ()
    ) -> Reply:
        """Move the tokens of an instance."""
        return self.execute(ModifyInstance(instance=key, activate=activate, terminate=terminate))

    def migrate(self, key: int, version: str, mapping: dict[str, str] | None = None) -> Reply:
        """Let an instance follow another version."""
        return self.execute(MigrateInstance(instance=key, version=version, mapping=mapping or {}))

    @staticmethod
    def evaluate_feel(text: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Compute a FEEL expression; numbers with a fraction come back as Decimal."""
        return compile_expression(text)(variables or {})

    def _execute(self, command: Command) -> Reply:
        batch = Batch(self.state, self.now_ms)
        reply = batch.decide(command)
        entry = batch.seal()
        if entry is None:
            return reply
        self.entries.append(events.encode_entry(entry))
        for event in entry.events:
            match event:
                case events.JobCreated(scope=None):
                    pass  # its task was entered before
                case events.ElementActivated() | events.ElementPassed() | events.JobCreated():
                    self._paths.setdefault(event.instance, []).append(event.element)
        return reply

    def _settle(self) -> None:
        for _ in range(TURNS_MAX):
            if not self._turn():
                return
        raise RejectedError("never-waits", f"The processes go on after {TURNS_MAX} jobs and timers.")

    def _turn(self) -> bool:
        """Do the next thing that is due now; tells whether there was one."""
        timer = next(self.state.due_timers(self.now_ms), None)
        message = next(self.state.expired_messages(self.now_ms), None)
        broadcast = next(self.state.broadcasts(), None)
        job = next((job for job in self._doable_jobs() if job.retry_at_ms <= self.now_ms), None)
        if job is not None:
            self._execute(self._do(job))
        elif timer is not None:
            self._execute(TriggerTimer(timer=timer.key))
        elif message is not None:
            self._execute(ExpireMessage(message=message.key))
        elif broadcast is not None:
            self._execute(ContinueBroadcast(broadcast=broadcast.key))
        return any(one is not None for one in (job, timer, message, broadcast))

    def _doable_jobs(self) -> list[JobRecord]:
        return [job for job in self.state.jobs() if job.type in self._functions]

    def _do(self, job: JobRecord) -> Command:
        try:
            results = self._functions[job.type](self.state.job_variables(job))
        except connector.BpmnError as error:
            return ThrowJobError(
                job=job.key, code=error.code, description=error.description, variables=error.variables
            )
        except connector.JobFailedError as error:
            return FailJob(job=job.key, message=error.message, retry_after_ms=error.retry_after_ms)
        return CompleteJob(job=job.key, variables=dict(results or {}))

    def _wake_ups(self) -> list[int]:
        times = [job.retry_at_ms for job in self._doable_jobs()]
        times += [
            at
            for at in (self.state.next_timer_due_ms(), self.state.next_message_expiry_ms())
            if at is not None
        ]
        return times


def _milliseconds(seconds: float) -> int:
    return int(Decimal(str(seconds)) * 1000)
