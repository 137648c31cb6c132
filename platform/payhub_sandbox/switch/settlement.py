"""Transfers: reserve, fulfil, abort, expire, and tell (FSPIOP 1.1 section 6.7)."""

import base64
import hashlib
from typing import Any, Final

import msgspec

from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import TransferFulfil, TransferPrepare
from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import (
    MODIFIED_REQUEST,
    PAYEE_ERROR,
    PAYEE_FSP_NOT_FOUND,
    PAYER_FSP_INSUFFICIENT_LIQUIDITY,
    TRANSFER_EXPIRED,
    TRANSFER_NOT_FOUND,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.target import Target
from payhub_sandbox.switch.transfers import EXPIRED, Failure, Transfer, TransferBook

LIFETIME_MS_MAX: Final = 24 * 3600 * 1000

_WRONG_FULFILMENT: Final = Failure(PAYEE_ERROR, "The payee's fulfilment does not fit the condition.")


class Settlement:
    """Decides transfers; positions change only through the book."""

    def __init__(self, context: SwitchContext) -> None:
        self._context = context
        self.book = TransferBook(context.participants)

    def prepare(self, incoming: Incoming, _target: Target) -> list[Outgoing]:
        """POST /transfers: reserve the payer's position and pass the transfer on to the payee."""
        prepare = bodies.read(bodies.prepares, incoming.body)
        transfer = self._new_transfer(prepare, incoming)
        known = self.book.get(transfer.transfer_id)
        if known is not None:
            return self._repeat(known, transfer)
        now_ms = self._context.clock()
        failure = self._obstacle(transfer, now_ms)
        if failure is not None:
            self.book.refuse(transfer, failure, now_ms)
            return [self._tell_failure(transfer, transfer.payer_fsp)]
        self.book.reserve(transfer)
        delay_ms = self._context.weather.rule_for(transfer.payee_identifier).delay_transfer_ms
        forwarded = self._context.forward(
            incoming,
            transfer.payee_fsp,
            transfer.lane,
            identifier=transfer.payee_identifier,
            delay_ms=delay_ms,
        )
        return [forwarded]

    def fulfil(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /transfers/{ID} of the payee: commit when the fulfilment opens the condition in time."""
        message = bodies.read(bodies.fulfils, incoming.body)
        if message.transfer_state not in ("RESERVED", "COMMITTED"):
            raise FspiopRefusalError(VALIDATION_ERROR, "transferState must be RESERVED or COMMITTED.")
        fulfilment = bodies.hash_text(message.fulfilment or "", "fulfilment")
        transfer = self._of_payee(incoming, target)
        if isinstance(transfer, Outgoing):
            return [transfer]
        now_ms = self._context.clock()
        transfer.payee_waits = transfer.payee_waits or message.transfer_state == "RESERVED"
        if transfer.state != "RESERVED":
            return self._tell_payee(transfer)
        failure = None
        if now_ms > transfer.expires_at_ms:
            failure = EXPIRED
        elif not opens(transfer.condition, fulfilment):
            failure = _WRONG_FULFILMENT
        if failure is not None:
            self.book.abort(transfer, failure, now_ms)
            return [self._tell_failure(transfer, transfer.payer_fsp), *self._tell_payee(transfer)]
        self.book.commit(transfer, fulfilment, now_ms)
        return [*self._committed_to_payer(transfer, message, incoming), *self._tell_payee(transfer)]

    def fail(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /transfers/{ID}/error of the payee: give the reservation back and tell the payer."""
        information = bodies.read(bodies.errors, incoming.body).error_information
        transfer = self._of_payee(incoming, target)
        if isinstance(transfer, Outgoing):
            return [transfer]
        if transfer.state != "RESERVED":
            return self._tell_payee(transfer) if transfer.state == "COMMITTED" else []
        failure = Failure(information.error_code, information.error_description)
        self.book.abort(transfer, failure, self._context.clock())
        if incoming.destination != transfer.payer_fsp:
            return [self._tell_failure(transfer, transfer.payer_fsp)]
        identifier = transfer.payee_identifier
        return [self._context.forward(incoming, transfer.payer_fsp, transfer.lane, identifier=identifier)]

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /transfers/{ID}: tell the payer or the payee the state; 3208 where it is not theirs."""
        transfer = self.book.get(target.key)
        if transfer is None or incoming.source not in (transfer.payer_fsp, transfer.payee_fsp):
            return [self._unknown(incoming, target)]
        return [self._tell_state(transfer, incoming.source, "PUT")]

    def expire(self, limit: int) -> list[Outgoing]:
        """Abort what has expired, at most ``limit`` transfers; both DFSPs are told 3303."""
        messages = []
        for transfer in self.book.expire(self._context.clock(), limit):
            messages.append(self._tell_failure(transfer, transfer.payer_fsp))
            messages.extend(self._tell_payee(transfer))
        return messages

    def _new_transfer(self, prepare: TransferPrepare, incoming: Incoming) -> Transfer:
        transfer_id = bodies.correlation_id(prepare.transfer_id, "transferId")
        bodies.ilp_packet(prepare.ilp_packet, "ilpPacket")
        if prepare.payer_fsp != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "payerFsp must be the FSPIOP-Source.")
        if prepare.payee_fsp != incoming.destination:
            raise FspiopRefusalError(VALIDATION_ERROR, "payeeFsp must be the FSPIOP-Destination.")
        condition = bodies.hash_text(prepare.condition, "condition")
        return Transfer(
            transfer_id=transfer_id,
            payer_fsp=prepare.payer_fsp,
            payee_fsp=prepare.payee_fsp,
            amount=bodies.money(prepare.amount, "amount"),
            condition=condition,
            expires_at_ms=bodies.moment(prepare.expiration, "expiration"),
            fingerprint=hashlib.sha256(incoming.body).digest(),
            lane=self._context.lane(incoming, transfer_id),
            trace=incoming.trace,
            payee_identifier=self._context.weather.identifier(condition),
        )

    def _obstacle(self, transfer: Transfer, now_ms: int) -> Failure | None:
        """Return why a new transfer cannot be reserved, or None."""
        payer = self._context.participants.get(transfer.payer_fsp)
        payee = self._context.participants.get(transfer.payee_fsp)
        if payee is None or payer is None:
            return Failure(PAYEE_FSP_NOT_FOUND, "payeeFsp is no participant.")
        if (
            transfer.amount.currency not in (payer.currency, payee.currency)
            or payer.currency != payee.currency
        ):
            return Failure(VALIDATION_ERROR, "Payer and payee do not share the transfer's currency.")
        if transfer.expires_at_ms <= now_ms:
            return Failure(TRANSFER_EXPIRED, "The transfer had expired when it was received.")
        if transfer.expires_at_ms > now_ms + LIFETIME_MS_MAX:
            return Failure(VALIDATION_ERROR, "A transfer expires within 24 hours.")
        if not payer.has_liquidity(transfer.amount):
            return Failure(PAYER_FSP_INSUFFICIENT_LIQUIDITY, "The net debit cap would be exceeded.")
        return None

    def _repeat(self, known: Transfer, again: Transfer) -> list[Outgoing]:
        """Answer a transfer id that is known: the same answer again, or 3106 for another body."""
        if (known.payer_fsp, known.fingerprint) != (again.payer_fsp, again.fingerprint):
            refusal = self._context.voice.refuse(
                again.payer_fsp,
                f"/transfers/{again.transfer_id}",
                MODIFIED_REQUEST,
                "Another transfer has this transferId.",
                lane=again.lane,
                trace=again.trace,
            )
            return [refusal]
        if known.state == "RESERVED":
            return []
        if known.state == "ABORTED":
            return [self._tell_failure(known, known.payer_fsp)]
        return [self._tell_state(known, known.payer_fsp, "PUT")]

    def _of_payee(self, incoming: Incoming, target: Target) -> Transfer | Outgoing:
        """Return the transfer that the source is the payee of, or the 3208 it is told instead."""
        transfer = self.book.get(target.key)
        if transfer is None or transfer.payee_fsp != incoming.source:
            return self._unknown(incoming, target)
        return transfer

    def _unknown(self, incoming: Incoming, target: Target) -> Outgoing:
        return self._context.voice.refuse(
            incoming.source,
            f"/transfers/{target.key}",
            TRANSFER_NOT_FOUND,
            "There is no such transfer of yours.",
            lane=self._context.lane(incoming, target.key),
            trace=incoming.trace,
        )

    def _committed_to_payer(
        self, transfer: Transfer, message: TransferFulfil, incoming: Incoming
    ) -> list[Outgoing]:
        """Tell the payer: the payee's own message, or the switch's when the payee had said RESERVED."""
        if self._context.weather.take_drop(transfer.payee_identifier):
            return []
        if message.transfer_state == "COMMITTED" and incoming.destination == transfer.payer_fsp:
            identifier = transfer.payee_identifier
            return [self._context.forward(incoming, transfer.payer_fsp, transfer.lane, identifier=identifier)]
        return [self._tell_state(transfer, transfer.payer_fsp, "PUT")]

    def _tell_payee(self, transfer: Transfer) -> list[Outgoing]:
        """Tell the payee a final state: PATCH if it waits for one, else only of a failure."""
        if transfer.payee_waits:
            return [self._tell_state(transfer, transfer.payee_fsp, "PATCH")]
        if transfer.state == "ABORTED":
            return [self._tell_failure(transfer, transfer.payee_fsp)]
        return []

    def _tell_state(self, transfer: Transfer, destination: str, method: str) -> Outgoing:
        body: dict[str, Any] = {"transferState": transfer.state}
        if transfer.state != "RESERVED":
            body = {"completedTimestamp": iso(transfer.completed_at_ms), **body}
        if transfer.state == "COMMITTED" and method == "PUT":
            body = {"fulfilment": transfer.fulfilment, **body}
        return self._say(transfer, destination, method, bodies.compact(body))

    def _tell_failure(self, transfer: Transfer, destination: str) -> Outgoing:
        failure = transfer.failure or EXPIRED
        message = self._context.voice.refuse(
            destination,
            f"/transfers/{transfer.transfer_id}",
            failure.error_code,
            failure.description,
            lane=transfer.lane,
            trace=transfer.trace,
        )
        return self._with_weather(message, transfer)

    def _say(self, transfer: Transfer, destination: str, method: str, body: bytes) -> Outgoing:
        message = self._context.voice.say(
            destination,
            method,
            f"/transfers/{transfer.transfer_id}",
            body,
            lane=transfer.lane,
            trace=transfer.trace,
        )
        return self._with_weather(message, transfer)

    def _with_weather(self, message: Outgoing, transfer: Transfer) -> Outgoing:
        return msgspec.structs.replace(message, copies=self._context.copies(transfer.payee_identifier))


def opens(condition: str, fulfilment: str) -> bool:
    """Tell whether SHA-256 of the fulfilment is the condition (FSPIOP 1.1 section 6.5.2.3)."""
    preimage = base64.urlsafe_b64decode(fulfilment + "=")
    return base64.urlsafe_b64encode(hashlib.sha256(preimage).digest()).rstrip(b"=").decode() == condition
