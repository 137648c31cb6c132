"""The book of transfers and what each one does to positions. Pure: time comes in as a number."""

from typing import Final, Literal

import msgspec

from payhub_platform.money import Money
from payhub_sandbox.switch.deadlines import Deadlines
from payhub_sandbox.switch.forced import ForcedCase
from payhub_sandbox.switch.message import Addressee
from payhub_sandbox.switch.participants import Participants
from payhub_sandbox.switch.refusal import (
    PAYEE_FSP_NOT_FOUND,
    PAYEE_UNSUPPORTED_CURRENCY,
    PAYER_FSP_INSUFFICIENT_LIQUIDITY,
    PAYER_FSP_NOT_FOUND,
    SERVICE_UNAVAILABLE,
    TRANSFER_EXPIRED,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.versions import Version
from payhub_sandbox.switch.windows import SettlementWindows

TRANSFERS_MAX: Final = 100_000
LIFETIME_MS_MAX: Final = 24 * 3600 * 1000

_UNAVAILABLE: Final = 503

State = Literal["RESERVED", "COMMITTED", "ABORTED"]


class Failure(msgspec.Struct, frozen=True):
    """Why a transfer was aborted: FSPIOP's four digits and a sentence."""

    error_code: str
    description: str


EXPIRED: Final = Failure(TRANSFER_EXPIRED, "The transfer expired before it was fulfilled.")


class Transfer(msgspec.Struct, kw_only=True):
    """One transfer at the switch: plain, one of a bulk, or the source side of a conversion.

    Attributes:
        debtor: whose position pays: the payer's, or the provider's where the payer bought the currency first.
        fingerprint: SHA-256 of the body of the POST, to tell a repeat from a change.
        lane: the conversation's lane of callback URLs.
        trace: traceparent of the prepare, for messages that the switch itself starts.
        payer_version: in which version the payer is told.
        payee_version: in which version the payee is told; the payer's until the payee has spoken.
        payee_identifier: for the weather; empty when the switch did not see the quote.
        bulk_id: of the bulk that it is part of, or empty.
        payee_waits: the payee said RESERVED and waits for the switch's PATCH.
        case: what is forced upon its answers.
    """

    transfer_id: str
    payer_fsp: str
    payee_fsp: str
    debtor: str
    amount: Money
    condition: str
    expires_at_ms: int
    fingerprint: bytes
    lane: int
    trace: str
    payer_version: Version
    payee_version: Version
    payee_identifier: str = ""
    bulk_id: str = ""
    state: State = "RESERVED"
    payee_waits: bool = False
    fulfilment: str = ""
    completed_at_ms: int = 0
    failure: Failure | None = None
    case: ForcedCase | None = None

    def payer(self) -> Addressee:
        """Return the payer's DFSP as somebody to be told."""
        return Addressee(fsp_id=self.payer_fsp, lane=self.lane, trace=self.trace, version=self.payer_version)

    def payee(self) -> Addressee:
        """Return the payee's DFSP as somebody to be told."""
        return Addressee(fsp_id=self.payee_fsp, lane=self.lane, trace=self.trace, version=self.payee_version)


class TransferBook:
    """Transfers by id; every change of state moves positions in the same step."""

    def __init__(
        self, participants: Participants, windows: SettlementWindows, capacity: int = TRANSFERS_MAX
    ) -> None:
        self._participants = participants
        self._windows = windows
        self._capacity = capacity
        self._transfers: dict[str, Transfer] = {}
        self._deadlines = Deadlines()

    def get(self, transfer_id: str) -> Transfer | None:
        """Return a transfer, or None."""
        return self._transfers.get(transfer_id)

    def all(self) -> list[Transfer]:
        """Return all transfers held, oldest first."""
        return list(self._transfers.values())

    def obstacle(self, transfer: Transfer, now_ms: int, total_minor: int | None = None) -> Failure | None:
        """Return why a new transfer cannot be reserved, or None.

        Args:
            transfer: not in the book yet.
            now_ms: the time.
            total_minor: what is reserved at once, where the transfer is the first of a bulk.
        """
        debtor, payee = self._participants.get(transfer.debtor), self._participants.get(transfer.payee_fsp)
        currency = transfer.amount.currency
        minor = transfer.amount.minor if total_minor is None else total_minor
        if debtor is None or not debtor.active:
            return Failure(PAYER_FSP_NOT_FOUND, "payerFsp is no active participant.")
        if payee is None or not payee.active:
            return Failure(PAYEE_FSP_NOT_FOUND, "payeeFsp is no active participant.")
        rows = [
            (currency not in debtor.positions, VALIDATION_ERROR, f"payerFsp has no position in {currency}."),
            (
                currency not in payee.positions,
                PAYEE_UNSUPPORTED_CURRENCY,
                f"payeeFsp has no position in {currency}.",
            ),
            (
                transfer.expires_at_ms <= now_ms,
                TRANSFER_EXPIRED,
                "The transfer had expired when it was received.",
            ),
            (
                transfer.expires_at_ms > now_ms + LIFETIME_MS_MAX,
                VALIDATION_ERROR,
                "A transfer expires within 24 hours.",
            ),
        ]
        found = next((Failure(code, text) for holds, code, text in rows if holds), None)
        if found is None and not debtor.positions[currency].has_liquidity(minor):
            return Failure(PAYER_FSP_INSUFFICIENT_LIQUIDITY, "The net debit cap would be exceeded.")
        return found

    def has_room(self, transfers: int) -> bool:
        """Tell whether so many new transfers can be held, forgetting final ones where need be."""
        return len(self._transfers) + transfers <= self._capacity or transfers <= sum(
            one.state != "RESERVED" for one in self._transfers.values()
        )

    def reserve(self, transfer: Transfer, *, expires: bool = True) -> None:
        """Record a transfer and reserve it against the debtor's cap.

        Args:
            transfer: not in the book yet, without an obstacle.
            expires: the book lets it expire; otherwise who reserves it does.

        Raises:
            FspiopRefusalError: 2003 (HTTP 503) while the book is full of transfers under way.
        """
        self._add(transfer)
        self._participants.position(
            transfer.debtor, transfer.amount.currency
        ).reserved += transfer.amount.minor
        if expires:
            self._deadlines.add(transfer.expires_at_ms, transfer.transfer_id)

    def refuse(self, transfer: Transfer, failure: Failure, now_ms: int) -> None:
        """Record a transfer that never reserved anything, so that a repeat is refused alike."""
        transfer.state, transfer.failure, transfer.completed_at_ms = "ABORTED", failure, now_ms
        self._add(transfer)

    def commit(self, transfer: Transfer, fulfilment: str, now_ms: int) -> None:
        """Move the amount from the debtor's reservation to both positions, in the open settlement window."""
        self._release(transfer)
        amount = transfer.amount
        self._windows.record(transfer.debtor, transfer.payee_fsp, amount.currency, amount.minor)
        transfer.state, transfer.fulfilment, transfer.completed_at_ms = "COMMITTED", fulfilment, now_ms

    def abort(self, transfer: Transfer, failure: Failure, now_ms: int) -> None:
        """Give the debtor's reservation back."""
        self._release(transfer)
        transfer.state, transfer.failure, transfer.completed_at_ms = "ABORTED", failure, now_ms

    def postpone(self, transfer: Transfer, expires_at_ms: int) -> None:
        """Let a reserved transfer expire later than it wanted."""
        transfer.expires_at_ms = expires_at_ms
        self._deadlines.add(expires_at_ms, transfer.transfer_id)

    def expired(self, now_ms: int) -> Transfer | None:
        """Take one reserved transfer whose expiry has passed; who takes it aborts or postpones it."""
        while (transfer_id := self._deadlines.passed(now_ms)) is not None:
            transfer = self._transfers.get(transfer_id)
            if transfer is not None and transfer.state == "RESERVED" and transfer.expires_at_ms < now_ms:
                return transfer
        return None

    def _release(self, transfer: Transfer) -> None:
        assert transfer.state == "RESERVED"  # noqa: S101 - a final state never changes, callers look first
        position = self._participants.position(transfer.debtor, transfer.amount.currency)
        position.reserved -= transfer.amount.minor
        assert position.reserved >= 0  # noqa: S101 - the reservation was made by reserve()

    def _add(self, transfer: Transfer) -> None:
        if len(self._transfers) >= self._capacity:
            final = (one.transfer_id for one in self._transfers.values() if one.state != "RESERVED")
            oldest = next(final, None)
            if oldest is None:
                raise FspiopRefusalError(SERVICE_UNAVAILABLE, "Too many transfers under way.", _UNAVAILABLE)
            del self._transfers[oldest]
        self._transfers[transfer.transfer_id] = transfer
