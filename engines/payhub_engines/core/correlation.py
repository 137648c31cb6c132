"""Messages: to those who wait, to a new instance, into the buffer, or into the log as unmatched."""

from typing import Final

import msgspec

from payhub_engines.core import events
from payhub_engines.core.commands import AcknowledgeHandover, CorrelateMessage, ExpireMessage, QueueHandover
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import SubscriptionRecord
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.run import InstanceRun
from payhub_engines.core.tables import NUMBER_MAX, fits_key
from payhub_engines.core.variables import json_variables
from payhub_platform.contracts.handover import Callback

BUFFERED_PER_KEY_MAX: Final = 16
BROADCAST_MAX: Final = 256
TTL_MS_MAX: Final = 24 * 3_600_000
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
    waiting = _waiting(decision, callback)
    starts = bool(callback.start_process) and not waiting
    if starts and (refusal := _start_refusal(decision, callback, origin)):
        return refusal
    if origin:
        floor = max(command.lowest_open, 0)
        received = events.HandoverReceived(
            origin, command.sequence, floor, callback.tenant, callback.payment, callback.trace
        )
        decision.append(received)
    if starts:
        return _start(decision, callback, origin)
    if waiting:
        return _deliver(decision, callback, waiting, origin)
    return _keep(decision, callback, origin)


def checked(callback: Callback) -> Callback | Rejected:
    """Return a callback as it may enter the log: bounded texts, variables that are JSON."""
    named = (callback.tenant, callback.name, callback.correlation_key)
    if not fits_key(*named, callback.payment, callback.fingerprint, callback.start_process, callback.trace):
        return Rejected("invalid-key", "Names and keys have at most 512 characters of valid Unicode.")
    try:
        return msgspec.structs.replace(callback, variables=json_variables(callback.variables))
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)


def expire(decision: Decision, command: ExpireMessage) -> Reply:
    """Report a kept message whose time is over."""
    record = decision.state.message(command.message)
    if record is None:
        return Rejected("message-not-found", f"No message {command.message} is kept.")
    if record.expires_at_ms > decision.now_ms:
        return Rejected("message-not-expired", f"The message is kept until {record.expires_at_ms}.")
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


def _waiting(decision: Decision, callback: Callback) -> list[SubscriptionRecord]:
    """Return the subscriptions to give a message to: one or all, of processes that are deployed here."""
    wanted = BROADCAST_MAX if callback.broadcast else 1
    found: list[SubscriptionRecord] = []
    for key in decision.state.subscriptions(callback.tenant, callback.name, callback.correlation_key):
        record = decision.state.subscription(key)
        if record is not None and decision.definition(record.instance) is not None:
            found.append(record)
            if len(found) == wanted:
                break
    return found


def _start_refusal(decision: Decision, callback: Callback, origin: str) -> Rejected | None:
    if decision.catalogue.latest(callback.start_process) is None:
        return Rejected("unknown-process", f"No process {callback.start_process} is deployed.")
    return None if origin else _conflict(decision, callback)


def _conflict(decision: Decision, callback: Callback) -> Rejected | None:
    found = decision.state.find_key(callback.tenant, callback.start_process, callback.payment)
    row = None if found is None else decision.state.instance_row(found)
    if row is None or row.fingerprint == callback.fingerprint:
        return None
    return Rejected("key-reused", f"{callback.payment} was used with another content.")


def _deliver(decision: Decision, callback: Callback, waiting: list[SubscriptionRecord], origin: str) -> Reply:
    for record in waiting:
        definition = decision.definition(record.instance)
        # An earlier one of the same message may have ended what this one waited for.
        if definition is None or decision.state.subscription(record.key) is None:
            continue
        row = decision.row(record.instance)
        decision.append(
            events.MessageCorrelated(row.key, record.key, record.element, callback.name, via=origin)
        )
        run = InstanceRun(decision, row, definition)
        run.trigger(record.element_instance, record.element, callback.variables)
    return Accepted(waiting[0].instance)


def _start(decision: Decision, callback: Callback, origin: str) -> Reply:
    definition = decision.catalogue.latest(callback.start_process)
    if definition is None:
        return Rejected("unknown-process", f"No process {callback.start_process} is deployed.")
    found = decision.state.find_key(callback.tenant, definition.id, callback.payment)
    if found is not None:
        if _conflict(decision, callback) is not None:
            # The origin has acknowledged it to the scheme already, so it is reported, not refused.
            key = decision.new_key()
            decision.append(events.MessageExpired(key, callback, "key-reused"))
            return Accepted(key)
        return Accepted(found, duplicate=True)
    identity = (callback.tenant, callback.payment, callback.fingerprint)
    row = decision.start(definition, identity, callback.trace, callback.variables)
    decision.append(events.MessageCorrelated(row.key, 0, definition.start, callback.name, via=origin))
    InstanceRun(decision, row, definition).start()
    return Accepted(row.key)


def _keep(decision: Decision, callback: Callback, origin: str) -> Reply:
    key = decision.new_key()
    kept = decision.state.messages(callback.tenant, callback.name, callback.correlation_key)
    if callback.ttl_ms <= 0:
        decision.append(events.MessageExpired(key, callback, "unmatched"))
    elif sum(1 for _ in kept) >= BUFFERED_PER_KEY_MAX:
        decision.append(events.MessageExpired(key, callback, "buffer-full"))
    else:
        expires_at_ms = decision.now_ms + min(callback.ttl_ms, TTL_MS_MAX)
        decision.append(events.MessageBuffered(key, callback, expires_at_ms, origin))
    return Accepted(key)
