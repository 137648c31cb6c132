"""Faults on purpose: slowness, failures, and crashes between booking and answer."""

from typing import Annotated, Final

import msgspec

DELAY_MS_MAX: Final = 60_000
FAILURES_MAX: Final = 10_000

_Count = Annotated[int, msgspec.Meta(ge=0, le=FAILURES_MAX)]


class Faults(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What goes wrong next at a bank.

    Attributes:
        delay_ms: every call waits so long.
        fail_next: so many calls answer 500 and do nothing.
        crash_after_commit_next: so many successful transfer actions are booked and answer 500; their
            idempotency key then stays under processing and answers 425 for good.
    """

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=DELAY_MS_MAX)] = 0
    fail_next: _Count = 0
    crash_after_commit_next: _Count = 0

    def take_failure(self) -> bool:
        """Tell whether this call fails, and count it."""
        fails = self.fail_next > 0
        self.fail_next -= int(fails)
        return fails

    def take_crash(self) -> bool:
        """Tell whether the bank crashes after this booking, and count it."""
        crashes = self.crash_after_commit_next > 0
        self.crash_after_commit_next -= int(crashes)
        return crashes
