"""What the state holds: one document an instance. Fields are only ever added at the end, with defaults.

Documents are trees, so that the garbage collector need not look for cycles in them (``gc=False``).
"""

from typing import Any

import msgspec

from payhub_platform.contracts.handover import Callback


class Job(msgspec.Struct, array_like=True, gc=False):
    """A job that a connector has still to do for an element.

    Attributes:
        retries_left: 0 means that it waits for an operator.
        attempt: number of the coming or running try, from 1.
        retry_at_ms: not to be tried before; 0 at first.
    """

    key: int
    type: str
    headers: dict[str, str]
    retries_left: int
    attempt: int = 1
    retry_at_ms: int = 0


class Timer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A running timer; ``element`` is the event that it triggers."""

    key: int
    element: str
    due_ms: int
    interval_ms: int = 0
    repetitions: int = 0


class Subscription(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An element waits for a message or signal; ``element`` is the event that it triggers."""

    key: int
    element: str
    name: str
    correlation_key: str
    is_signal: bool = False


class Incident(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Why a token cannot go on by itself, and which step is done again when it is resolved."""

    key: int
    element: str
    code: str
    message: str
    at_ms: int
    retry: str = ""


class Loop(msgspec.Struct, array_like=True, gc=False):
    """How far a multi-instance element has got; ``outputs`` are by index, from 1."""

    items: list[Any]
    completed: int = 0
    outputs: dict[int, Any] = {}


class Undoable(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A completed activity that can be compensated."""

    key: int
    activity: str
    handler: str
    local: dict[str, Any]


class ElementInstance(msgspec.Struct, array_like=True, gc=False):
    """An element that a token is in, and what it waits for there.

    Attributes:
        scope: element instance of the sub-process or multi-instance body around it; 0 is the process.
        variables: seen by this element and what is inside it.
        children: element instances directly inside.
        joins: tokens that wait at gateways directly inside: gateway id to (flow id to count).
        undoables: completed activities directly inside that can be compensated.
        undoing: what this compensation event has still to undo, the next one last.
        called: the instance that this call activity waits for.
        index: which of a multi-instance element's instances this is, from 1.
        undoes: the compensation event that this handler works for.
    """

    key: int
    element: str
    scope: int = 0
    variables: dict[str, Any] = {}
    job: Job | None = None
    timers: tuple[Timer, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    incident: Incident | None = None
    children: int = 0
    joins: dict[str, dict[str, int]] = {}
    loop: Loop | None = None
    undoables: tuple[Undoable, ...] = ()
    undoing: tuple[Undoable, ...] = ()
    called: int = 0
    index: int = 0
    undoes: int = 0


class Allowance(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an instance, or a part of it, has taken of its tenant's limits."""

    member: str
    currency: str
    minor: int
    at_ms: int


class Usage(msgspec.Struct, array_like=True, gc=False):
    """What counts against the limits of a tenant, or of one member, on one day.

    Attributes:
        spent: minor units by currency.
        times: when a member's payments that count began, in milliseconds; none of a whole tenant.
    """

    spent: dict[str, int] = {}
    times: list[int] = []


class Instance(msgspec.Struct, array_like=True, gc=False):
    """A process instance.

    Attributes:
        elements: what its tokens are in, by key; 0 is the process itself, with the instance's variables.
        outcome: empty while it runs, then ``completed`` or ``terminated``; ``cancelling`` while what it had
            completed is compensated.
        parent: instance that called it, with its call activity; 0 where none did.
        incidents: how many are open.
        allowances: what it has taken of its tenant's limits and not given back, by the part of it.
        known_as: further business keys that it is found under.
    """

    key: int
    process: str
    version: str
    tenant: str
    payment: str
    fingerprint: str
    trace: str
    started_at_ms: int
    elements: dict[int, ElementInstance]
    ended_at_ms: int | None = None
    outcome: str = ""
    handed_over: bool = False
    incidents: int = 0
    parent: int = 0
    parent_element: int = 0
    allowances: dict[str, Allowance] | None = None
    known_as: tuple[str, ...] = ()

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of the instance itself."""
        return self.elements[0].variables

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.ended_at_ms is None


class InstanceRecord(msgspec.Struct, frozen=True, gc=False):
    """An instance as readers see it."""

    key: int
    process: str
    version: str
    tenant: str
    payment: str
    fingerprint: str
    trace: str
    started_at_ms: int
    ended_at_ms: int | None
    outcome: str
    variables: dict[str, Any]
    active_elements: tuple[str, ...]
    handed_over: bool
    incident: bool
    parent: int


class JobRecord(msgspec.Struct, frozen=True, gc=False):
    """An open job as a connector's worker sees it."""

    key: int
    type: str
    instance: int
    element_instance: int
    element: str
    tenant: str
    process: str
    payment: str
    trace: str
    headers: dict[str, str]
    retries_left: int
    attempt: int
    retry_at_ms: int


class TimerRecord(msgspec.Struct, frozen=True, gc=False):
    """A running timer; ``instance`` is 0 for the start event of a process."""

    key: int
    instance: int
    element_instance: int
    element: str
    due_ms: int


class StartTimer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A running timer of a process's start event."""

    key: int
    process: str
    version: str
    element: str
    tenant: str
    due_ms: int
    interval_ms: int
    repetitions: int


class Deployed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A deployed version of a process."""

    process: str
    version: str
    number: int
    xml: bytes
    tenant: str
    at_ms: int


class MessageRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message kept for a subscription that may open soon."""

    key: int
    callback: Callback
    expires_at_ms: int
    via: str


class BroadcastRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A signal, or a message to all, on its way to the subscriptions above ``after``, up to ``until``."""

    key: int
    tenant: str
    name: str
    correlation_key: str
    variables: dict[str, Any]
    after: int
    until: int
    is_signal: bool
    via: str


class OutboxRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A callback that another engine has not acknowledged yet."""

    owner: str
    sequence: int
    callback: Callback


class IncidentRecord(msgspec.Struct, frozen=True, gc=False):
    """Why an instance cannot go on by itself."""

    key: int
    instance: int
    element_instance: int
    element: str
    code: str
    message: str
    at_ms: int
    tenant: str
    process: str
    payment: str


class Counts(msgspec.Struct, frozen=True, gc=False):
    """What is in flight."""

    instances: int
    jobs: int
    timers: int
    subscriptions: int
    messages: int
    outbox: int
    incidents: int
