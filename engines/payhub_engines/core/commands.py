"""What the engine may be asked to do. The leader decides commands; they are never logged."""

from typing import Any

import msgspec

from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import PaymentLimits
from payhub_platform.money import Money


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The base of every command."""


class FoundEngine(Command, frozen=True, kw_only=True):
    """Name this life of the engine, unless it has a name.

    Sequences of the hand-over begin at 1 in an empty log. Under the engine's id alone other engines would
    take those of a new log for ones that they have done already, and callbacks would be lost.
    """

    origin: str


class DeployProcess(Command, frozen=True, kw_only=True):
    """Deploy a process file; new instances start with it, running ones keep their version.

    ``tenant`` is whose instances a timer start event starts; empty: the aggregator's. The same file
    again is a duplicate. The reply's key is the number of the version.
    """

    xml: bytes
    tenant: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a payment wants to move, and within which limits."""

    limits: PaymentLimits
    amount: Money


class StartInstance(Command, frozen=True, kw_only=True):
    """Start a process instance under a business key that is unique per tenant and process.

    The same key and fingerprint again is a duplicate and changes nothing; another fingerprint is
    rejected with ``key-reused``. With ``charge`` it is rejected where that is beyond a limit already; what
    counts is decided by ``payhub:take-allowance`` in the process.
    """

    process: str
    tenant: str
    payment: str  # business key: the transaction id
    fingerprint: str
    variables: dict[str, Any]
    trace: str = ""
    epoch: int | None = None  # of the placement it was sent under; rejected below the tenant's fence
    charge: Charge | None = None


class FenceTenant(Command, frozen=True, kw_only=True):
    """From now on begin nothing of a tenant that was sent under an older epoch of its placement.

    What is not known here once this is committed will never be: another engine may begin it.
    """

    tenant: str
    epoch: int


class CorrelateMessage(Command, frozen=True, kw_only=True):
    """Give a scheme message to the instance that waits for it, start one with it, or keep it.

    ``origin`` and ``sequence`` are set when another engine handed it over: each (origin, sequence)
    takes effect once, and sequences below ``lowest_open`` may be forgotten.
    """

    callback: Callback
    origin: str = ""
    sequence: int = 0
    lowest_open: int = 0
    epoch: int | None = None  # as of ``StartInstance``; of a message that begins something


class BroadcastSignal(Command, frozen=True, kw_only=True):
    """Give a signal to everything of a tenant that waits for it; the reply's key is how many that were."""

    tenant: str
    name: str
    variables: dict[str, Any]


class ContinueBroadcast(Command, frozen=True, kw_only=True):
    """Reach the next receivers of a broadcast, at most so many."""

    broadcast: int
    receivers_max: int = 256


class PassBroadcastOver(Command, frozen=True, kw_only=True):
    """The next receiver of a broadcast cannot be reached: an incident keeps for it what was brought."""

    broadcast: int
    code: str
    message: str


class CompleteJob(Command, frozen=True, kw_only=True):
    """A connector did its job."""

    job: int
    variables: dict[str, Any]


class FailJob(Command, frozen=True, kw_only=True):
    """A connector could not do its job; it is tried again until its retries are used up."""

    job: int
    message: str
    retry_after_ms: int


class ThrowJobError(Command, frozen=True, kw_only=True):
    """A connector reports a business error that the process model handles."""

    job: int
    code: str
    description: str
    variables: dict[str, Any]


class TriggerTimer(Command, frozen=True, kw_only=True):
    """A timer is due."""

    timer: int


class FailTimer(Command, frozen=True, kw_only=True):
    """A due timer could not be fired; its instance shows it as an incident."""

    timer: int
    code: str
    message: str


class ExpireMessage(Command, frozen=True, kw_only=True):
    """A kept message outlived its time to live without matching anything; it is reported."""

    message: int


class ResolveIncident(Command, frozen=True, kw_only=True):
    """An operator has seen to what an incident was about: the step is done again.

    ``variables`` are set first, where the element sees them. ``retries`` are a failed job's new ones.
    """

    incident: int
    variables: dict[str, Any] = {}
    retries: int = 1


class SetVariables(Command, frozen=True, kw_only=True):
    """Set variables of a running instance, or (``element_instance``) of one active element only."""

    instance: int
    variables: dict[str, Any]
    element_instance: int = 0


class CancelInstance(Command, frozen=True, kw_only=True):
    """End an instance, with all that it called; ``compensate``: undo first what it had completed."""

    instance: int
    compensate: bool = False


class Activation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An element that a modification activates, with variables that it alone sees."""

    element: str
    variables: dict[str, Any] = {}


class ModifyInstance(Command, frozen=True, kw_only=True):
    """Move the tokens of an instance: activate elements, then interrupt element instances."""

    instance: int
    activate: tuple[Activation, ...] = ()
    terminate: tuple[int, ...] = ()  # element instance keys


class MigrateInstance(Command, frozen=True, kw_only=True):
    """Let an instance follow another version; ``mapping`` renames elements that it is in or waits for."""

    instance: int
    version: str
    mapping: dict[str, str] = {}


class ForgetInstances(Command, frozen=True, kw_only=True):
    """Forget instances that ended before a time; the oldest first, a bounded number at once."""

    ended_before_ms: int


class ForgetUsage(Command, frozen=True, kw_only=True):
    """Forget what was moved on days that no limit looks at any more; a bounded number of rows at once."""


class QueueHandover(Command, frozen=True, kw_only=True):
    """Commit a callback that belongs to another engine, so that it may be acknowledged."""

    owner: str  # engine id
    callback: Callback


class AcknowledgeHandover(Command, frozen=True, kw_only=True):
    """The owner has committed a handed-over callback."""

    owner: str
    sequence: int
