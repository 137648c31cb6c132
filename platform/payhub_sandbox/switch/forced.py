"""Forced cases: amounts and identifiers that always end in one certain error or behaviour.

The table below is the only one: docs/sandbox.md and the guide page print it. It applies where the sandbox is
started with it (``payhub sandbox`` is).
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from payhub_platform.money import Money, exponent_of
from payhub_sandbox.switch.refusal import SERVICE_UNAVAILABLE, FspiopRefusalError

LATE_MS: Final = 40_000

Behaviour = Literal[
    "error", "refused", "busy", "silence", "late", "twice", "lost", "aborted", "unnotified", "repeated"
]
BEHAVIOURS: Final[dict[Behaviour, str]] = {
    "error": "the switch sends the /error callback with this code; the other DFSP hears nothing",
    "refused": "HTTP 400 with this code at once; nothing is done",
    "busy": "HTTP 503 with code 2003 and Retry-After, every time",
    "silence": "accepted with 202 and never passed on; a transfer expires with 3303",
    "late": "the answer is held back for 40 seconds",
    "twice": "the answer is delivered twice",
    "lost": "passed on, but the answer never arrives; GET tells it where the switch knows",
    "aborted": "a payee that says RESERVED is told ABORTED by PATCH, the payer 5105",
    "unnotified": "committed, but the PATCH to the payee never arrives",
    "repeated": "the request is passed on twice",
}

_UNAVAILABLE: Final = 503
_SUFFIX_DIGITS: Final = 3


class ForcedCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One row: what it applies to and what happens.

    Attributes:
        resource: of FSPIOP; the first request of a flow that matches decides.
        amount: last three digits of the amount's whole units, or empty.
        identifier: how the party's identifier begins, or empty.
        behaviour: see BEHAVIOURS.
        error_code: FSPIOP's four digits, for ``error`` and ``refused``.
    """

    resource: str
    amount: str = ""
    identifier: str = ""
    behaviour: Behaviour
    error_code: str = ""


def _by_amount(resource: str, first: int, error_codes: str, behaviours: str) -> list[ForcedCase]:
    """Return rows: errors from ``first`` + 1 on, behaviours from ``first`` + 20 on."""
    errors = [
        ForcedCase(resource=resource, amount=str(first + at), behaviour="error", error_code=code)
        for at, code in enumerate(error_codes.split(), start=1)
    ]
    words = [word for name in behaviours.split() for word in BEHAVIOURS if word == name]
    others = [
        ForcedCase(
            resource=resource,
            amount=str(first + at),
            behaviour=word,
            error_code="3100" if word == "refused" else "",
        )
        for at, word in enumerate(words, start=20)
    ]
    return [*errors, *others]


def _by_identifier(resource: str, error_codes: str, behaviours: str) -> list[ForcedCase]:
    """Return rows: an identifier that begins 25499 and the error's four digits, or 254990 and a number."""
    errors = [
        ForcedCase(resource=resource, identifier=f"25499{code}", behaviour="error", error_code=code)
        for code in error_codes.split()
    ]
    words = [word for name in behaviours.split() for word in BEHAVIOURS if word == name]
    others = [
        ForcedCase(
            resource=resource,
            identifier=f"254990{at:03d}",
            behaviour=word,
            error_code="3100" if word == "refused" else "",
        )
        for at, word in enumerate(words, start=1)
    ]
    return [*errors, *others]


TABLE: Final[tuple[ForcedCase, ...]] = (
    *_by_identifier("participants", "2001 3003 3040 3204", "refused busy silence late twice"),
    *_by_identifier("parties", "1001 2001 2006 3201 3204", "refused busy silence late twice lost repeated"),
    *_by_amount(
        "transactionRequests",
        600,
        "2001 4101 4102 4103 4200 4300 4400 5300",
        "refused busy silence late twice lost repeated",
    ),
    *_by_amount(
        "authorizations", 650, "2001 4300 4400 5300", "refused busy silence late twice lost repeated"
    ),
    *_by_amount(
        "quotes",
        700,
        "2001 3204 3301 4200 5101 5102 5103 5106 5200 5300 5400",
        "refused busy silence late twice lost repeated",
    ),
    *_by_amount(
        "transfers",
        800,
        "2001 3302 4001 4200 4400 5001 5104 5105 5106 5200 5300 5400",
        "refused busy silence late twice lost aborted unnotified repeated",
    ),
    *_by_amount(
        "bulkQuotes", 500, "2001 5101 5103 5106 5200 5400", "refused busy silence late twice lost repeated"
    ),
    *_by_amount(
        "bulkTransfers", 550, "2001 4001 5104 5105 5200 5400", "refused busy silence late twice lost repeated"
    ),
    *_by_amount("fxQuotes", 300, "2001 5103 5106 5200", "refused busy silence late twice lost repeated"),
    *_by_amount("fxTransfers", 350, "2001 4001 5105 5200", "refused busy silence late twice lost repeated"),
)


class ForcedCases:
    """The table, where it is switched on; first of all it is found by amount, then by identifier."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._by_amount = {(row.resource, row.amount): row for row in TABLE if row.amount}
        self._by_identifier = [row for row in TABLE if row.identifier]

    def find(self, resource: str, amounts: Iterable[Money], identifiers: Iterable[str]) -> ForcedCase | None:
        """Return the case of a request about these amounts and identifiers, or None.

        Raises:
            FspiopRefusalError: the case is a refusal at once.
        """
        if not self.enabled:
            return None
        suffixes = [_suffix(amount) for amount in amounts]
        found = [
            self._by_amount[resource, suffix] for suffix in suffixes if (resource, suffix) in self._by_amount
        ]
        found += [
            row
            for row in self._by_identifier
            if row.resource == resource and any(one.startswith(row.identifier) for one in identifiers)
        ]
        case = found[0] if found else None
        if case is not None and case.behaviour == "refused":
            raise FspiopRefusalError(case.error_code, "Forced: this amount or identifier is refused.")
        if case is not None and case.behaviour == "busy":
            raise FspiopRefusalError(SERVICE_UNAVAILABLE, "Forced: the switch is busy.", _UNAVAILABLE)
        return case


def _suffix(amount: Money) -> str:
    whole = amount.minor // 10 ** exponent_of(amount.currency)
    return str(whole)[-_SUFFIX_DIGITS:]
