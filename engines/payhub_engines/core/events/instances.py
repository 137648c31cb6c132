"""What happened to a process instance as a whole, and to the definitions that instances follow."""

from typing import Any

from payhub_engines.core.events.base import Event


class InstanceStarted(Event, frozen=True, tag=1):
    """A process instance begins under a business key, or (``parent``) is called by another instance."""

    instance: int
    process: str
    version: str
    tenant: str
    payment: str
    fingerprint: str
    trace: str
    variables: dict[str, Any]
    at_ms: int
    parent: int = 0  # calling instance
    parent_element: int = 0  # its call activity


class InstanceCompleted(Event, frozen=True, tag=2):
    """No token is left: the instance has ended and stays readable."""

    instance: int
    at_ms: int


class InstanceTerminated(Event, frozen=True, tag=26):
    """The instance was cancelled, by an operator or with the instance that called it."""

    instance: int
    at_ms: int


class InstanceCancelling(Event, frozen=True, tag=27):
    """An operator cancels the instance; what it had completed is compensated first."""

    instance: int
    at_ms: int


class InstanceModified(Event, frozen=True, tag=28):
    """An operator moves tokens: what follows ends and activates elements."""

    instance: int
    terminated: list[int]
    activated: list[str]
    at_ms: int


class InstanceMigrated(Event, frozen=True, tag=29):
    """The instance follows another version from now on; ``mapping`` renames the elements that it is in."""

    instance: int
    version: str
    mapping: dict[str, str]
    at_ms: int


class InstancesForgotten(Event, frozen=True, tag=30):
    """Ended instances are older than they are kept; their business keys are free again."""

    instances: list[int]


class ProcessDeployed(Event, frozen=True, tag=31):
    """A definition is new; instances start with it from now on. ``number`` counts its process's versions."""

    process: str
    version: str
    number: int
    xml: bytes
    tenant: str  # whose instances its timer start events start; empty: the aggregator's
    at_ms: int


class StartTimerCreated(Event, frozen=True, tag=32):
    """A timer start event of a process runs until ``due_ms``."""

    timer: int
    process: str
    version: str
    element: str
    tenant: str
    due_ms: int
    interval_ms: int = 0  # of a cycle
    repetitions: int = 0  # left after this one; -1 without end


class StartTimerEnded(Event, frozen=True, tag=33):
    """A timer start event was due, or a newer version of its process replaced it."""

    timer: int


class EngineFounded(Event, frozen=True, tag=44):
    """The engine's log begins; ``origin`` names this life of it towards other engines: ``north/6f1c...``."""

    origin: str


class TenantFenced(Event, frozen=True, tag=52):
    """Nothing of the tenant begins here under an older epoch; instances below ``first_key`` did."""

    tenant: str
    epoch: int
    first_key: int
