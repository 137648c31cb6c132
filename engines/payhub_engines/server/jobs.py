"""Jobs leave the engine only after they are committed, and their results come back as commands."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, Handler, Job, JobFailedError
from payhub_engines.consensus.errors import EntryTooLargeError
from payhub_engines.core.commands import Command, CompleteJob, FailJob, ThrowJobError
from payhub_engines.core.events import JobCreated, JobFailed, LogEntry
from payhub_engines.core.processor import JOB_RETRY_MS_MAX
from payhub_engines.core.records import JobRecord
from payhub_engines.core.reply import Rejected
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError

_logger = logging.getLogger(__name__)

JOBS_AT_ONCE_MAX: Final = 256
JOBS_A_TENANT_MAX: Final = 64
SUBMIT_RETRY_S: Final = 0.1
UNEXPECTED_RETRY_MS: Final = 1_000


class JobWorker:
    """Runs the connectors' handlers for open jobs, bounded, and repeats what is not recorded as done."""

    def __init__(
        self,
        stream: StreamProcessor,
        handlers: Mapping[str, Handler],
        context: ConnectorContext,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._handlers = handlers
        self._context = context
        self._clock = clock
        self._places = asyncio.Semaphore(JOBS_AT_ONCE_MAX)
        self._tenant_places: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(JOBS_A_TENANT_MAX)
        )
        self._tasks: dict[int, asyncio.Task[None]] = {}
        stream.on_committed(self._on_committed)

    def resume(self) -> None:
        """Take up every job that is open in the state: after a start, or as a new leader."""
        for record in self._stream.view.jobs():
            self._schedule(record.key, record.retry_at_ms)

    async def stop(self) -> None:
        """Stop all handlers; what they did is asked for again after the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _on_committed(self, entry: LogEntry) -> None:
        for event in entry.events:
            if isinstance(event, JobCreated):
                self._schedule(event.job, 0)
            elif isinstance(event, JobFailed) and event.retries_left > 0:
                self._schedule(event.job, event.retry_at_ms)

    def _schedule(self, key: int, at_ms: int) -> None:
        task = asyncio.create_task(self._attempt(key, at_ms), name=f"job-{key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: int, task: asyncio.Task[None]) -> None:
        # A retry is scheduled from within the attempt before it, so the key may be the next one's.
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and task.exception() is not None:
            _logger.error("job %d lost its worker", key, exc_info=task.exception())

    async def _attempt(self, key: int, at_ms: int) -> None:
        # No retry is ever farther away; more only means that the clock was set back meanwhile.
        wait_ms = min(at_ms - self._clock(), JOB_RETRY_MS_MAX)
        if wait_ms > 0:
            await asyncio.sleep(wait_ms / 1000)
        record = self._stream.view.job(key)
        if record is None:
            return
        # A tenant's place comes first: jobs that wait for a slow bank hold no place of the others.
        async with self._tenant_places[record.tenant], self._places:
            # What was cancelled while it waited for a place must not leave the engine any more.
            record = self._stream.view.job(key)
            if record is None:
                return
            command = await self._perform(record)
        await self._submit(key, command)

    async def _perform(self, record: JobRecord) -> Command:
        job = job_of(record, self._stream.view.job_variables(record))
        try:
            handler = self._handlers[job.type]
            with self._context.tracing.span(
                f"job {job.type}", job.trace, tenant=job.tenant, payment=job.payment, attempt=job.attempt
            ):
                variables = await handler(job, self._context)
            return CompleteJob(job=job.key, variables=variables)
        except BpmnError as error:
            return ThrowJobError(
                job=job.key, code=error.code, description=error.description, variables=error.variables
            )
        except JobFailedError as error:
            return FailJob(job=job.key, message=error.message, retry_after_ms=error.retry_after_ms)
        except PayhubError as error:
            return FailJob(job=job.key, message=str(error), retry_after_ms=UNEXPECTED_RETRY_MS)
        except Exception as error:
            # A connector's defect must not stop the engine: the job fails, becomes an incident when
            # its retries are used up, and an operator sees it.
            _logger.exception("job %s of element %s failed unexpectedly", job.type, job.element)
            return FailJob(
                job=job.key, message=f"unexpected {type(error).__name__}", retry_after_ms=UNEXPECTED_RETRY_MS
            )

    async def _submit(self, key: int, command: Command) -> None:
        while True:
            try:
                reply = await self._stream.submit(command)
            except UnavailableError as error:
                _logger.warning("a job's result waits: %s", error.code)
                await asyncio.sleep(SUBMIT_RETRY_S)
                continue
            except EntryTooLargeError as error:
                # The result can never be taken as it is; as a failure it becomes an incident in the end.
                command = FailJob(job=key, message=error.detail, retry_after_ms=UNEXPECTED_RETRY_MS)
                continue
            if isinstance(reply, Rejected):
                # Its element was left meanwhile, so the result has no effect; its record is in the log.
                _logger.info("a job's result came too late: %s", reply.code)
            return


def job_of(record: JobRecord, variables: dict[str, Any]) -> Job:
    """Return an open job as its connector is given it."""
    return Job(
        key=record.key,
        type=record.type,
        tenant=record.tenant,
        process=record.process,
        instance=record.instance,
        payment=record.payment,
        element=record.element,
        variables=variables,
        headers=record.headers,
        attempt=record.attempt,
        trace=record.trace,
    )
