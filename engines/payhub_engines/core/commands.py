"""What the engine may be asked to do. The leader decides commands; they are never logged."""

from typing import Any

import msgspec

from payhub_platform.contracts.handover import Callback


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The base of every command."""


class StartInstance(Command, frozen=True, kw_only=True):
    """Start a process instance under a business key that is unique per tenant and process.

    The same key and fingerprint again is a duplicate and changes nothing; another fingerprint is
    rejected with ``key-reused``.
    """

    process: str
    tenant: str
    payment: str  # business key: the transaction id
    fingerprint: str
    variables: dict[str, Any]
    trace: str = ""


class CorrelateMessage(Command, frozen=True, kw_only=True):
    """Give a scheme message to the instance that waits for it, start one with it, or keep it.

    ``origin`` and ``sequence`` are set when another engine handed it over: each (origin, sequence)
    takes effect once, and sequences below ``lowest_open`` may be forgotten.
    """

    callback: Callback
    origin: str = ""
    sequence: int = 0
    lowest_open: int = 0


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


class ExpireMessage(Command, frozen=True, kw_only=True):
    """A kept message outlived its time to live without matching anything; it is reported."""

    message: int


class QueueHandover(Command, frozen=True, kw_only=True):
    """Commit a callback that belongs to another engine, so that it may be acknowledged."""

    owner: str  # engine id
    callback: Callback


class AcknowledgeHandover(Command, frozen=True, kw_only=True):
    """The owner has committed a handed-over callback."""

    owner: str
    sequence: int
