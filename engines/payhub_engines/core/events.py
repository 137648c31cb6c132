"""What happened, as it stands in the log: tagged arrays, compact, never edited once released.

An event holds everything its applier needs, times included, so that replay needs nothing but the log.
Fields are only ever added at the end, with defaults; tags are never used twice.
"""

from typing import Any, Final

import msgspec

from payhub_platform.contracts.handover import Callback


class Event(msgspec.Struct, frozen=True, array_like=True):
    """The base of every event."""


class InstanceStarted(Event, frozen=True, tag=1):
    """A process instance begins under a business key."""

    instance: int
    process: str
    version: str
    tenant: str
    payment: str
    fingerprint: str
    trace: str
    variables: dict[str, Any]
    at_ms: int


class InstanceCompleted(Event, frozen=True, tag=2):
    """No token is left: the instance has ended and stays readable."""

    instance: int
    at_ms: int


class ElementActivated(Event, frozen=True, tag=3):
    """A token entered an element; ``local`` are the variables of its input mappings."""

    instance: int
    key: int
    element: str
    local: dict[str, Any] = {}


class ElementCompleted(Event, frozen=True, tag=4):
    """A token left an element in the regular way."""

    instance: int
    key: int
    element: str


class ElementTerminated(Event, frozen=True, tag=5):
    """An element was interrupted."""

    instance: int
    key: int
    element: str


class SequenceFlowTaken(Event, frozen=True, tag=6):
    """A token went along a flow; ``join`` names the parallel gateway at which it waits for others."""

    instance: int
    flow: str
    join: str = ""


class VariablesMerged(Event, frozen=True, tag=7):
    """Variables were set: of the instance, or (``scope``) of one active element only."""

    instance: int
    variables: dict[str, Any]
    scope: int = 0  # element instance key; 0 is the instance itself


class JobCreated(Event, frozen=True, tag=8):
    """A service or send task waits for a connector."""

    instance: int
    job: int
    element_instance: int
    element: str
    job_type: str
    retries: int
    headers: dict[str, str] = {}


class JobCompleted(Event, frozen=True, tag=9):
    """A connector did its job."""

    instance: int
    job: int
    element: str


class JobFailed(Event, frozen=True, tag=10):
    """A connector could not do its job; with retries left it is tried again at ``retry_at_ms``."""

    instance: int
    job: int
    element: str
    retries_left: int
    retry_at_ms: int
    message: str


class JobErrorThrown(Event, frozen=True, tag=11):
    """A connector reported a business error; the job is over."""

    instance: int
    job: int
    element: str
    code: str
    description: str


class JobCancelled(Event, frozen=True, tag=12):
    """A job's element was interrupted; what the connector still answers has no effect."""

    instance: int
    job: int
    element: str


class TimerCreated(Event, frozen=True, tag=13):
    """A timer runs until ``due_ms``; ``element`` is the event that it triggers."""

    instance: int
    timer: int
    element_instance: int
    element: str
    due_ms: int


class TimerTriggered(Event, frozen=True, tag=14):
    """A timer was due."""

    instance: int
    timer: int
    element: str


class TimerCancelled(Event, frozen=True, tag=15):
    """A timer is no longer needed."""

    instance: int
    timer: int
    element: str


class SubscriptionOpened(Event, frozen=True, tag=16):
    """An instance waits for a message; ``element`` is the event that the message triggers."""

    instance: int
    subscription: int
    element_instance: int
    element: str
    name: str
    correlation_key: str


class SubscriptionClosed(Event, frozen=True, tag=17):
    """An instance no longer waits for a message."""

    instance: int
    subscription: int
    element: str


class MessageBuffered(Event, frozen=True, tag=18):
    """Nothing waits for a message yet; it is kept until ``expires_at_ms``."""

    message: int
    callback: Callback
    expires_at_ms: int
    via: str = ""


class MessageCorrelated(Event, frozen=True, tag=19):
    """A message reached an instance, ``via`` another engine when that is set.

    ``subscription`` is 0 when the message started the instance; ``message`` is set when it was kept.
    """

    instance: int
    subscription: int
    element: str
    name: str
    message: int = 0
    via: str = ""


class MessageExpired(Event, frozen=True, tag=20):
    """A message matched nothing in its time; it stands here whole, so that it can be looked into."""

    message: int
    callback: Callback
    reason: str


class IncidentRaised(Event, frozen=True, tag=21):
    """An instance cannot go on by itself at an element."""

    instance: int
    incident: int
    element_instance: int
    element: str
    code: str
    message: str
    at_ms: int


class IncidentResolved(Event, frozen=True, tag=22):
    """What an incident was about is over."""

    instance: int
    incident: int
    element: str


class HandoverQueued(Event, frozen=True, tag=23):
    """A callback that belongs to another engine is committed and waits for that engine's acknowledgement."""

    owner: str
    sequence: int
    callback: Callback


class HandoverAcknowledged(Event, frozen=True, tag=24):
    """The owner has committed a handed-over callback."""

    owner: str
    sequence: int
    tenant: str
    payment: str
    trace: str = ""


class HandoverReceived(Event, frozen=True, tag=25):
    """A callback was handed over to this engine; (origin, sequence) takes effect once."""

    origin: str
    sequence: int
    lowest_open: int
    tenant: str
    payment: str
    trace: str = ""


AnyEvent = (
    InstanceStarted
    | InstanceCompleted
    | ElementActivated
    | ElementCompleted
    | ElementTerminated
    | SequenceFlowTaken
    | VariablesMerged
    | JobCreated
    | JobCompleted
    | JobFailed
    | JobErrorThrown
    | JobCancelled
    | TimerCreated
    | TimerTriggered
    | TimerCancelled
    | SubscriptionOpened
    | SubscriptionClosed
    | MessageBuffered
    | MessageCorrelated
    | MessageExpired
    | IncidentRaised
    | IncidentResolved
    | HandoverQueued
    | HandoverAcknowledged
    | HandoverReceived
)


class Scope(msgspec.Struct, frozen=True, array_like=True):
    """Whose an instance is; stands beside the events so that an exporter needs no state."""

    tenant: str
    process: str
    payment: str
    trace: str


class LogEntry(msgspec.Struct, frozen=True, array_like=True):
    """The events of one batch of commands: one entry of the replicated log.

    Attributes:
        first_position: position of the first event; positions are contiguous, from 1.
        at_ms: when the leader decided the batch.
        events: in order.
        scopes: by instance key, for every instance that an event names.
        next_key: the key counter after the batch.
        version: which generation of appliers decided, so that replay uses the same.
    """

    first_position: int
    at_ms: int
    events: list[AnyEvent]
    scopes: dict[int, Scope]
    next_key: int
    version: int


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(LogEntry)


def encode_entry(entry: LogEntry) -> bytes:
    """Write an entry as msgpack."""
    return _ENCODER.encode(entry)


def decode_entry(data: bytes) -> LogEntry:
    """Read an entry.

    Raises:
        msgspec.DecodeError: the bytes are no entry, or one of a newer release.
    """
    return _DECODER.decode(data)
