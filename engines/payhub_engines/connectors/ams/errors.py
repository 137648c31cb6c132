"""How a core bank refuses, fails, and contradicts what it was sent."""

from typing import Final

import msgspec

from payhub_engines.connectors.job import JobFailedError

RETRY_AFTER_MS: Final = 500
CREDENTIALS_RETRY_MS: Final = 5_000  # a bank may lock out who tries a wrong password too often
PEOPLE_RETRY_MS: Final = 60_000  # for what only the bank's people can mend


class Reason(msgspec.Struct, frozen=True):
    """Why a payment cannot be: an FSPIOP error code with words for people."""

    code: str
    description: str


class AmsRefusalError(Exception):
    """The bank refused for a business reason: nothing was done, nothing is held."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason.code}: {reason.description}")
        self.reason = reason


class RefusedInDoubtError(JobFailedError):
    """A booking is refused, but what an earlier attempt did or will do is not certain: people must look."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"refused after an attempt without an answer: {reason.description}", PEOPLE_RETRY_MS)


def refused_booking(reason: Reason, attempt: int) -> Exception:
    """Return what the refusal of a booking means: certain at the first attempt only."""
    return AmsRefusalError(reason) if attempt == 1 else RefusedInDoubtError(reason)


class DisagreementError(JobFailedError):
    """The bank's answer does not fit what it was sent: other amount, currency, account or reference."""


class CircuitOpenError(JobFailedError):
    """The bank has failed again and again and is left alone for ``retry_after_ms``."""


class BankBusyError(JobFailedError):
    """As much is under way at this bank as it is given at once."""
