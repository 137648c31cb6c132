"""Bulk transfers: reserved together, committed one by one (FSPIOP 1.1 section 6.10)."""

import hashlib
from typing import Any, Final

import msgspec

from payhub_platform.clock import iso
from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.contents import BulkPrepare, BulkTransferState, IndividualResult
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.deadlines import Deadlines
from payhub_sandbox.switch.forced import ForcedCase
from payhub_sandbox.switch.message import Addressee, Incoming, Outgoing
from payhub_sandbox.switch.refusal import (
    BULK_TRANSFER_NOT_FOUND,
    MODIFIED_REQUEST,
    PAYEE_ERROR,
    SERVICE_UNAVAILABLE,
    VALIDATION_ERROR,
    FspiopRefusalError,
    error_information,
)
from payhub_sandbox.switch.target import Target
from payhub_sandbox.switch.transfers import EXPIRED, Failure, Transfer, TransferBook

BULKS_MAX: Final = 2_000

_UNAVAILABLE: Final = 503
_WRONG_FULFILMENT: Final = Failure(PAYEE_ERROR, "The payee's fulfilment does not fit the condition.")
_NO_RESULT: Final = Failure(PAYEE_ERROR, "The payee gave no result for this transfer.")
_USED: Final = Failure(MODIFIED_REQUEST, "A transferId of the bulk is in use.")


class Bulk(msgspec.Struct, kw_only=True):
    """One bulk at the switch.

    Attributes:
        transfers: in the book, all of one currency, expiring together.
        failure: why the whole bulk was refused or expired, or None.
        state: COMPLETED or REJECTED once it is final.
    """

    bulk_id: str
    fingerprint: bytes
    transfers: list[Transfer]
    case: ForcedCase | None
    state: BulkTransferState = "RECEIVED"
    failure: Failure | None = None
    completed_at_ms: int = 0

    @property
    def first(self) -> Transfer:
        """A transfer of the bulk; its parties, conversation and expiry are those of all."""
        return self.transfers[0]

    @property
    def final(self) -> bool:
        """Whether nothing is reserved any more."""
        return self.state in ("COMPLETED", "REJECTED")


class BulkClearing:
    """Decides bulkTransfers; positions change only through the book."""

    def __init__(self, context: SwitchContext, book: TransferBook) -> None:
        self._context = context
        self._book = book
        self._bulks: dict[str, Bulk] = {}
        self._deadlines = Deadlines()

    def prepare(self, incoming: Incoming, _target: Target) -> list[Outgoing]:
        """POST /bulkTransfers: reserve the whole sum or nothing, and pass the bulk on to the payee's DFSP."""
        bulk = self._new_bulk(bodies.read(bodies.bulk_prepares, incoming.body), incoming)
        known = self._bulks.get(bulk.bulk_id)
        if known is not None:
            return self._repeat(known, bulk)
        self._make_room(len(bulk.transfers))
        now_ms = self._context.clock()
        self._bulks[bulk.bulk_id] = bulk
        failure = self._obstacle(bulk, now_ms)
        if failure is not None:
            bulk.state, bulk.failure, bulk.completed_at_ms = "REJECTED", failure, now_ms
            return self._context.under_case([self._failure_of(bulk, bulk.first.payer())], bulk.case)
        for transfer in bulk.transfers:
            self._book.reserve(transfer, expires=False)
        self._deadlines.add(bulk.first.expires_at_ms, bulk.bulk_id)
        forwarded = self._context.forward(incoming, bulk.first.payee_fsp, bulk.first.lane)
        return self._context.passed_on(forwarded, bulk.case)

    def fulfil(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /bulkTransfers/{ID}: commit what is fulfilled, abort the rest, and tell the payer.

        An interim state is passed on and moves nothing.
        """
        message = bodies.read(bodies.bulk_fulfils, incoming.body)
        bulk = self._of_payee(incoming, target)
        if isinstance(bulk, Outgoing):
            return [bulk]
        if bulk.final:
            return [] if bulk.failure is None else [self._failure_of(bulk, bulk.first.payee())]
        interim = message.bulk_transfer_state not in ("COMPLETED", "REJECTED")
        now_ms = self._context.clock()
        if now_ms > bulk.first.expires_at_ms:
            return self._expire(bulk, now_ms)
        altered = False
        if not interim:
            results = {one.transfer_id: one for one in message.individual_transfer_results}
            altered = self._finish(bulk, message.bulk_transfer_state, results, now_ms)
        if altered or incoming.destination != bulk.first.payer_fsp:
            told = self._state_of(bulk, bulk.first.payer())
        else:
            told = self._context.forward(incoming, bulk.first.payer_fsp, bulk.first.lane)
        return self._context.under_case([told], bulk.case)

    def fail(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /bulkTransfers/{ID}/error: give all reservations back and tell the payer."""
        information = bodies.read(bodies.errors, incoming.body).error_information
        bulk = self._of_payee(incoming, target)
        if isinstance(bulk, Outgoing):
            return [bulk]
        if bulk.final:
            return []
        failure = Failure(information.error_code, information.error_description)
        self._abort(bulk, failure, self._context.clock())
        return self._context.under_case([self._failure_of(bulk, bulk.first.payer())], bulk.case)

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /bulkTransfers/{ID}: tell either DFSP the state; 3210 where it is not theirs."""
        bulk = self._bulks.get(target.key)
        if bulk is None or incoming.source not in (bulk.first.payer_fsp, bulk.first.payee_fsp):
            return [self._unknown(incoming, target)]
        to = self._context.addressee(incoming, bulk.first.lane)
        return [self._state_of(bulk, to) if bulk.failure is None else self._failure_of(bulk, to)]

    def expire(self, limit: int) -> list[Outgoing]:
        """Abort bulks that have expired, at most ``limit``; both DFSPs are told 3303."""
        messages: list[Outgoing] = []
        now_ms = self._context.clock()
        for _ in range(limit):
            bulk_id = self._deadlines.passed(now_ms)
            if bulk_id is None:
                break
            bulk = self._bulks.get(bulk_id)
            if bulk is not None and not bulk.final:
                messages.extend(self._expire(bulk, now_ms))
        return messages

    def _new_bulk(self, prepare: BulkPrepare, incoming: Incoming) -> Bulk:
        bulk_id = bodies.correlation_id(incoming, prepare.bulk_transfer_id, "bulkTransferId")
        bodies.bounded(prepare.individual_transfers, bodies.BULK_MAX, "individualTransfers")
        if prepare.payer_fsp != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "payerFsp must be the FSPIOP-Source.")
        if prepare.payee_fsp != incoming.destination:
            raise FspiopRefusalError(VALIDATION_ERROR, "payeeFsp must be the FSPIOP-Destination.")
        expires_at_ms = bodies.moment(prepare.expiration, "expiration")
        fingerprint = hashlib.sha256(incoming.body).digest()
        lane = self._context.lane(incoming, bulk_id)
        version = self._context.addressee(incoming, lane).version
        transfers = [
            Transfer(
                transfer_id=bodies.correlation_id(incoming, one.transfer_id, "transferId"),
                payer_fsp=prepare.payer_fsp,
                payee_fsp=prepare.payee_fsp,
                debtor=prepare.payer_fsp,
                amount=bodies.money(one.transfer_amount, "transferAmount"),
                condition=bodies.hash_text(one.condition, "condition"),
                expires_at_ms=expires_at_ms,
                fingerprint=fingerprint,
                lane=lane,
                trace=incoming.trace,
                payer_version=version,
                payee_version=version,
                bulk_id=bulk_id,
            )
            for one in prepare.individual_transfers
        ]
        if len({one.transfer_id for one in transfers}) < len(transfers):
            raise FspiopRefusalError(VALIDATION_ERROR, "Two transfers of the bulk have one transferId.")
        if len({one.amount.currency for one in transfers}) > 1:
            raise FspiopRefusalError(VALIDATION_ERROR, "The transfers of a bulk have one currency.")
        case = self._context.forced.find("bulkTransfers", [one.amount for one in transfers], [])
        return Bulk(bulk_id=bulk_id, fingerprint=fingerprint, transfers=transfers, case=case)

    def _make_room(self, transfers: int) -> None:
        while len(self._bulks) >= BULKS_MAX:
            oldest = next((one.bulk_id for one in self._bulks.values() if one.final), None)
            if oldest is None:
                raise FspiopRefusalError(SERVICE_UNAVAILABLE, "Too many bulks under way.", _UNAVAILABLE)
            del self._bulks[oldest]
        if not self._book.has_room(transfers):
            raise FspiopRefusalError(SERVICE_UNAVAILABLE, "Too many transfers under way.", _UNAVAILABLE)

    def _obstacle(self, bulk: Bulk, now_ms: int) -> Failure | None:
        if bulk.case is not None and bulk.case.behaviour == "error":
            return Failure(bulk.case.error_code, "Forced by the amount.")
        if any(self._book.get(one.transfer_id) is not None for one in bulk.transfers):
            return _USED
        total = sum(one.amount.minor for one in bulk.transfers)
        return self._book.obstacle(bulk.first, now_ms, total)

    def _finish(
        self, bulk: Bulk, state: BulkTransferState, results: dict[str, IndividualResult], now_ms: int
    ) -> bool:
        """Commit or abort each transfer; tell whether the outcome differs from what the payee said."""
        altered = False
        outcomes: list[tuple[Transfer, str, Failure | None]] = []
        for transfer in bulk.transfers:
            result = results.get(transfer.transfer_id)
            fulfilment, failure = "", None
            if result is not None and result.error_information is not None:
                given = result.error_information
                failure = Failure(given.error_code, given.error_description)
            elif result is None or state == "REJECTED":
                failure, altered = _NO_RESULT, altered or state != "REJECTED"
            else:
                fulfilment = bodies.hash_text(result.fulfilment or "", "fulfilment")
                if not opens(transfer.condition, fulfilment):
                    failure, altered = _WRONG_FULFILMENT, True
            outcomes.append((transfer, fulfilment, failure))
        # Only now, because a malformed result refuses the whole message.
        for transfer, fulfilment, failure in outcomes:
            if failure is None:
                self._book.commit(transfer, fulfilment, now_ms)
            else:
                self._book.abort(transfer, failure, now_ms)
        bulk.state, bulk.completed_at_ms = state, now_ms
        return altered

    def _abort(self, bulk: Bulk, failure: Failure, now_ms: int) -> None:
        for transfer in bulk.transfers:
            self._book.abort(transfer, failure, now_ms)
        bulk.state, bulk.failure, bulk.completed_at_ms = "REJECTED", failure, now_ms

    def _expire(self, bulk: Bulk, now_ms: int) -> list[Outgoing]:
        self._abort(bulk, EXPIRED, now_ms)
        to_payer = [self._failure_of(bulk, bulk.first.payer())]
        return [
            *self._context.under_case(to_payer, bulk.case),
            self._failure_of(bulk, bulk.first.payee()),
        ]

    def _repeat(self, known: Bulk, again: Bulk) -> list[Outgoing]:
        payer = again.first.payer()
        if (known.first.payer_fsp, known.fingerprint) != (again.first.payer_fsp, again.fingerprint):
            path = f"/bulkTransfers/{again.bulk_id}"
            text = "Another bulk has this bulkTransferId."
            return [self._context.voice.refuse(payer, path, MODIFIED_REQUEST, text)]
        if not known.final:
            return []
        told = self._state_of(known, payer) if known.failure is None else self._failure_of(known, payer)
        return self._context.under_case([told], known.case)

    def _of_payee(self, incoming: Incoming, target: Target) -> Bulk | Outgoing:
        bulk = self._bulks.get(target.key)
        if bulk is None or bulk.first.payee_fsp != incoming.source:
            return self._unknown(incoming, target)
        bulk.first.payee_version = self._context.addressee(incoming, bulk.first.lane).version
        return bulk

    def _unknown(self, incoming: Incoming, target: Target) -> Outgoing:
        to = self._context.addressee(incoming, self._context.lane(incoming, target.key))
        path = f"/bulkTransfers/{target.key}"
        return self._context.voice.refuse(
            to, path, BULK_TRANSFER_NOT_FOUND, "There is no such bulk of yours."
        )

    def _state_of(self, bulk: Bulk, to: Addressee) -> Outgoing:
        body: dict[str, Any] = {"bulkTransferState": bulk.state}
        if bulk.final:
            body["completedTimestamp"] = iso(bulk.completed_at_ms)
            body["individualTransferResults"] = [_result(one) for one in bulk.transfers]
        return self._context.voice.say(to, "PUT", f"/bulkTransfers/{bulk.bulk_id}", body)

    def _failure_of(self, bulk: Bulk, to: Addressee) -> Outgoing:
        failure = bulk.failure or EXPIRED
        path = f"/bulkTransfers/{bulk.bulk_id}"
        return self._context.voice.refuse(to, path, failure.error_code, failure.description)


def _result(transfer: Transfer) -> dict[str, Any]:
    if transfer.state == "COMMITTED":
        return {"transferId": transfer.transfer_id, "fulfilment": transfer.fulfilment}
    failure = transfer.failure or EXPIRED
    information = error_information(failure.error_code, failure.description)
    return {"transferId": transfer.transfer_id, **information}
