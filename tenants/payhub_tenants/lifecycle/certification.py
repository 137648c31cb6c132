"""The report of a certification: the payment suite, run for one tenant against the sandbox switch. Pure."""

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from payhub_tenants.fields import Body
from payhub_tenants.lifecycle.errors import IncompleteReportError

DOCUMENT: Final = "certification"

Case = Literal[
    "payer-completed",
    "payer-party-not-found",
    "payer-quote-refused",
    "payer-transfer-aborted",
    "payer-timeout",
    "payee-completed",
    "payee-party-not-found",
    "payee-quote-refused",
    "payee-transfer-aborted",
]
CASES: Final[tuple[Case, ...]] = Case.__args__  # type: ignore[attr-defined]


class CaseResult(Body, frozen=True, kw_only=True):
    """What became of one case; ``payment_id`` finds it in the audit of payments."""

    case: Case
    passed: bool
    payment_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
    detail: Annotated[str, Meta(max_length=300)] = ""


class CertificationReport(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/certification``: every case of the suite once, in both roles."""

    suite_version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z._-]{1,40}\Z")]
    ran_at_ms: Annotated[int, Meta(ge=0, le=2**53)]
    cases: Annotated[list[CaseResult], Meta(min_length=1, max_length=len(CASES))]

    @property
    def has_passed(self) -> bool:
        """All cases did what they should."""
        return all(result.passed for result in self.cases)


def checked_report(report: CertificationReport) -> CertificationReport:
    """Return a report that tells of every case.

    Raises:
        IncompleteReportError: a case is missing or there twice.
    """
    told = [result.case for result in report.cases]
    missing = [case for case in CASES if told.count(case) != 1]
    if missing:
        raise IncompleteReportError(f"Each case is told once; look at {', '.join(missing)}.")
    return report


def report_digest(report: CertificationReport) -> str:
    """Return the SHA-256 by which evidence names the report."""
    return hashlib.sha256(msgspec.json.encode(report, order="sorted")).hexdigest()
