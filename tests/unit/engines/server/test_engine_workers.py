"""What runs beside the stream processor: timers and jobs, when clocks are set back and places are few."""

import asyncio
from types import SimpleNamespace

from unit.engines.core.limited_payment import payment, variables
from unit.engines.server.replica_kit import answer, start_command

from payhub_engines.core import tables, usage
from payhub_engines.core.commands import CompleteJob, FailJob, StartInstance
from payhub_engines.core.events import JobFailed, MessageExpired, UsageForgotten
from payhub_engines.core.processor import Batch
from payhub_engines.server import jobs
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.timers import TimerWorker
from payhub_platform.telemetry.tracing import Tracing

WAIT_S = 20


async def run_until(work, event: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(WAIT_S):
            await event.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_was_due_too_early_for_a_clock_set_back_is_fired_later(replica_on) -> None:
    replica, expired, looks = await replica_on(), asyncio.Event(), 0
    await replica.stream.submit(answer(1))  # kept until 1050

    def clock() -> int:
        nonlocal looks
        looks += 1
        if looks > 4:
            replica.now_ms = 1_060
        return 1_060

    def on_committed(entry) -> None:
        if any(isinstance(event, MessageExpired) for event in entry.events):
            expired.set()

    worker = TimerWorker(replica.stream, clock, kept_ms=10**9)
    replica.stream.on_committed(on_committed)
    await run_until(worker.run(), expired)
    assert replica.state.counts().messages == 0


async def test_days_that_no_limit_looks_at_are_forgotten_a_few_rows_at_once(replica_on, monkeypatch) -> None:
    monkeypatch.setattr(usage, "ROWS_AT_ONCE_MAX", 1)
    replica, forgotten = await replica_on(xmls=(payment(),)), asyncio.Event()
    start = StartInstance(process="p", tenant="lion", payment="p1", fingerprint="f", variables=variables())
    await replica.stream.submit(start)
    left: list[int] = []

    def on_committed(entry) -> None:
        if any(isinstance(event, UsageForgotten) for event in entry.events):
            left.append(sum(1 for _ in replica.state.rows.scan(tables.USAGE)))
            if not left[-1]:
                forgotten.set()

    replica.stream.on_committed(on_committed)
    replica.now_ms += 3 * usage.DAY_MS
    await run_until(TimerWorker(replica.stream, lambda: replica.now_ms, kept_ms=10**9).run(), forgotten)
    assert left == [1, 0]  # of the tenant and its member


def job_worker(replica, handler, clock=lambda: 0) -> JobWorker:
    context = SimpleNamespace(tracing=Tracing("test"))
    return JobWorker(replica.stream, {"send": handler}, context, clock)


async def test_a_job_that_ended_while_it_waited_for_a_place_does_not_leave(replica_on, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "JOBS_A_TENANT_MAX", 1)
    replica, entered, release, done = await replica_on(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    sent = []

    async def send(job, _context):
        sent.append(job.payment)
        entered.set()
        await release.wait()
        return {}

    worker = job_worker(replica, send)
    worker.resume()
    await replica.stream.submit(start_command(1))
    await entered.wait()
    await replica.stream.submit(start_command(2))
    waiting = next(job for job in replica.state.jobs() if job.payment == "p2")
    await replica.stream.submit(CompleteJob(job=waiting.key, variables={}))
    replica.stream.on_committed(lambda _: done.set())
    release.set()
    await done.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    await worker.stop()
    assert sent == ["p1"]


async def test_a_clock_set_back_does_not_hold_a_retry_up(replica_on, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "RETRY_MS_MAX", 1)
    replica, tried = await replica_on(), asyncio.Event()
    await replica.stream.submit(start_command(1))
    [job] = replica.state.jobs()
    replica.now_ms = 10_000_000
    await replica.stream.submit(FailJob(job=job.key, message="later", retry_after_ms=500))

    async def send(_job, _context):
        tried.set()
        return {}

    worker = job_worker(replica, send)
    worker.resume()
    async with asyncio.timeout(WAIT_S):
        await tried.wait()
    await worker.stop()


async def test_a_job_that_is_planned_twice_is_done_once(replica_on) -> None:
    replica, seen, entered, last = await replica_on(), [], asyncio.Event(), asyncio.Event()
    errors: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    async def send(job, _context):
        seen.append((job.payment, job.attempt))
        entered.set()
        if (job.payment, job.attempt) == ("p2", 2):
            last.set()
        await asyncio.Event().wait()

    worker = job_worker(replica, send, clock=lambda: replica.now_ms)
    worker.resume()
    keys = []
    for number in (1, 2):
        entered.clear()
        await replica.stream.submit(start_command(number))
        await entered.wait()
        keys.append(next(job.key for job in replica.state.jobs() if job.payment == f"p{number}"))
    failing = ((keys[0], 1), (keys[0], 1), (keys[1], 20))  # one entry, so that all are planned at once
    await asyncio.gather(
        *(
            replica.stream.submit(FailJob(job=key, message="later", retry_after_ms=retry_after_ms))
            for key, retry_after_ms in failing
        )
    )
    async with asyncio.timeout(WAIT_S):
        await last.wait()  # the last of what was planned
    await worker.stop()
    assert seen == [("p1", 1), ("p2", 1), ("p1", 3), ("p2", 2)]
    assert errors == []


class PoisonedResult(Batch):
    """Meets a defect with every result of a job."""

    def decide(self, command):
        if isinstance(command, CompleteJob):
            raise RuntimeError("poison")  # noqa: TRY004 - a defect, of no kind
        return super().decide(command)


async def test_a_result_that_meets_a_defect_becomes_a_failure_and_an_incident_not_silence(
    replica_on, monkeypatch
) -> None:
    monkeypatch.setattr("payhub_engines.server.commits.Batch", PoisonedResult)
    monkeypatch.setattr(jobs, "UNEXPECTED_RETRY_MS", 0)
    replica, failed = await replica_on(), asyncio.Event()

    def on_committed(entry) -> None:
        if any(isinstance(event, JobFailed) and not event.retries_left for event in entry.events):
            failed.set()

    async def send(_job, _context):
        return {}

    worker = job_worker(replica, send, clock=lambda: replica.now_ms)
    worker.resume()
    replica.stream.on_committed(on_committed)
    await replica.stream.submit(start_command(1))
    async with asyncio.timeout(WAIT_S):
        await failed.wait()
    [incident] = await replica.stream.read(lambda state: list(state.incidents()))
    assert incident.code == "job-no-retries"
    assert "command-failed" not in incident.message
    assert replica.stream.is_ready
    await worker.stop()
