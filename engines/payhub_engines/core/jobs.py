"""What connectors report about their jobs."""

from typing import Final

from payhub_engines.core import events, throwing
from payhub_engines.core.commands import CompleteJob, FailJob, ThrowJobError
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import VariablesTooLargeError, check_fits
from payhub_engines.core.records import ElementInstance, Job
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.run import InstanceRun
from payhub_engines.core.variables import json_variables, plain_units

RETRY_MS_MAX: Final = 60_000  # back-off doubles with each failure up to here
MESSAGE_CHARS_MAX: Final = 1_000  # of a failure's text


def complete(decision: Decision, command: CompleteJob) -> Reply:
    """Leave a task whose job is done."""
    found = _find(decision, command.job)
    if isinstance(found, Rejected):
        return found
    run, active, job = found
    try:
        plain = plain_units(command.variables)
        results = json_variables(command.variables) if plain is None else dict(command.variables)
        check_fits(decision, run.instance, results, plain)
    except VariablesTooLargeError as error:
        _stop(run, active, job, error.code, error.detail)
        return Accepted(job.key)
    except ExpressionError as error:
        # The work is done outside, so trying again would not help: an operator must look.
        _stop(run, active, job, "invalid-variables", error.detail)
        return Accepted(job.key)
    run.leave_task(active, job.key, results)
    return Accepted(job.key)


def fail(decision: Decision, command: FailJob) -> Reply:
    """Try a job again after a back-off, or raise an incident when its retries are used up."""
    found = _find(decision, command.job)
    if isinstance(found, Rejected):
        return found
    run, active, job = found
    message = _bounded(command.message)
    if job.retries_left <= 1:
        _stop(run, active, job, "job-no-retries", message)
        return Accepted(job.key)
    retry_at_ms = decision.now_ms + _retry_delay_ms(command.retry_after_ms, job.attempt)
    decision.append(
        events.JobFailed(run.key, job.key, active.element, job.retries_left - 1, retry_at_ms, message)
    )
    return Accepted(job.key)


def _retry_delay_ms(retry_after_ms: int, attempt: int) -> int:
    """Double the connector's wish with each attempt, bounded."""
    doublings = min(attempt - 1, RETRY_MS_MAX.bit_length())
    return min(max(retry_after_ms, 0) << doublings, RETRY_MS_MAX)


def _stop(run: InstanceRun, active: ElementInstance, job: Job, code: str, message: str) -> None:
    decision = run.decision
    decision.append(events.JobFailed(run.key, job.key, active.element, 0, decision.now_ms, message))
    run.raise_incident(active.key, active.element, code, message, "job")


def throw_error(decision: Decision, command: ThrowJobError) -> Reply:
    """Give a connector's business error to what catches it; the exact code goes before catch-all."""
    found = _find(decision, command.job)
    if isinstance(found, Rejected):
        return found
    run, active, job = found
    code, description = _bounded(command.code), _bounded(command.description)
    try:
        results = json_variables(command.variables)
    except ExpressionError as error:
        _stop(run, active, job, "invalid-variables", error.detail)
        return Accepted(job.key)
    decision.append(events.JobErrorThrown(run.key, job.key, active.element, code, description))
    run.resolve_incident(active)
    if not throwing.throw_error(run, active.key, code, results):
        if results:
            decision.append(events.VariablesMerged(run.key, results, active.key))
        detail = f"{code}: {description}"
        run.raise_incident(active.key, active.element, "unhandled-error", detail, "new-job")
    return Accepted(job.key)


def _find(decision: Decision, key: int) -> tuple[InstanceRun, ElementInstance, Job] | Rejected:
    place = decision.state.index.jobs.get(key)
    if place is None:
        return Rejected("job-not-found", f"Job {key} is done or was cancelled.")
    run = decision.run(place[0])
    active = run.instance.elements[place[1]]
    if active.job is None:
        return Rejected("job-not-found", f"Job {key} is done or was cancelled.")
    return run, active, active.job


def _bounded(text: str) -> str:
    """Cut a connector's text, and take out what is not valid Unicode."""
    return text[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()
