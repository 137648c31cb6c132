"""The report of a certification, its progress, and when a case has passed. Pure."""

import hashlib
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from payhub_platform.contracts.channel import PartyIdType
from payhub_platform.money import Money, exponent_of
from payhub_tenants.certification.cases import BOOKS, CASES, SUITE_VERSION, Case, Role
from payhub_tenants.fields import Body, View
from payhub_tenants.identifiers.model import Segment

DOCUMENT: Final = "certification"
PURPOSE: Final = "certification"
CASE_WAIT_MS: Final = 60_000  # until a payment has ended
SETTLE_WAIT_MS: Final = 20_000  # and until the account shows it: a payee is credited after the payer is told
# Another copy of the process takes a case over only after this, when the one that began it must be dead.
CLAIM_MS: Final = CASE_WAIT_MS + SETTLE_WAIT_MS + 10_000

State = Literal["none", "running", "failed", "passed"]

# What a case means by itself where it ended in another way than it should.
_MEND_BY_CODE: Final = {
    "2003": "The core bank did not answer: POST .../ams/check tells why.",
    "2004": (
        "The scheme's answers do not arrive, or are not believed: register the engines' callback addresses "
        "at the switch, and name the test DFSP's key in peerKeys of PUT .../scheme."
    ),
    "3204": "The switch finds no such party: register the member with POST .../party-identifiers.",
    "4001": "Raise the net debit cap at the switch, or put money into the member's account.",
    "4200": "The test DFSP's member has no money left in this currency: start the sandbox anew.",
    "4400": "The core bank refuses the member's account: it must be active, and hold enough money.",
    "5400": "The core bank refuses the member's account: it must be active, and may receive money.",
}
_PENDING: Final = "It had not ended in time: look the payment up in operations, and at the incidents of it."
_NO_BALANCE: Final = "The core bank must tell the account's balance, or nobody can see that money is right."


class CertifyMember(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/certify``, which may be empty: whose account the suite uses.

    It needs some 2,500 units of the tenant's currency, and nobody else may use it meanwhile. Where nothing
    is said it is the first registered party identifier.
    """

    type: PartyIdType
    value: Segment
    sub_id: Segment | None = None


class Balance(Struct, frozen=True, kw_only=True):
    """An account in minor units: what is booked, and what can be spent; None where the bank does not say."""

    booked: int | None
    available: int | None


class OpenCase(Struct, frozen=True, kw_only=True):
    """A case under way: what it began with, so that it can go on after an interruption."""

    case_id: str
    started_at_ms: int
    before: Balance
    orders_before: int = 0  # payments of the test DFSP to the same member over the same amount


class CaseResult(View, frozen=True, kw_only=True, omit_defaults=False):
    """What became of one case; ``payment_id`` finds it in operations, or at the test DFSP."""

    case_id: str
    role: Role
    what: str
    expected: str
    found: str
    passed: bool
    mend: str  # empty where it passed
    payment_id: str
    moved_minor: int
    duration_ms: int


class CertificationRun(Struct, frozen=True, kw_only=True):
    """A run of the suite as it is kept: the report, once it is done."""

    job: int  # of the lifecycle
    suite_version: str
    started_at_ms: int
    member_sealed: str  # a PartyIdInfo; it names a person
    cases: list[CaseResult] = []
    open_case: OpenCase | None = None
    first: Balance | None = None  # before the first case
    claimed_by: str = ""
    claimed_until_ms: int = 0
    ended_at_ms: int | None = None
    is_done: bool = False

    @property
    def failed(self) -> list[str]:
        """The ids of the cases that failed so far."""
        return [result.case_id for result in self.cases if not result.passed]

    @property
    def next_case(self) -> Case | None:
        """The case to do now; None where all are done."""
        done = {result.case_id for result in self.cases}
        return next((case for case in CASES if case.case_id not in done), None)


class CertificationView(View, frozen=True, kw_only=True, omit_defaults=False):
    """The newest run: how far it is, and a line for each case that is done."""

    job: int
    suite_version: str
    state: State
    started_at_ms: int
    ended_at_ms: int | None
    done: int
    total: int
    running: str | None  # the case under way
    cases: list[CaseResult]


class Found(Struct, frozen=True, kw_only=True):
    """What was found at the end of a case.

    Attributes:
        state: COMPLETED, FAILED, or PENDING where it had not ended in time.
        charged: what the payer agreed to pay, fees included; None where no terms were agreed.
        booked: by how much the balance changed, in minor units; None where the bank tells none.
        available: the same of what can be spent.
    """

    state: str
    error_code: str = ""
    charged: int | None = None
    booked: int | None = None
    available: int | None = None
    note: str = ""  # what kept it from going on


def new_run(job: int, member_sealed: str, now_ms: int) -> CertificationRun:
    """Return a run before its first case."""
    return CertificationRun(
        job=job, suite_version=SUITE_VERSION, started_at_ms=now_ms, member_sealed=member_sealed
    )


def claimed(run: CertificationRun, by: str, now_ms: int) -> CertificationRun | None:
    """Return a run that ``by`` works on from now; None where another copy of the process does."""
    # A claim from the future is one by a clock that was wrong: it holds nobody up.
    is_held = run.claimed_by not in ("", by) and 0 < run.claimed_until_ms - now_ms <= CLAIM_MS
    return None if is_held else replace(run, claimed_by=by, claimed_until_ms=now_ms + CLAIM_MS)


def with_result(run: CertificationRun, result: CaseResult, now_ms: int) -> CertificationRun:
    """Return a run after one more case; after the last one it is the report."""
    after = replace(run, cases=[*run.cases, result], open_case=None)
    if after.next_case is not None:
        return after
    return replace(after, is_done=True, ended_at_ms=now_ms, claimed_by="", claimed_until_ms=0)


def amount_of(case: Case, currency: str) -> Money:
    """Return what a case pays, in minor units of the tenant's currency."""
    return Money(case.amount * 10 ** exponent_of(currency), currency)


def change(before: Balance, after: Balance) -> tuple[int | None, int | None]:
    """Return by how much balance and available amount changed."""
    pairs = ((before.booked, after.booked), (before.available, after.available))
    booked, available = (None if None in pair else pair[1] - pair[0] for pair in pairs)  # type: ignore[operator]
    return booked, available


def is_settled(case: Case, found: Found, amount: Money, expected_sum: int = 0) -> bool:
    """Tell whether the account shows what it must: moved once or not at all, and nothing held."""
    if found.booked is None or found.available not in (None, found.booked):
        return False
    if case.case_id == BOOKS:
        return found.booked == expected_sum
    if not case.moves:
        return found.booked == 0
    if case.role == "payer":
        return found.booked == -(amount.minor if found.charged is None else found.charged)
    return 0 < found.booked <= amount.minor  # the payee's fee comes out of it


def result_of(
    case: Case, found: Found, amount: Money, payment_id: str, duration_ms: int, expected_sum: int = 0
) -> CaseResult:
    """Judge a case; its line says what was expected, what was found and what to mend."""
    has_ended = (found.state, found.error_code) == (case.outcome, case.error_code)
    passed = has_ended and is_settled(case, found, amount, expected_sum)
    return CaseResult(
        case_id=case.case_id,
        role=case.role,
        what=case.what,
        expected=_expected(case, amount, expected_sum),
        found="; ".join(
            filter(None, (_ending(found.state, found.error_code), found.note, _books(found, amount)))
        ),
        passed=passed,
        mend="" if passed else _mend(case, found),
        payment_id=payment_id,
        moved_minor=0 if case.case_id == BOOKS else found.booked or 0,
        duration_ms=duration_ms,
    )


def state_of(run: CertificationRun | None) -> State:
    """Tell how the newest run stands."""
    if run is None:
        return "none"
    if not run.is_done:
        return "running"
    return "failed" if run.failed else "passed"


def digest_of(run: CertificationRun) -> str:
    """Return the SHA-256 by which evidence names the report."""
    content = (run.suite_version, run.started_at_ms, run.ended_at_ms, run.cases)
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def certification_view(run: CertificationRun) -> CertificationView:
    """Return a run as it is shown."""
    following = run.next_case
    return CertificationView(
        job=run.job,
        suite_version=run.suite_version,
        state=state_of(run),
        started_at_ms=run.started_at_ms,
        ended_at_ms=run.ended_at_ms,
        done=len(run.cases),
        total=len(CASES),
        running=None if following is None else following.case_id,
        cases=run.cases,
    )


def _expected(case: Case, amount: Money, expected_sum: int) -> str:
    if case.case_id == BOOKS:
        return f"the account changed by {_money(expected_sum, amount.currency)}, and nothing is held"
    verb = "debited" if case.role == "payer" else "credited"
    books = f"the account {verb} once" if case.moves else "the account as before"
    return f"{amount}: {_ending(case.outcome, case.error_code)}; {books}, and nothing is held"


def _told(found: Found, amount: Money) -> tuple[str, str, str]:
    return _ending(found.state, found.error_code), found.note, _books(found, amount)


def _ending(state: str, error_code: str) -> str:
    return f"{state} with {error_code}" if error_code else state


def _books(found: Found, amount: Money) -> str:
    currency = amount.currency
    if found.booked is None:
        return "" if found.note else "the core bank tells no balance"
    text = f"the account changed by {_money(found.booked, currency)}"
    if found.available is None:
        return f"{text}, and what is held is not told"
    held = found.booked - found.available
    return f"{text}, and {_money(held, currency)} more is held than before" if held else text


def _mend(case: Case, found: Found) -> str:
    if found.booked is None:
        return "Mend what kept the suite from going on, then run it again." if found.note else _NO_BALANCE
    if found.state == "PENDING":
        return _PENDING
    if found.error_code != case.error_code and found.error_code in _MEND_BY_CODE:
        return _MEND_BY_CODE[found.error_code]
    return case.mend


def _money(minor: int, currency: str) -> str:
    return str(Money(minor, currency))
