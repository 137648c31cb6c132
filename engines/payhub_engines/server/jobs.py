"""Jobs leave the engine only after they are committed, and their results come back as commands."""

import asyncio
import inspect
import logging
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import AnyHandler, BpmnError, Handler, Job, JobFailedError, PromptHandler
from payhub_engines.core.commands import Command, CompleteJob, FailJob, ThrowJobError
from payhub_engines.core.events import (
    JobCancelled,
    JobCompleted,
    JobCreated,
    JobErrorThrown,
    JobFailed,
    JobRetriesUpdated,
    LogEntry,
)
from payhub_engines.core.instances import owned_by_job
from payhub_engines.core.jobs import RETRY_MS_MAX
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.core.state import State
from payhub_engines.server.stream import StreamProcessor
from payhub_platform import cancellation
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError

_logger = logging.getLogger(__name__)

JOBS_AT_ONCE_MAX: Final = 256
JOBS_A_TENANT_MAX: Final = 64
JOB_TIMEOUT_S: Final = 60.0  # a connector's own timeouts are shorter; this one is for what hangs
SUBMIT_RETRY_S: Final = 0.1
UNEXPECTED_RETRY_MS: Final = 1_000


_OVER: Final = frozenset({JobCompleted, JobErrorThrown, JobCancelled})


class JobWorker:
    """Runs the connectors' handlers for open jobs while this replica leads, bounded.

    What is not recorded as done is done again by the next leader, with the same derived ids.
    """

    def __init__(
        self,
        stream: StreamProcessor,
        handlers: Mapping[str, AnyHandler],
        context: ConnectorContext,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._prompt: dict[str, PromptHandler] = {}
        self._slow: dict[str, Handler] = {}
        for job_type, handler in handlers.items():
            if inspect.iscoroutinefunction(handler):
                self._slow[job_type] = handler
            else:
                self._prompt[job_type] = handler  # type: ignore[assignment] # the other of the two kinds
        self._context = context
        self._clock = clock
        self._is_leading = False
        self._running = 0
        self._running_of: defaultdict[str, int] = defaultdict(int)
        self._queued: dict[int, Job] = {}  # by key, those that wait for a place
        self._queues: OrderedDict[str, deque[int]] = OrderedDict()  # their keys, by tenant
        self._tasks: set[asyncio.Task[None]] = set()
        self._retries: dict[int, asyncio.TimerHandle] = {}
        stream.on_committed(self._on_committed)
        stream.on_role(self._on_role)

    async def stop(self) -> None:
        """Stop all handlers; what they did is asked for again after the next start."""
        tasks = list(self._tasks)
        self._forget_all()
        await cancellation.end(tasks)

    def _on_role(self, is_leader: bool) -> None:
        if is_leader:
            self.resume()
        else:
            self._is_leading = False
            self._forget_all()

    def resume(self) -> None:
        """Take up every job that is open in the state, as a new leader."""
        self._is_leading = True
        for record in list(self._stream.machine.state.jobs()):
            self._schedule(record.key, record.retry_at_ms)

    def _forget_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        for retry in self._retries.values():
            retry.cancel()
        self._retries.clear()
        self._queues.clear()
        self._queued.clear()

    def _on_committed(self, entry: LogEntry) -> None:
        if not self._is_leading:
            return
        for event in entry.events:
            kind = type(event)
            if kind is JobCreated:
                self._schedule(event.job, 0)  # type: ignore[union-attr] # narrowed by its kind
            elif kind is JobFailed and event.retries_left > 0:  # type: ignore[union-attr]
                self._schedule(event.job, event.retry_at_ms)  # type: ignore[union-attr]
            elif kind is JobRetriesUpdated:
                self._schedule(event.job, 0)  # type: ignore[union-attr]
            elif self._queued and kind in _OVER:
                # What was cancelled while it waited must not leave the engine any more.
                self._queued.pop(event.job, None)  # type: ignore[union-attr]

    def _schedule(self, key: int, at_ms: int) -> None:
        # No retry is ever farther away; more only means that the clock was set back meanwhile.
        wait_ms = min(at_ms - self._clock(), RETRY_MS_MAX) if at_ms else 0
        if wait_ms > 0:
            self._later(wait_ms / 1000, key, self._retry, key)
            return
        job = open_job(self._stream.machine.state, key)
        if job is not None:
            self._offer(job)

    def _later(self, wait_s: float, key: int, function: Callable[..., None], *given: Any) -> None:
        """Come back to a job; what was planned for it before is void, so that it is done once."""
        planned = self._retries.pop(key, None)
        if planned is not None:
            planned.cancel()
        self._retries[key] = asyncio.get_running_loop().call_later(wait_s, function, *given)

    def _retry(self, key: int) -> None:
        del self._retries[key]
        task = asyncio.create_task(self._read_again(key), name=f"job-{key}")
        self._keep(task)

    async def _read_again(self, key: int) -> None:
        try:
            job = await self._stream.read(lambda state: open_job(state, key))
        except UnavailableError:
            if self._is_leading:  # too much waits; the job stays open in the state
                self._later(SUBMIT_RETRY_S, key, self._retry, key)
            return
        if job is not None:
            self._offer(job)

    def _offer(self, job: Job) -> None:
        """Do a job now, or when its tenant has a place: one slow bank holds no place of the others."""
        prompt = self._prompt.get(job.type)
        if prompt is not None:
            self._report(job, _performed(prompt, job, self._context))
            return
        handler = self._slow.get(job.type)
        if handler is None:
            return  # a person's, or another worker's
        tenant = job.tenant
        if self._running >= JOBS_AT_ONCE_MAX or self._running_of[tenant] >= JOBS_A_TENANT_MAX:
            self._queued[job.key] = job
            self._queues.setdefault(tenant, deque()).append(job.key)
            return
        self._running += 1
        self._running_of[tenant] += 1
        task = asyncio.create_task(self._perform(handler, job), name=f"job-{job.key}")
        self._keep(task)

    async def _perform(self, handler: Handler, job: Job) -> None:
        try:
            self._report(job, await self._performed(handler, job))
        finally:
            self._running -= 1
            self._running_of[job.tenant] -= 1
            if not self._running_of[job.tenant]:
                del self._running_of[job.tenant]
            self._offer_next()

    def _offer_next(self) -> None:
        for _ in range(len(self._queues)):
            if self._running >= JOBS_AT_ONCE_MAX:
                return
            # The tenants take turns.
            tenant, queue = self._queues.popitem(last=False)
            has_place = self._running_of.get(tenant, 0) < JOBS_A_TENANT_MAX
            job = self._queued.pop(queue.popleft(), None) if has_place else None
            if queue:
                self._queues[tenant] = queue
            if job is not None:
                self._offer(job)

    async def _performed(self, handler: Handler, job: Job) -> Command:
        try:
            with self._context.tracing.span(
                f"job {job.type}", job.trace, tenant=job.tenant, payment=job.payment, attempt=job.attempt
            ):
                async with asyncio.timeout(JOB_TIMEOUT_S):
                    variables = await handler(job, self._context)
        except Exception as error:  # noqa: BLE001 - see below
            # A connector's defect must not stop the engine either: the job fails, becomes an incident
            # when its retries are used up, and an operator sees it.
            return _failure(job, error)
        return CompleteJob(job=job.key, variables=variables)

    def _report(self, job: Job, command: Command) -> None:
        self._stream.post(command, job.tenant, lambda reply: self._reported(job, command, reply))

    def _reported(self, job: Job, command: Command, reply: Reply | PayhubError) -> None:
        if isinstance(reply, UnavailableError):
            if self._is_leading:
                _logger.warning("a job's result waits: %s", reply.code)
                self._later(SUBMIT_RETRY_S, job.key, self._report_again, job, command)
        elif isinstance(reply, PayhubError):
            # The result can never be taken as it is; as a failure it becomes an incident in the end.
            _logger.error("the result of job %d was not taken: %s", job.key, reply)
            if isinstance(command, FailJob):
                self._later(RETRY_MS_MAX / 1000, job.key, self._report_again, job, command)
            else:
                failure = FailJob(job=job.key, message=reply.detail, retry_after_ms=UNEXPECTED_RETRY_MS)
                self._report(job, failure)
        elif isinstance(reply, Rejected):
            # Its element was left meanwhile, so the result has no effect; its record is in the log.
            _logger.info("a job's result came too late: %s", reply.code)

    def _report_again(self, job: Job, command: Command) -> None:
        del self._retries[job.key]
        self._report(job, command)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("%s lost its worker", task.get_name(), exc_info=task.exception())


def _performed(handler: PromptHandler, job: Job, context: ConnectorContext) -> Command:
    try:
        return CompleteJob(job=job.key, variables=handler(job, context))
    except Exception as error:  # noqa: BLE001 - as above
        return _failure(job, error)


def _failure(job: Job, error: Exception) -> Command:
    """Return what a connector's exception means for its job."""
    match error:
        case BpmnError():
            return ThrowJobError(
                job=job.key, code=error.code, description=error.description, variables=error.variables
            )
        case JobFailedError():
            return FailJob(job=job.key, message=error.message, retry_after_ms=error.retry_after_ms)
        case PayhubError():
            return FailJob(job=job.key, message=str(error), retry_after_ms=UNEXPECTED_RETRY_MS)
        case _:
            _logger.error("job %s of element %s failed unexpectedly", job.type, job.element, exc_info=error)
            message = f"unexpected {type(error).__name__}"
            return FailJob(job=job.key, message=message, retry_after_ms=UNEXPECTED_RETRY_MS)


def open_job(state: State, key: int) -> Job | None:
    """Return a job as its connector is given it; None where it is not to be done any more."""
    found = state.job_place(key)
    if found is None or found[2].retries_left == 0:
        return None
    instance, element, job = found
    return Job(
        key=job.key,
        type=job.type,
        tenant=instance.tenant,
        process=instance.process,
        instance=instance.key,
        payment=instance.payment,
        element=element.element,
        variables=owned_by_job(instance, element.key),
        headers=dict(job.headers),
        attempt=job.attempt,
        trace=instance.trace,
        started_at_ms=instance.started_at_ms,
    )
