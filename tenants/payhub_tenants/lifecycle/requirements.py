"""What a tenant still lacks, for what, and why: as Stripe Connect tells it. Pure."""

from typing import Final, Literal

from msgspec import Struct

from payhub_tenants.certification.model import State
from payhub_tenants.fields import View
from payhub_tenants.lifecycle.model import JobKind, LifecycleStatus

AMS_CHECK_MAX_AGE_MS: Final = 24 * 60 * 60 * 1000
EXPIRY_WARNING_MS: Final = 14 * 24 * 60 * 60 * 1000

Code = Literal[
    "client",
    "ams-check",
    "certification-report",
    "limits",
    "party-identifier",
    "callback-endpoint",
    "certificate-expiry",
    "approval",
]


class Facts(Struct, frozen=True, kw_only=True):
    """What requirements are judged by, as of ``now_ms``."""

    status: LifecycleStatus
    now_ms: int
    clients: int = 0
    ams_checked_at_ms: int | None = None  # the newest check, where the core bank answered as it should
    certification: State = "none"
    failed_cases: list[str] = []
    has_limits: bool = False
    identifiers: int = 0
    endpoints: int = 0
    key_expires_at_ms: int | None = None
    approval_waits: bool = False


class Requirement(View, frozen=True, kw_only=True):
    """One thing that is missing: for which step, why it is needed, and what to do."""

    code: Code
    needed_for: JobKind | Literal["staying-active"]
    why: str
    what_to_do: str


class Requirements(View, frozen=True, kw_only=True, omit_defaults=False):
    """What is missing now for the next step, what will be missing later, and what waits for payhub."""

    status: LifecycleStatus
    currently_due: list[Requirement]
    eventually_due: list[Requirement]
    past_due: list[Requirement]


_NEXT: Final[dict[LifecycleStatus, JobKind]] = {
    "requested": "certify",
    "provisioning": "certify",
    "sandbox": "certify",
    "certified": "go-live",
}


def missing_for(kind: JobKind, facts: Facts) -> list[Requirement]:
    """Return what is missing for one job, without the approval or the report that the job itself brings."""
    if kind == "certify":
        return [*_client(facts, kind), *_ams(facts, kind), *_identifier(facts, kind)]
    if kind == "go-live":
        return [*missing_for("certify", facts), *_operation(facts, kind)]
    return []


def requirements(facts: Facts) -> Requirements:
    """Return the list for a tenant: due for its next step, due later, and overdue."""
    following = _NEXT.get(facts.status)
    due = missing_for(following, facts) if following else []
    later = missing_for("go-live", facts) if following == "certify" else []
    named = {each.code for each in due}
    if following == "go-live":
        due = [*due, *_approval(facts)]
    elif following == "certify":
        due = [*due, *_report(facts, following)]
        later = [*(each for each in later if each.code not in named), *_approval(facts)]
    overdue = _expiry(facts) if facts.status in ("active", "suspended") else []
    return Requirements(status=facts.status, currently_due=due, eventually_due=later, past_due=overdue)


def _client(facts: Facts, kind: JobKind) -> list[Requirement]:
    if facts.clients:
        return []
    return [
        Requirement(
            code="client",
            needed_for=kind,
            why="Without an API client no channel of the institution can start a payment.",
            what_to_do="POST .../clients with the channel's public key.",
        )
    ]


def _ams(facts: Facts, kind: JobKind) -> list[Requirement]:
    checked = facts.ams_checked_at_ms
    # A check from the future is one by a clock that was wrong: it proves nothing.
    if checked is not None and 0 <= facts.now_ms - checked <= AMS_CHECK_MAX_AGE_MS:
        return []
    why = (
        "The core bank has never answered a check."
        if checked is None
        else "The last check is over a day old."
    )
    return [
        Requirement(
            code="ams-check",
            needed_for=kind,
            why=f"{why} Payments debit and credit accounts there.",
            what_to_do="POST .../ams/check while the core bank can be reached.",
        )
    ]


def _report(facts: Facts, kind: JobKind) -> list[Requirement]:
    if facts.certification == "passed":
        return []
    told = {
        "none": "The payment suite was not run yet",
        "running": "The payment suite is under way",
        "failed": f"These cases failed: {', '.join(facts.failed_cases)}",
    }[facts.certification]
    todo = "POST .../certify runs it against the sandbox switch; GET .../certification tells how it stands."
    if facts.certification == "failed":
        todo = "GET .../certification tells what to mend for each; then POST .../certify again."
    return [
        Requirement(
            code="certification-report",
            needed_for=kind,
            why=f"{told}. The suite shows that payments in both roles end as they should.",
            what_to_do=todo,
        )
    ]


def _identifier(facts: Facts, kind: JobKind) -> list[Requirement]:
    if facts.identifiers:
        return []
    return [
        Requirement(
            code="party-identifier",
            needed_for=kind,
            why="No member can be found by the scheme, so that nobody can pay or be paid.",
            what_to_do="POST .../party-identifiers, or send a file.",
        )
    ]


def _operation(facts: Facts, kind: JobKind) -> list[Requirement]:
    found = []
    if not facts.has_limits:
        found.append(
            Requirement(
                code="limits",
                needed_for=kind,
                why="Without limits one mistake or theft has no bound.",
                what_to_do="PUT .../limits, and have another operator approve it.",
            )
        )
    if not facts.endpoints:
        found.append(
            Requirement(
                code="callback-endpoint",
                needed_for=kind,
                why="The institution would not hear how its payments end.",
                what_to_do="PUT .../endpoints with a public https address.",
            )
        )
    return found


def _approval(facts: Facts) -> list[Requirement]:
    why = "Going live takes two people."
    todo = (
        "Another operator approves what waits in .../approvals."
        if facts.approval_waits
        else "POST .../go-live, then another operator approves it."
    )
    return [Requirement(code="approval", needed_for="go-live", why=why, what_to_do=todo)]


def _expiry(facts: Facts) -> list[Requirement]:
    expires = facts.key_expires_at_ms
    if expires is None or expires - facts.now_ms > EXPIRY_WARNING_MS:
        return []
    return [
        Requirement(
            code="certificate-expiry",
            needed_for="staying-active",
            why="The signing key expires within 14 days; the scheme will then refuse its signatures.",
            what_to_do="POST .../keys for the next one, give it to the scheme, then activate it.",
        )
    ]
