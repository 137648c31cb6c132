"""What the state holds, one Struct a table. Fields are only ever added at the end, with defaults."""

from typing import Any

import msgspec

from payhub_platform.contracts.handover import Callback


class InstanceRow(msgspec.Struct, array_like=True):
    """The fixed part of an instance; variables and tokens stand in tables of their own."""

    key: int
    process: str
    version: str
    tenant: str
    payment: str
    fingerprint: str
    trace: str
    started_at_ms: int
    ended_at_ms: int | None = None
    handed_over: bool = False
    incidents: int = 0  # open ones


class ActiveElement(msgspec.Struct, array_like=True):
    """A token: an element that an instance is in, and what it waits for there."""

    element: str
    local: dict[str, Any]
    job: int = 0
    timers: list[int] = []
    subscriptions: list[int] = []
    incident: int = 0


class Tokens(msgspec.Struct, array_like=True):
    """All tokens of a running instance.

    Attributes:
        elements: by element instance key.
        joins: tokens that wait at a parallel gateway: gateway id to (flow id to count).
    """

    elements: dict[int, ActiveElement]
    joins: dict[str, dict[str, int]]


class InstanceRecord(msgspec.Struct, frozen=True):
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
    variables: dict[str, Any]
    active_elements: tuple[str, ...]
    handed_over: bool
    incident: bool


class JobRecord(msgspec.Struct, array_like=True):
    """A job that a connector has still to do.

    Attributes:
        retries_left: 0 means that it waits for an operator.
        attempt: number of the coming or running try, from 1.
        retry_at_ms: not to be tried before; 0 at first.
    """

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
    attempt: int = 1
    retry_at_ms: int = 0


class TimerRecord(msgspec.Struct, array_like=True, frozen=True):
    """A running timer."""

    key: int
    instance: int
    element_instance: int
    element: str
    due_ms: int


class SubscriptionRecord(msgspec.Struct, array_like=True, frozen=True):
    """An instance waits for a message of this name and key, for one tenant."""

    key: int
    instance: int
    element_instance: int
    element: str
    tenant: str
    name: str
    correlation_key: str


class MessageRecord(msgspec.Struct, array_like=True, frozen=True):
    """A message kept for a subscription that may open soon."""

    key: int
    callback: Callback
    expires_at_ms: int
    via: str


class OutboxRecord(msgspec.Struct, array_like=True, frozen=True):
    """A callback that another engine has not acknowledged yet."""

    owner: str
    sequence: int
    callback: Callback


class IncidentRecord(msgspec.Struct, array_like=True, frozen=True):
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


class Counts(msgspec.Struct, frozen=True):
    """What is in flight."""

    instances: int
    jobs: int
    timers: int
    subscriptions: int
    messages: int
    outbox: int
    incidents: int
