"""Appliers turn events into state. Nothing else writes state, live or on replay.

A released applier is never edited: a change is a new one with the next version, and ``CURRENT_VERSION``
grows. An entry of the log names the version that decided it, so that replay uses the appliers of then.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from payhub_engines.core import events, tables
from payhub_engines.core.records import (
    ActiveElement,
    IncidentRecord,
    InstanceRow,
    JobRecord,
    MessageRecord,
    OutboxRecord,
    SubscriptionRecord,
    TimerRecord,
    Tokens,
)
from payhub_engines.core.state import State
from payhub_engines.core.store import Store
from payhub_platform.errors import PayhubError

CURRENT_VERSION: Final = 1

_Applier = Callable[[Any, Store], None]
_ApplierT = TypeVar("_ApplierT", bound=_Applier)
_APPLIERS: Final[dict[type[events.Event], dict[int, _Applier]]] = {}


class ReplayError(PayhubError):
    """The log and the state do not fit together; the replica must stop."""

    title = "The log does not continue the state"


def applier(event_type: type[events.Event], version: int) -> Callable[[_ApplierT], _ApplierT]:
    """Register how an event changes state, from a version of the log on."""

    def register(function: _ApplierT) -> _ApplierT:
        versions = _APPLIERS.setdefault(event_type, {})
        if version in versions:
            raise ValueError(f"{event_type.__name__} has an applier of version {version} already")
        versions[version] = function
        return function

    return register


def apply_event(event: events.Event, store: Store, version: int = CURRENT_VERSION) -> None:
    """Apply one event with the newest applier that is not newer than the log's version."""
    versions = _APPLIERS[type(event)]
    found = versions.get(version)
    if found is None:
        found = versions[max(known for known in versions if known <= version)]
    found(event, store)


def apply_entry(entry: events.LogEntry, store: Store) -> None:
    """Apply an entry of the log: on restart and on followers.

    Raises:
        ReplayError: the entry is not the next one, or needs a newer release.
    """
    expected = State(store).next_position
    if entry.first_position != expected:
        detail = f"Position {expected} is next, the entry begins at {entry.first_position}."
        raise ReplayError("position-gap", detail)
    if entry.version > CURRENT_VERSION:
        detail = f"The entry needs appliers of version {entry.version}; this release has {CURRENT_VERSION}."
        raise ReplayError("log-too-new", detail)
    for event in entry.events:
        apply_event(event, store, entry.version)
    advance_key(store, entry.next_key)
    advance_position(store, entry.first_position + len(entry.events))


def advance_key(store: Store, next_key: int) -> None:
    """Set the key counter."""
    store.put(tables.META_NEXT_KEY, tables.number(next_key))


def advance_position(store: Store, next_position: int) -> None:
    """Set the position of the next event."""
    store.put(tables.META_NEXT_POSITION, tables.number(next_position))


def _put_instance(store: Store, row: InstanceRow) -> None:
    store.put(tables.INSTANCE + tables.number(row.key), tables.encode(row))


def _put_tokens(store: Store, instance: int, tokens: Tokens) -> None:
    store.put(tables.TOKENS + tables.number(instance), tables.encode(tokens))


def _instance(store: Store, key: int) -> InstanceRow:
    row = State(store).instance_row(key)
    if row is None:
        raise ReplayError("unknown-instance", f"An event names instance {key}, which is not in the state.")
    return row


@applier(events.InstanceStarted, version=1)
def _instance_started(event: events.InstanceStarted, store: Store) -> None:
    row = InstanceRow(
        key=event.instance,
        process=event.process,
        version=event.version,
        tenant=event.tenant,
        payment=event.payment,
        fingerprint=event.fingerprint,
        trace=event.trace,
        started_at_ms=event.at_ms,
    )
    _put_instance(store, row)
    business_key = tables.BUSINESS_KEY + tables.texts(event.tenant, event.process, event.payment)
    store.put(business_key, tables.number(event.instance))
    store.put(tables.VARIABLES + tables.number(event.instance), tables.encode(event.variables))
    _put_tokens(store, event.instance, Tokens(elements={}, joins={}))


@applier(events.InstanceCompleted, version=1)
def _instance_completed(event: events.InstanceCompleted, store: Store) -> None:
    row = _instance(store, event.instance)
    row.ended_at_ms = event.at_ms
    _put_instance(store, row)
    store.delete(tables.TOKENS + tables.number(event.instance))


@applier(events.ElementActivated, version=1)
def _element_activated(event: events.ElementActivated, store: Store) -> None:
    tokens = State(store).tokens(event.instance)
    waiting = tokens.joins.pop(event.element, None)
    if waiting is not None:
        # A join takes one token of each flow; what a faster loop sent twice goes on waiting.
        left = {flow: count - 1 for flow, count in waiting.items() if count > 1}
        if left:
            tokens.joins[event.element] = left
    tokens.elements[event.key] = ActiveElement(element=event.element, local=event.local)
    _put_tokens(store, event.instance, tokens)


@applier(events.ElementCompleted, version=1)
@applier(events.ElementTerminated, version=1)
def _element_left(event: events.ElementCompleted | events.ElementTerminated, store: Store) -> None:
    tokens = State(store).tokens(event.instance)
    tokens.elements.pop(event.key, None)
    _put_tokens(store, event.instance, tokens)


@applier(events.SequenceFlowTaken, version=1)
def _sequence_flow_taken(event: events.SequenceFlowTaken, store: Store) -> None:
    if event.join:
        tokens = State(store).tokens(event.instance)
        waiting = tokens.joins.setdefault(event.join, {})
        waiting[event.flow] = waiting.get(event.flow, 0) + 1
        _put_tokens(store, event.instance, tokens)


@applier(events.VariablesMerged, version=1)
def _variables_merged(event: events.VariablesMerged, store: Store) -> None:
    state = State(store)
    if event.scope:
        tokens = state.tokens(event.instance)
        tokens.elements[event.scope].local.update(event.variables)
        _put_tokens(store, event.instance, tokens)
    else:
        variables = {**state.variables(event.instance), **event.variables}
        store.put(tables.VARIABLES + tables.number(event.instance), tables.encode(variables))


@applier(events.JobCreated, version=1)
def _job_created(event: events.JobCreated, store: Store) -> None:
    row = _instance(store, event.instance)
    job = JobRecord(
        key=event.job,
        type=event.job_type,
        instance=event.instance,
        element_instance=event.element_instance,
        element=event.element,
        tenant=row.tenant,
        process=row.process,
        payment=row.payment,
        trace=row.trace,
        headers=event.headers,
        retries_left=event.retries,
    )
    store.put(tables.JOB + tables.number(event.job), tables.encode(job))
    tokens = State(store).tokens(event.instance)
    tokens.elements[event.element_instance].job = event.job
    _put_tokens(store, event.instance, tokens)


@applier(events.JobFailed, version=1)
def _job_failed(event: events.JobFailed, store: Store) -> None:
    job = State(store).job(event.job)
    if job is None:
        raise ReplayError("unknown-job", f"An event names job {event.job}, which is not in the state.")
    job.retries_left = event.retries_left
    job.retry_at_ms = event.retry_at_ms
    job.attempt += 1
    store.put(tables.JOB + tables.number(event.job), tables.encode(job))


@applier(events.JobCompleted, version=1)
@applier(events.JobErrorThrown, version=1)
@applier(events.JobCancelled, version=1)
def _job_over(event: events.JobCompleted | events.JobErrorThrown | events.JobCancelled, store: Store) -> None:
    job = State(store).job(event.job)
    if job is None:
        raise ReplayError("unknown-job", f"An event names job {event.job}, which is not in the state.")
    store.delete(tables.JOB + tables.number(event.job))
    tokens = State(store).tokens(event.instance)
    tokens.elements[job.element_instance].job = 0
    _put_tokens(store, event.instance, tokens)


@applier(events.TimerCreated, version=1)
def _timer_created(event: events.TimerCreated, store: Store) -> None:
    timer = TimerRecord(event.timer, event.instance, event.element_instance, event.element, event.due_ms)
    store.put(tables.TIMER + tables.number(event.timer), tables.encode(timer))
    store.put(tables.TIMER_DUE + tables.number(event.due_ms) + tables.number(event.timer), b"")
    tokens = State(store).tokens(event.instance)
    tokens.elements[event.element_instance].timers.append(event.timer)
    _put_tokens(store, event.instance, tokens)


@applier(events.TimerTriggered, version=1)
@applier(events.TimerCancelled, version=1)
def _timer_over(event: events.TimerTriggered | events.TimerCancelled, store: Store) -> None:
    timer = State(store).timer(event.timer)
    if timer is None:
        raise ReplayError("unknown-timer", f"An event names timer {event.timer}, which is not in the state.")
    store.delete(tables.TIMER + tables.number(event.timer))
    store.delete(tables.TIMER_DUE + tables.number(timer.due_ms) + tables.number(event.timer))
    tokens = State(store).tokens(event.instance)
    tokens.elements[timer.element_instance].timers.remove(event.timer)
    _put_tokens(store, event.instance, tokens)


def _subscription_key(record: SubscriptionRecord) -> bytes:
    named = tables.texts(record.tenant, record.name, record.correlation_key)
    return tables.SUBSCRIPTION_KEY + named + tables.number(record.key)


@applier(events.SubscriptionOpened, version=1)
def _subscription_opened(event: events.SubscriptionOpened, store: Store) -> None:
    record = SubscriptionRecord(
        key=event.subscription,
        instance=event.instance,
        element_instance=event.element_instance,
        element=event.element,
        tenant=_instance(store, event.instance).tenant,
        name=event.name,
        correlation_key=event.correlation_key,
    )
    store.put(tables.SUBSCRIPTION + tables.number(event.subscription), tables.encode(record))
    store.put(_subscription_key(record), b"")
    tokens = State(store).tokens(event.instance)
    tokens.elements[event.element_instance].subscriptions.append(event.subscription)
    _put_tokens(store, event.instance, tokens)


@applier(events.SubscriptionClosed, version=1)
def _subscription_closed(event: events.SubscriptionClosed, store: Store) -> None:
    record = State(store).subscription(event.subscription)
    if record is None:
        detail = f"An event names subscription {event.subscription}, which is not in the state."
        raise ReplayError("unknown-subscription", detail)
    store.delete(tables.SUBSCRIPTION + tables.number(event.subscription))
    store.delete(_subscription_key(record))
    tokens = State(store).tokens(event.instance)
    tokens.elements[record.element_instance].subscriptions.remove(event.subscription)
    _put_tokens(store, event.instance, tokens)


def _message_keys(record: MessageRecord) -> tuple[bytes, bytes, bytes]:
    key, callback = tables.number(record.key), record.callback
    named = tables.texts(callback.tenant, callback.name, callback.correlation_key)
    return (
        tables.MESSAGE + key,
        tables.MESSAGE_KEY + named + key,
        tables.MESSAGE_EXPIRY + tables.number(record.expires_at_ms) + key,
    )


def _forget_message(store: Store, key: int) -> None:
    record = State(store).message(key)
    if record is not None:
        for table_key in _message_keys(record):
            store.delete(table_key)


@applier(events.MessageBuffered, version=1)
def _message_buffered(event: events.MessageBuffered, store: Store) -> None:
    record = MessageRecord(event.message, event.callback, event.expires_at_ms, event.via)
    by_key, by_name, by_expiry = _message_keys(record)
    store.put(by_key, tables.encode(record))
    store.put(by_name, b"")
    store.put(by_expiry, b"")


@applier(events.MessageCorrelated, version=1)
def _message_correlated(event: events.MessageCorrelated, store: Store) -> None:
    if event.message:
        _forget_message(store, event.message)
    if event.via:
        row = _instance(store, event.instance)
        row.handed_over = True
        _put_instance(store, row)


@applier(events.MessageExpired, version=1)
def _message_expired(event: events.MessageExpired, store: Store) -> None:
    _forget_message(store, event.message)


@applier(events.IncidentRaised, version=1)
def _incident_raised(event: events.IncidentRaised, store: Store) -> None:
    row = _instance(store, event.instance)
    row.incidents += 1
    _put_instance(store, row)
    record = IncidentRecord(
        key=event.incident,
        instance=event.instance,
        element_instance=event.element_instance,
        element=event.element,
        code=event.code,
        message=event.message,
        at_ms=event.at_ms,
        tenant=row.tenant,
        process=row.process,
        payment=row.payment,
    )
    store.put(tables.INCIDENT + tables.number(event.incident), tables.encode(record))
    tokens = State(store).tokens(event.instance)
    active = tokens.elements.get(event.element_instance)
    if active is not None:
        active.incident = event.incident
        _put_tokens(store, event.instance, tokens)


@applier(events.IncidentResolved, version=1)
def _incident_resolved(event: events.IncidentResolved, store: Store) -> None:
    state = State(store)
    record = state.incident(event.incident)
    row = _instance(store, event.instance)
    row.incidents -= 1
    _put_instance(store, row)
    store.delete(tables.INCIDENT + tables.number(event.incident))
    tokens = state.tokens(event.instance)
    active = tokens.elements.get(record.element_instance) if record else None
    if active is not None:
        active.incident = 0
        _put_tokens(store, event.instance, tokens)


@applier(events.HandoverQueued, version=1)
def _handover_queued(event: events.HandoverQueued, store: Store) -> None:
    owner, sequence = tables.texts(event.owner), tables.number(event.sequence)
    record = OutboxRecord(event.owner, event.sequence, event.callback)
    store.put(tables.OUTBOX + owner + sequence, tables.encode(record))
    store.put(tables.OUTBOX_LAST + owner, sequence)


@applier(events.HandoverAcknowledged, version=1)
def _handover_acknowledged(event: events.HandoverAcknowledged, store: Store) -> None:
    store.delete(tables.OUTBOX + tables.texts(event.owner) + tables.number(event.sequence))


@applier(events.HandoverReceived, version=1)
def _handover_received(event: events.HandoverReceived, store: Store) -> None:
    origin = tables.texts(event.origin)
    store.put(tables.RECEIVED + origin + tables.number(event.sequence), b"")
    if event.lowest_open > State(store).received_floor(event.origin):
        store.put(tables.RECEIVED_FLOOR + origin, tables.number(event.lowest_open))
        for key, _ in store.scan(tables.RECEIVED + origin):
            if tables.last_number(key) >= event.lowest_open:
                break
            store.delete(key)
