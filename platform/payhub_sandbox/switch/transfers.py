"""The book of transfers and what each one does to positions. Pure: time comes in as a number."""

import heapq
from typing import Final, Literal

import msgspec

from payhub_platform.money import Money
from payhub_sandbox.switch.participants import Participant, Participants
from payhub_sandbox.switch.refusal import SERVICE_UNAVAILABLE, TRANSFER_EXPIRED, FspiopRefusalError

TRANSFERS_MAX: Final = 100_000

_UNAVAILABLE: Final = 503

State = Literal["RESERVED", "COMMITTED", "ABORTED"]


class Failure(msgspec.Struct, frozen=True):
    """Why a transfer was aborted: FSPIOP's four digits and a sentence."""

    error_code: str
    description: str


EXPIRED: Final = Failure(TRANSFER_EXPIRED, "The transfer expired before it was fulfilled.")


class Transfer(msgspec.Struct, kw_only=True):
    """One transfer at the switch.

    Attributes:
        fingerprint: SHA-256 of the body of POST /transfers, to tell a repeat from a change.
        lane: the conversation's lane of callback URLs.
        trace: traceparent of the prepare, for messages that the switch itself starts.
        payee_identifier: for the weather; empty when the switch did not see the quote.
        payee_waits: the payee said RESERVED and waits for the switch's PATCH.
    """

    transfer_id: str
    payer_fsp: str
    payee_fsp: str
    amount: Money
    condition: str
    expires_at_ms: int
    fingerprint: bytes
    lane: int
    trace: str
    payee_identifier: str
    state: State = "RESERVED"
    payee_waits: bool = False
    fulfilment: str = ""
    completed_at_ms: int = 0
    failure: Failure | None = None


class TransferBook:
    """Transfers by id; every change of state moves positions in the same step."""

    def __init__(self, participants: Participants, capacity: int = TRANSFERS_MAX) -> None:
        self._participants = participants
        self._capacity = capacity
        self._transfers: dict[str, Transfer] = {}
        self._deadlines: list[tuple[int, str]] = []

    def get(self, transfer_id: str) -> Transfer | None:
        """Return a transfer, or None."""
        return self._transfers.get(transfer_id)

    def all(self) -> list[Transfer]:
        """Return all transfers held, oldest first."""
        return list(self._transfers.values())

    def reserve(self, transfer: Transfer) -> None:
        """Record a transfer and reserve it against the payer's cap.

        Raises:
            FspiopRefusalError: 2003 (HTTP 503) while the book is full of transfers under way.
        """
        self._add(transfer)
        self._party(transfer.payer_fsp).reserved += transfer.amount.minor
        heapq.heappush(self._deadlines, (transfer.expires_at_ms, transfer.transfer_id))

    def refuse(self, transfer: Transfer, failure: Failure, now_ms: int) -> None:
        """Record a transfer that never reserved anything, so that a repeat is refused alike."""
        transfer.state, transfer.failure, transfer.completed_at_ms = "ABORTED", failure, now_ms
        self._add(transfer)

    def commit(self, transfer: Transfer, fulfilment: str, now_ms: int) -> None:
        """Move the amount from the payer's reservation to both positions."""
        self._release(transfer)
        self._party(transfer.payer_fsp).position += transfer.amount.minor
        self._party(transfer.payee_fsp).position -= transfer.amount.minor
        transfer.state, transfer.fulfilment, transfer.completed_at_ms = "COMMITTED", fulfilment, now_ms

    def abort(self, transfer: Transfer, failure: Failure, now_ms: int) -> None:
        """Give the payer's reservation back."""
        self._release(transfer)
        transfer.state, transfer.failure, transfer.completed_at_ms = "ABORTED", failure, now_ms

    def expire(self, now_ms: int, limit: int) -> list[Transfer]:
        """Abort reserved transfers whose expiry has passed, at most ``limit``, and return them."""
        expired: list[Transfer] = []
        while len(expired) < limit and self._deadlines and self._deadlines[0][0] < now_ms:
            _, transfer_id = heapq.heappop(self._deadlines)
            transfer = self._transfers.get(transfer_id)
            if transfer is not None and transfer.state == "RESERVED":
                self.abort(transfer, EXPIRED, now_ms)
                expired.append(transfer)
        return expired

    def _release(self, transfer: Transfer) -> None:
        assert transfer.state == "RESERVED"  # noqa: S101 - a final state never changes, callers look first
        payer = self._party(transfer.payer_fsp)
        payer.reserved -= transfer.amount.minor
        assert payer.reserved >= 0  # noqa: S101 - the reservation was made by reserve()

    def _add(self, transfer: Transfer) -> None:
        if len(self._transfers) >= self._capacity:
            oldest = next(iter(self._transfers.values()))
            if oldest.state == "RESERVED":
                raise FspiopRefusalError(SERVICE_UNAVAILABLE, "Too many transfers under way.", _UNAVAILABLE)
            del self._transfers[oldest.transfer_id]
        self._transfers[transfer.transfer_id] = transfer

    def _party(self, fsp_id: str) -> Participant:
        participant = self._participants.get(fsp_id)
        assert participant is not None  # noqa: S101 - participants are never removed
        return participant
