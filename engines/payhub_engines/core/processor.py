"""Decides commands: the leader gives commands and the store, and gets events and an answer."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from payhub_engines.core import correlation, events
from payhub_engines.core.appliers import CURRENT_VERSION, advance_key, advance_position
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.commands import (
    AcknowledgeHandover,
    Command,
    CompleteJob,
    CorrelateMessage,
    ExpireMessage,
    FailJob,
    QueueHandover,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import JobRecord
from payhub_engines.core.reply import Accepted, Outcome, Rejected, Reply
from payhub_engines.core.run import InstanceRun
from payhub_engines.core.state import State
from payhub_engines.core.store import Store
from payhub_engines.core.tables import fits_key
from payhub_engines.core.variables import json_variables

__all__ = ["Accepted", "Outcome", "Processor", "Rejected", "Reply", "seal"]

JOB_RETRY_MS_MAX: Final = 60_000  # back-off doubles with each failure up to here
MESSAGE_CHARS_MAX: Final = 1_000  # of a failure's text


class Processor:
    """Decides one command after another; it holds nothing but the definitions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def process(self, command: Command, store: Store, now_ms: int) -> Outcome:
        """Decide a command and apply its events to the store, so that the next one sees them.

        Nothing that a caller, connector or model sends makes this raise: what cannot be done is rejected,
        what a model gets wrong is an incident. When it does raise, the state itself is damaged.
        """
        decision = Decision(self._catalogue, store, now_ms)
        reply = _HANDLERS[type(command)](decision, command)
        return Outcome(decision.events, decision.scopes, reply)


def seal(outcomes: Sequence[Outcome], store: Store, now_ms: int) -> events.LogEntry:
    """Join outcomes, in the order in which they were processed, to one entry of the log.

    Gives the events their positions and moves the store's next position on. An entry without events
    need not be logged. ``apply_entry`` brings another store to exactly the same bytes.
    """
    state = State(store)
    first_position, next_key = state.next_position, state.next_key
    joined: list[events.AnyEvent] = []
    scopes: dict[int, events.Scope] = {}
    for outcome in outcomes:
        joined += outcome.events
        scopes.update(outcome.scopes)
    if joined:
        # Both counters are written here as replay writes them, whether or not a command moved them.
        advance_key(store, next_key)
        advance_position(store, first_position + len(joined))
    return events.LogEntry(first_position, now_ms, joined, scopes, next_key, CURRENT_VERSION)


def _start(decision: Decision, command: StartInstance) -> Reply:
    definition = decision.catalogue.latest(command.process)
    if definition is None:
        return Rejected("unknown-process", f"No process {command.process} is deployed.")
    if not fits_key(command.tenant, command.payment, command.fingerprint, command.trace):
        return Rejected("invalid-key", "Keys have at most 512 characters of valid Unicode.")
    found = decision.state.find_key(command.tenant, definition.id, command.payment)
    if found is not None:
        row = decision.state.instance_row(found)
        if row is not None and row.fingerprint == command.fingerprint:
            return Accepted(found, duplicate=True)
        return Rejected("key-reused", f"{command.payment} was used with another content.")
    try:
        variables = json_variables(command.variables)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    identity = (command.tenant, command.payment, command.fingerprint)
    row = decision.start(definition, identity, command.trace, variables)
    InstanceRun(decision, row, definition).start()
    return Accepted(row.key)


def _complete_job(decision: Decision, command: CompleteJob) -> Reply:
    found = _job_run(decision, command.job)
    if isinstance(found, Rejected):
        return found
    job, run = found
    try:
        results = json_variables(command.variables)
    except ExpressionError as error:
        # The work is done outside, so trying again would not help: an operator must look.
        _stop_job(decision, job, run, "invalid-variables", error.detail)
        return Accepted(job.key)
    decision.append(events.JobCompleted(job.instance, job.key, job.element))
    run.job_completed(job.element_instance, results)
    return Accepted(job.key)


def _fail_job(decision: Decision, command: FailJob) -> Reply:
    found = _job_run(decision, command.job)
    if isinstance(found, Rejected):
        return found
    job, run = found
    message = _bounded(command.message)
    if job.retries_left <= 1:
        _stop_job(decision, job, run, "job-no-retries", message)
        return Accepted(job.key)
    delay_ms = _retry_delay_ms(command.retry_after_ms, job.attempt)
    retry_at_ms = decision.now_ms + delay_ms
    decision.append(
        events.JobFailed(job.instance, job.key, job.element, job.retries_left - 1, retry_at_ms, message)
    )
    return Accepted(job.key)


def _retry_delay_ms(retry_after_ms: int, attempt: int) -> int:
    """Double the connector's wish with each attempt, bounded."""
    doublings = min(attempt - 1, JOB_RETRY_MS_MAX.bit_length())
    return min(max(retry_after_ms, 0) << doublings, JOB_RETRY_MS_MAX)


def _stop_job(decision: Decision, job: JobRecord, run: InstanceRun, code: str, message: str) -> None:
    failed = events.JobFailed(job.instance, job.key, job.element, 0, decision.now_ms, message)
    decision.append(failed)
    run.raise_incident(job.element_instance, job.element, code, message)


def _throw_job_error(decision: Decision, command: ThrowJobError) -> Reply:
    found = _job_run(decision, command.job)
    if isinstance(found, Rejected):
        return found
    job, run = found
    code, description = _bounded(command.code), _bounded(command.description)
    try:
        results = json_variables(command.variables)
    except ExpressionError as error:
        _stop_job(decision, job, run, "invalid-variables", error.detail)
        return Accepted(job.key)
    decision.append(events.JobErrorThrown(job.instance, job.key, job.element, code, description))
    run.error_thrown(job.element_instance, code, description, results)
    return Accepted(job.key)


def _trigger_timer(decision: Decision, command: TriggerTimer) -> Reply:
    timer = decision.state.timer(command.timer)
    if timer is None:
        return Rejected("timer-not-found", f"Timer {command.timer} is not running.")
    if timer.due_ms > decision.now_ms:
        return Rejected("timer-not-due", f"Timer {command.timer} is due at {timer.due_ms}.")
    run = _run(decision, timer.instance)
    if isinstance(run, Rejected):
        return run
    decision.append(events.TimerTriggered(timer.instance, timer.key, timer.element))
    run.trigger(timer.element_instance, timer.element, {})
    return Accepted(timer.key)


def _job_run(decision: Decision, key: int) -> tuple[JobRecord, InstanceRun] | Rejected:
    job = decision.state.job(key)
    if job is None:
        return Rejected("job-not-found", f"Job {key} is done or was cancelled.")
    run = _run(decision, job.instance)
    return run if isinstance(run, Rejected) else (job, run)


def _run(decision: Decision, instance: int) -> InstanceRun | Rejected:
    row = decision.row(instance)
    definition = decision.catalogue.get(row.process, row.version)
    if definition is None:
        detail = f"Version {row.version} of process {row.process} is not deployed here."
        return Rejected("unknown-version", detail)
    return InstanceRun(decision, row, definition)


def _bounded(text: str) -> str:
    """Cut a connector's text, and take out what is not valid Unicode."""
    return text[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()


_HANDLERS: Final[dict[type[Command], Callable[[Decision, Any], Reply]]] = {
    StartInstance: _start,
    CorrelateMessage: correlation.correlate,
    CompleteJob: _complete_job,
    FailJob: _fail_job,
    ThrowJobError: _throw_job_error,
    TriggerTimer: _trigger_timer,
    ExpireMessage: correlation.expire,
    QueueHandover: correlation.queue_handover,
    AcknowledgeHandover: correlation.acknowledge_handover,
}
