"""Messages, signals and hand-overs between engines."""

from typing import Any

from payhub_engines.core.events.base import Event
from payhub_platform.contracts.handover import Callback


class MessageBuffered(Event, frozen=True, tag=18):
    """Nothing waits for a message yet; it is kept until ``expires_at_ms``."""

    message: int
    callback: Callback
    expires_at_ms: int
    via: str = ""


class MessageCorrelated(Event, frozen=True, tag=19):
    """A message reached an instance, ``via`` another engine when that is set.

    ``subscription`` is 0 when the message started the instance; ``message`` is set when it was kept. Where
    ``known_as`` is set, the instance is found under that business key from here on, too.
    """

    instance: int
    subscription: int
    element: str
    name: str
    message: int = 0
    via: str = ""
    known_as: str = ""


class MessageExpired(Event, frozen=True, tag=20):
    """A message matched nothing in its time; it stands here whole, so that it can be looked into."""

    message: int
    callback: Callback
    reason: str


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


class MessageIdTaken(Event, frozen=True, tag=41):
    """A message with an id of its own was taken; the same id is a duplicate until ``expires_at_ms``."""

    tenant: str
    name: str
    correlation_key: str
    message_id: str
    message: int
    at_ms: int
    expires_at_ms: int


class SignalBroadcast(Event, frozen=True, tag=42):
    """A signal reached every element of the tenant that waited for it: so many."""

    tenant: str
    name: str
    reached: int
    instance: int = 0  # that threw it; 0 where it came from outside


class BroadcastQueued(Event, frozen=True, tag=45):
    """A signal, or a message to all, has more receivers than one command reaches; further ones go on.

    It is for what waited when it was sent: for the subscriptions above ``after``, up to ``until``.
    """

    broadcast: int
    tenant: str
    name: str
    correlation_key: str  # empty of a signal
    variables: dict[str, Any]
    after: int
    until: int
    is_signal: bool
    via: str = ""


class BroadcastAdvanced(Event, frozen=True, tag=46):
    """A broadcast has reached the subscriptions up to ``after``; it is over where that is its last."""

    broadcast: int
    tenant: str
    name: str
    after: int
