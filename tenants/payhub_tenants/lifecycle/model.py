"""The lifecycle as a state machine: which job leads where, by which steps. Pure."""

from typing import Any, Final, Literal

from msgspec import Struct

from payhub_platform.contracts.tenant import TenantStatus
from payhub_tenants.fields import View
from payhub_tenants.lifecycle.errors import JobOpenError, WrongStatusError

LifecycleStatus = Literal[
    "requested", "provisioning", "sandbox", "certified", "active", "suspended", "offboarding", "purged"
]
JobKind = Literal["provision", "certify", "go-live", "suspend", "resume", "offboard", "purge"]
Step = Literal[
    "tenant-key",
    "signing-key",
    "placement",
    "suite",
    "requirements",
    "approval",
    "publication",
    "credentials",
    "drain",
    "export",
    "identifiers",
    "secrets",
    "destroyed-key",
    "data",
]


class Move(Struct, frozen=True):
    """What a job does: it begins in one of ``begins``, is ``during`` while it runs, and leads to ``ends``."""

    begins: frozenset[LifecycleStatus]
    during: LifecycleStatus | None  # None: it stays what it was until the end
    ends: LifecycleStatus
    steps: tuple[Step, ...]


# Suspending works at once and is then proved to have reached the gateways. Offboarding goes in this order:
# nobody starts anything, what runs ends, the institution has its data, and only then things are undone.
MOVES: Final[dict[JobKind, Move]] = {
    "provision": Move(
        frozenset({"requested"}), "provisioning", "sandbox", ("tenant-key", "signing-key", "placement")
    ),
    "certify": Move(frozenset({"sandbox"}), None, "certified", ("suite", "requirements")),
    "go-live": Move(frozenset({"certified"}), None, "active", ("approval", "requirements")),
    "suspend": Move(frozenset({"active"}), "suspended", "suspended", ("publication",)),
    "resume": Move(frozenset({"suspended"}), "active", "active", ("publication",)),
    "offboard": Move(
        frozenset({"sandbox", "certified", "suspended"}),
        "offboarding",
        "offboarding",
        ("credentials", "publication", "drain", "export", "identifiers"),
    ),
    "purge": Move(
        frozenset({"offboarding"}),
        None,
        "purged",
        ("approval", "secrets", "publication", "destroyed-key", "data"),
    ),
}
# A tenant in the sandbox makes payments there, so gateways let its clients in.
_OPEN: Final = frozenset({"sandbox", "certified", "active"})
_UNPUBLISHED: Final = frozenset({"requested", "provisioning"})


class Job(Struct, frozen=True, kw_only=True):
    """One run through the steps of a move; it goes on where it stopped."""

    tenant_id: str
    number: int  # from 1
    kind: JobKind
    reason: str
    started_by: str
    started_at_ms: int
    ended_at_ms: int | None = None
    waits_for: str = ""  # why it has not gone on, for people
    failure: str = ""  # why it ended without leading on, for people


class Evidence(Struct, frozen=True, kw_only=True):
    """That a step was done, when, and what proves it."""

    tenant_id: str
    job: int
    step: Step
    at_ms: int
    detail: dict[str, Any]


class EvidenceView(View, frozen=True, kw_only=True):
    """Evidence as it is shown."""

    step: Step
    at_ms: int
    detail: dict[str, Any]


class JobView(View, frozen=True, kw_only=True):
    """A job as it is shown; ``remaining`` are the steps to come."""

    number: int
    kind: JobKind
    started_by: str
    started_at_ms: int
    evidence: list[EvidenceView]
    remaining: list[Step]
    reason: str | None = None
    ended_at_ms: int | None = None
    waits_for: str | None = None
    failure: str | None = None


class LifecycleView(View, frozen=True, kw_only=True):
    """Where a tenant stands: its status and its jobs, the newest first."""

    tenant_id: str
    status: LifecycleStatus
    jobs: list[JobView]


def beginning(status: LifecycleStatus, kind: JobKind, last: Job | None) -> LifecycleStatus:
    """Return the status with which a job begins.

    Raises:
        JobOpenError: another job is not done.
        WrongStatusError: the job does not begin in this status.
    """
    move = MOVES[kind]
    if last is not None and last.ended_at_ms is None:
        raise JobOpenError(last.kind)
    # What is purged or certified rests on what the job before has done, all of it.
    if status not in move.begins:
        raise WrongStatusError(kind, status, " or ".join(sorted(move.begins)))
    return move.during or status


def is_same(kind: JobKind, status: LifecycleStatus, last: Job | None) -> bool:
    """Tell whether a job that is asked for runs already or has led to where the tenant is: a repetition."""
    if last is None or last.kind != kind:
        return False
    return last.ended_at_ms is None or MOVES[kind].ends == status


def remaining(job: Job, done: set[str]) -> list[Step]:
    """Return the steps of a job that have no evidence yet, in order."""
    return [step for step in MOVES[job.kind].steps if step not in done]


def published_status(status: LifecycleStatus) -> TenantStatus | None:
    """Return what gateways and engines are told; None where there is nothing to tell yet."""
    if status in _UNPUBLISHED:
        return None
    return "active" if status in _OPEN else "suspended"


def job_view(job: Job, evidence: list[Evidence]) -> JobView:
    """Return a job as it is shown."""
    done = {each.step: each for each in evidence if each.job == job.number}
    left = [] if job.ended_at_ms is not None else remaining(job, set(done))
    return JobView(
        number=job.number,
        kind=job.kind,
        started_by=job.started_by,
        started_at_ms=job.started_at_ms,
        evidence=[
            EvidenceView(step=step, at_ms=done[step].at_ms, detail=done[step].detail)
            for step in MOVES[job.kind].steps
            if step in done
        ],
        remaining=left,
        reason=job.reason or None,
        ended_at_ms=job.ended_at_ms,
        waits_for=job.waits_for or None,
        failure=job.failure or None,
    )
