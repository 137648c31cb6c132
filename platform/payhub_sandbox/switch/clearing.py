"""Transfers: reserve, fulfil, abort, expire, and tell (FSPIOP 1.1 section 6.7)."""

import hashlib
from typing import Any, Final

import msgspec

from payhub_platform.clock import iso
from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.contents import TransferFulfil, TransferPrepare
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.conversion import Conversions
from payhub_sandbox.switch.message import Addressee, Incoming, Outgoing
from payhub_sandbox.switch.refusal import (
    MODIFIED_REQUEST,
    PAYEE_ERROR,
    PAYEE_FSP_REJECTED,
    TRANSFER_NOT_FOUND,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.target import Target
from payhub_sandbox.switch.transfers import EXPIRED, Failure, Transfer, TransferBook

_WRONG_FULFILMENT: Final = Failure(PAYEE_ERROR, "The payee's fulfilment does not fit the condition.")
_FORCED_ABORT: Final = Failure(PAYEE_FSP_REJECTED, "Forced by the amount.")
_AWAITED: Final = frozenset({"RESERVED", "COMMITTED"})


class Clearing:
    """Decides transfers; positions change only through the book."""

    def __init__(self, context: SwitchContext, book: TransferBook, conversions: Conversions) -> None:
        self._context = context
        self._conversions = conversions
        self.book = book

    def prepare(self, incoming: Incoming, _target: Target) -> list[Outgoing]:
        """POST /transfers: reserve the payer's position and pass the transfer on to the payee."""
        prepare = bodies.read(bodies.prepares, incoming.body)
        transfer = self._new_transfer(prepare, incoming)
        known = self.book.get(transfer.transfer_id)
        if known is not None:
            return self._repeat(known, transfer)
        now_ms = self._context.clock()
        transfer.debtor = self._conversions.debtor_of(transfer)
        failure = self._obstacle(transfer, now_ms)
        if failure is not None:
            self.book.refuse(transfer, failure, now_ms)
            return [*self._told_failure(transfer), *self._conversions.finish(transfer)]
        self.book.reserve(transfer)
        delay_ms = self._context.weather.rule_for(transfer.payee_identifier).delay_transfer_ms
        forwarded = self._context.forward(
            incoming,
            transfer.payee_fsp,
            transfer.lane,
            identifier=transfer.payee_identifier,
            delay_ms=delay_ms,
        )
        return self._context.passed_on(forwarded, transfer.case)

    def fulfil(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /transfers/{ID} of the payee: commit when the fulfilment opens the condition in time."""
        message = bodies.read(bodies.fulfils, incoming.body)
        if message.transfer_state not in _AWAITED:
            raise FspiopRefusalError(VALIDATION_ERROR, "transferState must be RESERVED or COMMITTED.")
        fulfilment = bodies.hash_text(message.fulfilment or "", "fulfilment")
        transfer = self._of_payee(incoming, target)
        if isinstance(transfer, Outgoing):
            return [transfer]
        transfer.payee_waits = transfer.payee_waits or message.transfer_state == "RESERVED"
        if transfer.state != "RESERVED":
            return self._told_payee(transfer)
        now_ms = self._context.clock()
        failure = self._misfit(transfer, fulfilment, now_ms)
        if failure is not None:
            return self._abort(transfer, failure, now_ms)
        self.book.commit(transfer, fulfilment, now_ms)
        return [
            *self._committed_to_payer(transfer, message, incoming),
            *self._told_payee(transfer),
            *self._conversions.finish(transfer),
        ]

    def fail(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /transfers/{ID}/error of the payee: give the reservation back and tell the payer."""
        information = bodies.read(bodies.errors, incoming.body).error_information
        transfer = self._of_payee(incoming, target)
        if isinstance(transfer, Outgoing):
            return [transfer]
        if transfer.state != "RESERVED":
            return self._told_payee(transfer) if transfer.state == "COMMITTED" else []
        failure = Failure(information.error_code, information.error_description)
        self.book.abort(transfer, failure, self._context.clock())
        finished = self._conversions.finish(transfer)
        if incoming.destination != transfer.payer_fsp:
            return [*self._told_failure(transfer), *finished]
        identifier = transfer.payee_identifier
        forwarded = self._context.forward(incoming, transfer.payer_fsp, transfer.lane, identifier=identifier)
        return [*self._context.under_case([forwarded], transfer.case), *finished]

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /transfers/{ID}: tell the payer or the payee the state; 3208 where it is not theirs."""
        transfer = self.book.get(target.key)
        if transfer is None or incoming.source not in (transfer.payer_fsp, transfer.payee_fsp):
            return [self._unknown(incoming, target)]
        to = self._context.addressee(incoming, transfer.lane)
        return [self._state_of(transfer, to, "PUT")]

    def expire(self, limit: int) -> list[Outgoing]:
        """Abort what has expired, at most ``limit`` transfers; both DFSPs are told 3303."""
        messages: list[Outgoing] = []
        now_ms = self._context.clock()
        for _ in range(limit):
            transfer = self.book.expired(now_ms)
            if transfer is None:
                break
            messages.extend(self._abort(transfer, EXPIRED, now_ms))
        return messages

    def _new_transfer(self, prepare: TransferPrepare, incoming: Incoming) -> Transfer:
        transfer_id = bodies.correlation_id(incoming, prepare.transfer_id, "transferId")
        bodies.ilp_packet(prepare.ilp_packet, "ilpPacket")
        if prepare.payer_fsp != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "payerFsp must be the FSPIOP-Source.")
        if prepare.payee_fsp != incoming.destination:
            raise FspiopRefusalError(VALIDATION_ERROR, "payeeFsp must be the FSPIOP-Destination.")
        condition = bodies.hash_text(prepare.condition, "condition")
        amount = bodies.money(prepare.amount, "amount")
        identifier = self._context.weather.identifier(condition)
        case = self._context.forced.find("transfers", [amount], [identifier])
        lane = self._context.lane(incoming, transfer_id)
        version = self._context.addressee(incoming, lane).version
        return Transfer(
            transfer_id=transfer_id,
            payer_fsp=prepare.payer_fsp,
            payee_fsp=prepare.payee_fsp,
            debtor=prepare.payer_fsp,
            amount=amount,
            condition=condition,
            expires_at_ms=bodies.moment(prepare.expiration, "expiration"),
            fingerprint=hashlib.sha256(incoming.body).digest(),
            lane=lane,
            trace=incoming.trace,
            payer_version=version,
            payee_version=version,
            payee_identifier=identifier,
            case=case,
        )

    def _obstacle(self, transfer: Transfer, now_ms: int) -> Failure | None:
        """Return why a new transfer cannot be reserved, or None."""
        case = transfer.case
        if case is not None and case.behaviour == "error":
            return Failure(case.error_code, "Forced by the amount or identifier.")
        return self.book.obstacle(transfer, now_ms)

    @staticmethod
    def _misfit(transfer: Transfer, fulfilment: str, now_ms: int) -> Failure | None:
        """Return why a fulfilment commits nothing, or None."""
        if now_ms > transfer.expires_at_ms:
            return EXPIRED
        if not opens(transfer.condition, fulfilment):
            return _WRONG_FULFILMENT
        if transfer.case is not None and transfer.case.behaviour == "aborted":
            return _FORCED_ABORT
        return None

    def _repeat(self, known: Transfer, again: Transfer) -> list[Outgoing]:
        """Answer a transfer id that is known: the same answer again, or 3106 for another body."""
        if (known.payer_fsp, known.fingerprint) != (again.payer_fsp, again.fingerprint):
            path = f"/transfers/{again.transfer_id}"
            text = "Another transfer has this transferId."
            return [self._context.voice.refuse(again.payer(), path, MODIFIED_REQUEST, text)]
        if known.state == "RESERVED":
            return []
        if known.state == "ABORTED":
            return self._told_failure(known)
        return self._context.under_case([self._state_of(known, known.payer(), "PUT")], known.case)

    def _of_payee(self, incoming: Incoming, target: Target) -> Transfer | Outgoing:
        """Return the transfer that the source is the payee of, or the 3208 it is told instead."""
        transfer = self.book.get(target.key)
        if transfer is None or transfer.payee_fsp != incoming.source or transfer.bulk_id:
            return self._unknown(incoming, target)
        transfer.payee_version = self._context.addressee(incoming, transfer.lane).version
        return transfer

    def _unknown(self, incoming: Incoming, target: Target) -> Outgoing:
        to = self._context.addressee(incoming, self._context.lane(incoming, target.key))
        text = "There is no such transfer of yours."
        return self._context.voice.refuse(to, f"/transfers/{target.key}", TRANSFER_NOT_FOUND, text)

    def _abort(self, transfer: Transfer, failure: Failure, now_ms: int) -> list[Outgoing]:
        self.book.abort(transfer, failure, now_ms)
        return [
            *self._told_failure(transfer),
            *self._told_payee(transfer),
            *self._conversions.finish(transfer),
        ]

    def _committed_to_payer(
        self, transfer: Transfer, message: TransferFulfil, incoming: Incoming
    ) -> list[Outgoing]:
        """Tell the payer: the payee's own message, or the switch's when the payee had said RESERVED."""
        if self._context.weather.take_drop(transfer.payee_identifier):
            return []
        if message.transfer_state == "COMMITTED" and incoming.destination == transfer.payer_fsp:
            identifier = transfer.payee_identifier
            told = self._context.forward(incoming, transfer.payer_fsp, transfer.lane, identifier=identifier)
        else:
            told = self._state_of(transfer, transfer.payer(), "PUT")
        return self._context.under_case([told], transfer.case)

    def _told_payee(self, transfer: Transfer) -> list[Outgoing]:
        """Tell the payee a final state: PATCH if it waits for one, else only of a failure."""
        if transfer.payee_waits:
            if transfer.case is not None and transfer.case.behaviour == "unnotified":
                return []
            return [self._state_of(transfer, transfer.payee(), "PATCH")]
        if transfer.state == "ABORTED":
            notified = self._context.voice.manner.commit_error_notification
            return [self._failure_of(transfer, transfer.payee(), "PATCH" if notified else "PUT")]
        return []

    def _told_failure(self, transfer: Transfer) -> list[Outgoing]:
        """Tell the payer why."""
        return self._context.under_case([self._failure_of(transfer, transfer.payer(), "PUT")], transfer.case)

    def _state_of(self, transfer: Transfer, to: Addressee, method: str) -> Outgoing:
        body: dict[str, Any] = {"transferState": transfer.state}
        if transfer.state != "RESERVED":
            body = {"completedTimestamp": iso(transfer.completed_at_ms), **body}
        if transfer.state == "COMMITTED" and method == "PUT":
            body = {"fulfilment": transfer.fulfilment, **body}
        message = self._context.voice.say(to, method, f"/transfers/{transfer.transfer_id}", body)
        return self._with_weather(message, transfer)

    def _failure_of(self, transfer: Transfer, to: Addressee, method: str) -> Outgoing:
        failure = transfer.failure or EXPIRED
        path = f"/transfers/{transfer.transfer_id}"
        message = self._context.voice.refuse(to, path, failure.error_code, failure.description, method)
        return self._with_weather(message, transfer)

    def _with_weather(self, message: Outgoing, transfer: Transfer) -> Outgoing:
        return msgspec.structs.replace(message, copies=self._context.copies(transfer.payee_identifier))
