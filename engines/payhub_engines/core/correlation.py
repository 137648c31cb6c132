"""Messages: to those who wait, to a new instance, into the buffer, or into the log as unmatched."""

from typing import Any, Final

import msgspec

from payhub_engines.core import broadcasts, business_keys, events, fencing, throwing, waits
from payhub_engines.core.bpmn.model import MessageTrigger, ProcessDefinition
from payhub_engines.core.commands import (
    AcknowledgeHandover,
    BroadcastSignal,
    CorrelateMessage,
    ExpireMessage,
    QueueHandover,
)
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.index import Place
from payhub_engines.core.limits import spend, units_of
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.tables import NUMBER_MAX, fits_key
from payhub_engines.core.variables import json_variables, plain_units
from payhub_platform.contracts.handover import Callback, Subject

BUFFERED_PER_KEY_MAX: Final = 16
TTL_MS_MAX: Final = 24 * 3_600_000
ID_TTL_MS_MIN: Final = 60_000  # an id is remembered at least so long, even of a message that is not kept
OUTBOX_PER_OWNER_MAX: Final = 10_000


def correlate(decision: Decision, command: CorrelateMessage) -> Reply:
    """Give a message to whom it belongs; a hand-over takes effect once."""
    callback, origin = checked(command.callback), command.origin
    if isinstance(callback, Rejected):
        return callback
    if origin and _is_unsound(command):
        return Rejected("invalid-handover", "A hand-over needs an origin and an open sequence from 1.")
    if origin and decision.state.was_received(origin, command.sequence):
        return Accepted(command.sequence, duplicate=True)
    return _give(decision, callback, command)


def _give(decision: Decision, callback: Callback, command: CorrelateMessage) -> Reply:
    origin = command.origin
    taken = _taken_id(decision, callback)
    if taken is not None and not origin:
        return Accepted(taken, duplicate=True)
    waiting = _waiting(decision, callback)
    if waiting is None and callback.subject is not None:
        callback = _about(decision, callback, callback.subject)
    refusal = None if origin else _refusal(decision, callback, is_delivered=waiting is not None)
    if refusal is None and callback.start_process and waiting is None:
        refusal = _start_refusal(decision, callback) or _fenced(decision, callback, command.epoch)
    if refusal is not None:
        return refusal
    if origin:
        floor = max(command.lowest_open, 0)
        received = events.HandoverReceived(
            origin, command.sequence, floor, callback.tenant, callback.payment, callback.trace
        )
        decision.append(received)
        if taken is not None:
            return Accepted(taken, duplicate=True)
    reply = _take(decision, callback, waiting, origin)
    if callback.message_id and isinstance(reply, Accepted):
        _note_id(decision, callback, reply.key)
    return reply


def _take(decision: Decision, callback: Callback, waiting: tuple[int, Place] | None, origin: str) -> Reply:
    if waiting is not None:
        return _deliver(decision, callback, waiting, origin)
    starts = _starts(decision, callback)
    if starts:
        return _start(decision, callback, starts, origin)
    return _keep(decision, callback, origin)


def _taken_id(decision: Decision, callback: Callback) -> int | None:
    """Return the key of the message that has taken this message's id, while that lives."""
    if not callback.message_id:
        return None
    found = decision.state.message_id(
        callback.tenant, callback.name, callback.correlation_key, callback.message_id
    )
    return found[1] if found is not None and found[0] > decision.now_ms else None


def _about(decision: Decision, callback: Callback, subject: Subject) -> Callback:
    """Return what becomes of a message about an instance that does not wait for it."""
    found = decision.state.find_key(callback.tenant, subject.process, subject.key)
    instance = None if found is None else decision.state.document(found)
    known: dict[str, Any] | None = None
    if instance is not None:
        if instance.is_running and callback.ttl_ms > 0:
            return msgspec.structs.replace(callback, start_process="")
        known = {name: instance.variables.get(name) for name in subject.variables}
        known |= {"startedAtMs": instance.started_at_ms, "ended": not instance.is_running}
    elif not subject.or_unknown:
        return callback
    return msgspec.structs.replace(
        callback,
        variables={**callback.variables, **subject.given, "subject": known},
        start_process=subject.answer_process,
        payment=subject.answer_key,
        known_as="",
    )


def checked(callback: Callback) -> Callback | Rejected:
    """Return a callback as it may enter the log: bounded texts, variables that are JSON."""
    named = (callback.tenant, callback.name, callback.correlation_key)
    others = (callback.payment, callback.fingerprint, callback.start_process, callback.trace)
    if not fits_key(*named, *others, callback.message_id, callback.known_as):
        return Rejected("invalid-key", "Names and keys have at most 512 characters of valid Unicode.")
    subject = callback.subject
    if subject is not None and not fits_key(subject.process, subject.answer_process, subject.answer_key):
        return Rejected("invalid-key", "Names and keys have at most 512 characters of valid Unicode.")
    given = {} if subject is None else subject.given
    if plain_units(callback.variables) is not None and plain_units(given) is not None:
        return callback
    try:
        variables = json_variables(callback.variables)
        if subject is not None:
            subject = msgspec.structs.replace(subject, given=json_variables(given))
        return msgspec.structs.replace(callback, variables=variables, subject=subject)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)


def expire(decision: Decision, command: ExpireMessage) -> Reply:
    """Report a kept message whose time is over."""
    record = decision.state.message(command.message)
    if record is None:
        return Rejected("message-not-found", f"No message {command.message} is kept.")
    if record.expires_at_ms > decision.now_ms:
        return Rejected("message-not-expired", f"The message is kept until {record.expires_at_ms}.")
    spend(decision, units_of(record.callback.variables))
    decision.append(events.MessageExpired(record.key, record.callback, "expired"))
    return Accepted(record.key)


def queue_handover(decision: Decision, command: QueueHandover) -> Reply:
    """Commit a callback for another engine; the reply's key is its sequence."""
    owner = command.owner
    callback = checked(command.callback)
    if isinstance(callback, Rejected):
        return callback
    if not owner or not fits_key(owner):
        return Rejected("invalid-key", "A hand-over needs the id of an engine.")
    last = decision.state.outbox_last(owner)
    lowest = next(decision.state.outbox(owner), None)
    if lowest is not None and last - lowest.sequence + 1 >= OUTBOX_PER_OWNER_MAX:
        return Rejected("handover-full", f"{OUTBOX_PER_OWNER_MAX} callbacks wait for engine {owner}.")
    spend(decision, units_of(callback.variables))
    decision.append(events.HandoverQueued(owner, last + 1, callback))
    return Accepted(last + 1)


def acknowledge_handover(decision: Decision, command: AcknowledgeHandover) -> Reply:
    """Forget a callback that its owner has committed."""
    owner, sequence = command.owner, command.sequence
    fits = fits_key(owner) and 0 < sequence <= decision.state.outbox_last(owner)
    if not fits:
        return Rejected("handover-not-found", f"No sequence {sequence} was given to this engine.")
    record = decision.state.outbox_record(owner, sequence)
    if record is None:
        return Accepted(sequence, duplicate=True)
    callback = record.callback
    decision.append(
        events.HandoverAcknowledged(owner, sequence, callback.tenant, callback.payment, callback.trace)
    )
    return Accepted(sequence)


def _is_unsound(command: CorrelateMessage) -> bool:
    is_sequence = 1 <= command.sequence <= NUMBER_MAX
    return not fits_key(command.origin) or not is_sequence or command.lowest_open > command.sequence


def _waiting(decision: Decision, callback: Callback) -> tuple[int, Place] | None:
    """Return the oldest subscription to a message, with its place."""
    found = decision.state.index.waiting.get((callback.tenant, callback.name, callback.correlation_key))
    return min(found.items()) if found else None


def _starts(decision: Decision, callback: Callback) -> list[tuple[ProcessDefinition, str]]:
    """Return the processes that a message starts, each with its start event."""
    if callback.start_process:
        definition = decision.catalogue.latest(callback.start_process)
        return [] if definition is None else [(definition, _start_event(definition, callback.name))]
    return [
        (definition, start)
        for definition in decision.catalogue.all()
        for start in definition.starts
        if _is_message(definition, start, callback.name)
    ]


def _start_event(definition: ProcessDefinition, name: str) -> str:
    named = (start for start in definition.starts if _is_message(definition, start, name))
    return next(named, definition.start)


def _is_message(definition: ProcessDefinition, start: str, name: str) -> bool:
    trigger = definition.elements[start].trigger
    return isinstance(trigger, MessageTrigger) and trigger.name == name


def _refusal(decision: Decision, callback: Callback, *, is_delivered: bool) -> Rejected | None:
    """Refuse what may not come from outside; what was handed over is acknowledged already."""
    if is_delivered:
        return broadcasts.too_many(decision) if callback.broadcast else None
    if business_keys.is_reserved(_business_key(callback)) and _starts(decision, callback):
        return Rejected("reserved-key", business_keys.RESERVED_DETAIL)
    return None


def _start_refusal(decision: Decision, callback: Callback) -> Rejected | None:
    definition = decision.catalogue.latest(callback.start_process)
    if definition is None:
        return Rejected("unknown-process", f"No process {callback.start_process} is deployed.")
    if not _start_event(definition, callback.name):
        return Rejected("no-start", f"The message does not start process {callback.start_process}.")
    return None


def _fenced(decision: Decision, callback: Callback, epoch: int | None) -> Rejected | None:
    """Refuse what would begin under an older epoch; what has begun here goes on."""
    if decision.state.find_key(callback.tenant, callback.start_process, _business_key(callback)) is not None:
        return None
    return fencing.refusal(decision.state, callback.tenant, epoch)


def _is_reused(decision: Decision, callback: Callback, found: int) -> bool:
    known = decision.state.document(found)
    return known is not None and known.fingerprint != callback.fingerprint


def _deliver(decision: Decision, callback: Callback, waiting: tuple[int, Place], origin: str) -> Reply:
    subscription, (instance, host) = waiting
    if callback.broadcast:
        broadcasts.begin(decision, broadcasts.message(decision, callback, origin))
        return Accepted(instance)
    run = decision.run(instance)
    active = run.instance.elements[host]
    found = next(one for one in active.subscriptions if one.key == subscription)
    decision.append(
        events.MessageCorrelated(
            instance, subscription, found.element, callback.name, via=origin, known_as=callback.known_as
        )
    )
    waits.trigger(run, host, found.element, callback.variables)
    return Accepted(instance)


def _business_key(callback: Callback) -> str:
    return callback.payment or callback.correlation_key


def _start(
    decision: Decision, callback: Callback, starts: list[tuple[ProcessDefinition, str]], origin: str
) -> Reply:
    key, named = 0, _business_key(callback)
    if business_keys.is_reserved(named):
        return _report(decision, callback, "reserved-key")
    for definition, start in starts:
        payment = named or business_keys.make(decision.state, "message", decision.state.next_key)
        found = decision.state.find_key(callback.tenant, definition.id, payment)
        if found is not None:
            if _is_reused(decision, callback, found):
                if callback.start_process and not origin:
                    return Rejected("key-reused", f"{callback.payment} was used with another content.")
                # The origin has acknowledged it to the scheme already, so it is reported, not refused.
                key = _report(decision, callback, "key-reused").key
                continue
            if len(starts) == 1:
                return Accepted(found, duplicate=True)
            continue
        identity = (callback.tenant, payment, callback.fingerprint)
        run = decision.start(definition, identity, callback.trace, callback.variables)
        decision.append(
            events.MessageCorrelated(run.key, 0, start, callback.name, via=origin, known_as=callback.known_as)
        )
        run.start(start)
        key = key or run.key
    return Accepted(key)


def _report(decision: Decision, callback: Callback, reason: str) -> Accepted:
    """Write a message that cannot be used into the log, whole."""
    spend(decision, units_of(callback.variables))
    key = decision.new_key()
    decision.append(events.MessageExpired(key, callback, reason))
    return Accepted(key)


def _keep(decision: Decision, callback: Callback, origin: str) -> Reply:
    if callback.ttl_ms <= 0:
        return _report(decision, callback, "unmatched")
    kept = decision.state.messages(callback.tenant, callback.name, callback.correlation_key)
    if len(kept) >= BUFFERED_PER_KEY_MAX:
        return _report(decision, callback, "buffer-full")
    spend(decision, units_of(callback.variables))
    key = decision.new_key()
    expires_at_ms = decision.now_ms + min(callback.ttl_ms, TTL_MS_MAX)
    decision.append(events.MessageBuffered(key, callback, expires_at_ms, origin))
    return Accepted(key)


def _note_id(decision: Decision, callback: Callback, key: int) -> None:
    """Remember a message's id for as long as the message lives, so that it takes effect once."""
    lives_ms = min(max(callback.ttl_ms, ID_TTL_MS_MIN), TTL_MS_MAX)
    decision.append(
        events.MessageIdTaken(
            callback.tenant,
            callback.name,
            callback.correlation_key,
            callback.message_id,
            key,
            decision.now_ms,
            decision.now_ms + lives_ms,
        )
    )


def broadcast_signal(decision: Decision, command: BroadcastSignal) -> Reply:
    """Give a signal from outside to everything of a tenant that waits for it."""
    if not fits_key(command.tenant, command.name) or not command.name:
        return Rejected("invalid-key", "Names have at most 512 characters of valid Unicode.")
    try:
        variables = json_variables(command.variables)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    refusal = broadcasts.too_many(decision)
    if refusal is not None:
        return refusal
    return Accepted(throwing.broadcast(decision, command.tenant, command.name, variables))
