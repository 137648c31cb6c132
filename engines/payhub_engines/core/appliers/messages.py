"""How the state follows messages, signals and hand-overs."""

from typing import Final

from msgspec.structs import replace

from payhub_engines.core import events, tables
from payhub_engines.core.appliers.instances import business_key_row
from payhub_engines.core.appliers.registry import applier
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import BroadcastRecord, MessageRecord, OutboxRecord
from payhub_engines.core.state import State

IDS_FORGOTTEN_AT_ONCE: Final = 4  # expired message ids that a new one takes away
KNOWN_AS_MAX: Final = 8  # further business keys of an instance


def _forget_message(state: State, key: int) -> None:
    record = state.message(key)
    if record is not None:
        state.rows.delete(tables.MESSAGE + tables.number(key))
        state.index.remove_message(record)


@applier(events.MessageBuffered)
def _message_buffered(event: events.MessageBuffered, state: State) -> None:
    record = MessageRecord(event.message, event.callback, event.expires_at_ms, event.via)
    state.rows.put(tables.MESSAGE + tables.number(event.message), tables.encode(record))
    state.index.add_message(record)


@applier(events.MessageCorrelated)
def _message_correlated(event: events.MessageCorrelated, state: State) -> None:
    if event.message:
        _forget_message(state, event.message)
    if event.via:
        state.instances.change(event.instance).handed_over = True


@applier(events.MessageCorrelated, version=4)
def _message_correlated_4(event: events.MessageCorrelated, state: State) -> None:
    _message_correlated(event, state)
    if event.known_as:
        instance = state.instances.change(event.instance)
        key = business_key_row(instance.tenant, instance.process, event.known_as)
        # Nobody takes another's name away, or as many as there are.
        if len(instance.known_as) < KNOWN_AS_MAX and state.rows.get(key) is None:
            state.rows.put(key, tables.number(event.instance))
            instance.known_as = (*instance.known_as, event.known_as)


@applier(events.MessageExpired)
def _message_expired(event: events.MessageExpired, state: State) -> None:
    _forget_message(state, event.message)


@applier(events.MessageIdTaken)
def _message_id_taken(event: events.MessageIdTaken, state: State) -> None:
    named = tables.texts(event.tenant, event.name, event.correlation_key, event.message_id)
    expiry, message = tables.number(event.expires_at_ms), tables.number(event.message)
    expired: list[tuple[bytes, bytes]] = []
    for key, value in state.rows.scan(tables.MESSAGE_ID_EXPIRY):
        is_over = int.from_bytes(key[1 : 1 + tables.NUMBER_BYTES], "big") <= event.at_ms
        if not is_over or len(expired) == IDS_FORGOTTEN_AT_ONCE:
            break
        expired.append((key, value))
    for key, value in expired:
        state.rows.delete(key)
        state.rows.delete(value)
    earlier = state.rows.get(tables.MESSAGE_ID + named)
    if earlier is not None:
        state.rows.delete(tables.MESSAGE_ID_EXPIRY + earlier)
    state.rows.put(tables.MESSAGE_ID + named, expiry + message)
    state.rows.put(tables.MESSAGE_ID_EXPIRY + expiry + message, tables.MESSAGE_ID + named)


@applier(events.SignalBroadcast)
def _signal_broadcast(_event: events.SignalBroadcast, _state: State) -> None:
    """Change nothing: what the signal reached follows in events of its own."""


@applier(events.BroadcastQueued, version=3)
def _broadcast_queued(event: events.BroadcastQueued, state: State) -> None:
    record = BroadcastRecord(
        event.broadcast,
        event.tenant,
        event.name,
        event.correlation_key,
        event.variables,
        event.after,
        event.until,
        event.is_signal,
        event.via,
    )
    state.rows.put(tables.BROADCAST + tables.number(event.broadcast), tables.encode(record))


@applier(events.BroadcastAdvanced, version=3)
def _broadcast_advanced(event: events.BroadcastAdvanced, state: State) -> None:
    record = state.broadcast(event.broadcast)
    if record is None:
        detail = f"An event names broadcast {event.broadcast}, which is not in the state."
        raise ReplayError("unknown-broadcast", detail)
    key = tables.BROADCAST + tables.number(event.broadcast)
    if event.after == record.until:
        state.rows.delete(key)
    else:
        state.rows.put(key, tables.encode(replace(record, after=event.after)))


@applier(events.HandoverQueued)
def _handover_queued(event: events.HandoverQueued, state: State) -> None:
    owner, sequence = tables.texts(event.owner), tables.number(event.sequence)
    record = OutboxRecord(event.owner, event.sequence, event.callback)
    state.rows.put(tables.OUTBOX + owner + sequence, tables.encode(record))
    state.rows.put(tables.OUTBOX_LAST + owner, sequence)


@applier(events.HandoverAcknowledged)
def _handover_acknowledged(event: events.HandoverAcknowledged, state: State) -> None:
    state.rows.delete(tables.OUTBOX + tables.texts(event.owner) + tables.number(event.sequence))


@applier(events.HandoverReceived)
def _handover_received(event: events.HandoverReceived, state: State) -> None:
    origin = tables.texts(event.origin)
    state.rows.put(tables.RECEIVED + origin + tables.number(event.sequence), b"")
    if event.lowest_open > state.received_floor(event.origin):
        state.rows.put(tables.RECEIVED_FLOOR + origin, tables.number(event.lowest_open))
        done = [
            key
            for key, _ in state.rows.scan(tables.RECEIVED + origin)
            if tables.last_number(key) < event.lowest_open
        ]
        for key in done:
            state.rows.delete(key)
