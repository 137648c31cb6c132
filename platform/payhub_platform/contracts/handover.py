"""Engine to engine: a callback that reached the wrong engine travels to the one that waits for it."""

from typing import Any

from payhub_platform.contracts.base import Contract


class Subject(Contract, frozen=True, kw_only=True):
    """The instance that a message is about, running or ended, whether or not it waits for the message.

    Where it does not wait, ``answer_process`` starts, with what the message brings, ``given``, and a variable
    ``subject``: ``{startedAtMs, ended}`` and those of the instance's own variables that are asked for. But a
    message with a ``ttl_ms`` is kept for an instance that still runs. Where no such instance is known, the
    message is as any other, or (``or_unknown``) is answered, too, with ``subject`` null.
    """

    process: str
    key: str  # the instance's business key, or what it is also known as
    variables: list[str]
    answer_process: str
    answer_key: str  # business key of the instance that answers: a message that comes twice is answered once
    given: dict[str, Any] = {}
    or_unknown: bool = False


class Callback(Contract, frozen=True, kw_only=True):
    """A scheme message as the engine correlates it, whichever engine it reached."""

    tenant: str
    name: str  # BPMN message name, such as quote-response
    correlation_key: str
    variables: dict[str, Any]
    start_process: str = ""  # BPMN process id that this message starts when nothing waits for it
    payment: str = ""  # business key of the instance it starts
    fingerprint: str = ""  # hash of the message that starts; the same key with another is refused
    broadcast: bool = False  # correlate to every waiting instance, not to one
    ttl_ms: int = 0  # how long it is kept when nothing waits for it yet
    trace: str = ""
    message_id: str = ""  # the same id again, while the message lives, is a duplicate and has no effect
    hops: int = 0  # how many engines have sent it on
    known_as: str = ""  # who takes the message is found under this business key, too, unless another one is
    subject: Subject | None = None


class HandoverRequest(Contract, frozen=True, kw_only=True):
    """Request on ``payhub.handover.<owner engine>``, repeated until the owner has committed it."""

    origin: str  # engine that received the callback, and which life of its data folder: north/6f1c...
    sequence: int  # grows by one per origin and owner: (origin, sequence) is done once
    lowest_open: int  # sequences below are acknowledged for good; the owner forgets them
    callback: Callback


class HandoverReply(Contract, frozen=True, kw_only=True):
    """The owner's answer: committed, or not able to now (the sender tries again)."""

    sequence: int
    committed: bool
    reason: str = ""
