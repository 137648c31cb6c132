"""Currency conversion: services, and the provider's leg of a payment (FSPIOP 2.0).

A conversion is committed with the transfer that determines it: the payer's source amount goes to the
provider, and the provider, not the payer, pays the target amount.
"""

import hashlib
from typing import Any, Final

from payhub_platform.clock import iso
from payhub_platform.money import Money
from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.contents import FxPrepare
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.message import Addressee, Incoming, Outgoing
from payhub_sandbox.switch.rates import providers
from payhub_sandbox.switch.refusal import (
    MODIFIED_REQUEST,
    PAYEE_ERROR,
    PAYEE_FSP_REJECTED,
    TRANSFER_NOT_FOUND,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.target import Target
from payhub_sandbox.switch.transfers import EXPIRED, LIFETIME_MS_MAX, Failure, Transfer, TransferBook

_WRONG_FULFILMENT: Final = Failure(PAYEE_ERROR, "The provider's fulfilment does not fit the condition.")
_TRANSFER_FAILED: Final = Failure(PAYEE_FSP_REJECTED, "The transfer that needed the conversion was aborted.")

_TRANSFER_TAKEN: Final = Failure(MODIFIED_REQUEST, "Another conversion is for this transfer.")


class Conversion(Transfer, kw_only=True):
    """A conversion: as a transfer it is the source amount on its way from the payer to the provider.

    Attributes:
        target_amount: what the provider pays instead of the payer.
        determining_transfer_id: the transfer that it is for, or empty: then it is final by itself.
    """

    target_amount: Money
    determining_transfer_id: str

    @property
    def ready(self) -> bool:
        """Whether the provider has fulfilled, and the transfer may use it."""
        return self.state == "RESERVED" and bool(self.fulfilment)


class Conversions:
    """Decides fxTransfers, and answers which providers there are."""

    def __init__(self, context: SwitchContext, book: TransferBook, transfers: TransferBook) -> None:
        self._context = context
        self._transfers = transfers
        self._by_transfer: dict[tuple[str, str], Conversion] = {}
        self.book = book

    def services(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /services/FXP[/{Source}/{Target}]: name the providers."""
        found = providers(*target.ids[1:]) if len(target.ids) > 1 else providers()
        active = [one for one in found if self._context.participants.get(one) is not None]
        to = self._context.addressee(incoming, self._context.lane(incoming, target.key))
        return [self._context.voice.say(to, "PUT", incoming.path, {"providers": active})]

    def prepare(self, incoming: Incoming, _target: Target) -> list[Outgoing]:
        """POST /fxTransfers: reserve the source amount and pass the conversion on to the provider."""
        conversion = self._new_conversion(bodies.read(bodies.fx_prepares, incoming.body), incoming)
        known = self.book.get(conversion.transfer_id)
        if known is not None:
            return self._repeat(known, conversion)
        now_ms = self._context.clock()
        case = conversion.case
        failure = self.book.obstacle(conversion, now_ms)
        if (conversion.payer_fsp, conversion.determining_transfer_id) in self._by_transfer:
            failure = _TRANSFER_TAKEN
        if case is not None and case.behaviour == "error":
            failure = Failure(case.error_code, "Forced by the amount.")
        if failure is not None:
            self.book.refuse(conversion, failure, now_ms)
            return [self._failure_of(conversion, conversion.payer())]
        self.book.reserve(conversion)
        if conversion.determining_transfer_id:
            self._by_transfer[conversion.payer_fsp, conversion.determining_transfer_id] = conversion
        forwarded = self._context.forward(incoming, conversion.payee_fsp, conversion.lane)
        return self._context.passed_on(forwarded, case)

    def fulfil(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /fxTransfers/{ID} of the provider: the source amount stays reserved until the transfer ends."""
        message = bodies.read(bodies.fx_fulfils, incoming.body)
        if message.conversion_state not in ("RESERVED", "COMMITTED"):
            raise FspiopRefusalError(VALIDATION_ERROR, "conversionState must be RESERVED or COMMITTED.")
        fulfilment = bodies.hash_text(message.fulfilment or "", "fulfilment")
        conversion = self._of_provider(incoming, target)
        if isinstance(conversion, Outgoing):
            return [conversion]
        if conversion.state != "RESERVED":
            return [self._state_of(conversion, conversion.payee(), "PATCH")]
        now_ms = self._context.clock()
        failure = EXPIRED if now_ms > conversion.expires_at_ms else None
        failure = failure or (None if opens(conversion.condition, fulfilment) else _WRONG_FULFILMENT)
        if failure is not None:
            self._forget(conversion)
            self.book.abort(conversion, failure, now_ms)
            return self._told_both(conversion)
        conversion.fulfilment = fulfilment
        if not conversion.determining_transfer_id:  # nothing else would make it final
            self.book.commit(conversion, fulfilment, now_ms)
            told = [self._state_of(conversion, conversion.payer(), "PUT")]
            told = self._context.under_case(told, conversion.case)
            return [*told, self._state_of(conversion, conversion.payee(), "PATCH")]
        forwarded = self._context.forward(incoming, conversion.payer_fsp, conversion.lane)
        return self._context.under_case([forwarded], conversion.case)

    def fail(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /fxTransfers/{ID}/error of the provider: give the reservation back and tell the payer."""
        information = bodies.read(bodies.errors, incoming.body).error_information
        conversion = self._of_provider(incoming, target)
        if isinstance(conversion, Outgoing):
            return [conversion]
        if conversion.state != "RESERVED" or conversion.ready:
            return [self._state_of(conversion, conversion.payee(), "PATCH")]
        self._forget(conversion)
        failure = Failure(information.error_code, information.error_description)
        self.book.abort(conversion, failure, self._context.clock())
        return [self._failure_of(conversion, conversion.payer())]

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /fxTransfers/{ID}: tell the payer or the provider the state."""
        conversion = self.book.get(target.key)
        if not isinstance(conversion, Conversion) or incoming.source not in (
            conversion.payer_fsp,
            conversion.payee_fsp,
        ):
            return [self._unknown(incoming, target)]
        to = self._context.addressee(incoming, conversion.lane)
        return [self._state_of(conversion, to, "PUT")]

    def debtor_of(self, transfer: Transfer) -> str:
        """Return who pays a new transfer: the provider of its conversion, or the payer."""
        conversion = self._by_transfer.get((transfer.payer_fsp, transfer.transfer_id))
        if conversion is not None and conversion.ready and conversion.target_amount == transfer.amount:
            return conversion.payee_fsp
        return transfer.payer_fsp

    def finish(self, transfer: Transfer) -> list[Outgoing]:
        """End the conversion of a transfer that is final now, in the same step; tell the provider."""
        conversion = self._by_transfer.pop((transfer.payer_fsp, transfer.transfer_id), None)
        if conversion is None:
            return []
        now_ms = self._context.clock()
        if transfer.state == "COMMITTED" and transfer.debtor == conversion.payee_fsp:
            self.book.commit(conversion, conversion.fulfilment, now_ms)
        else:
            self.book.abort(conversion, _TRANSFER_FAILED, now_ms)
        return [self._state_of(conversion, conversion.payee(), "PATCH")]

    def expire(self, limit: int) -> list[Outgoing]:
        """Abort what has expired, unless its transfer is under way: then it ends with that."""
        messages: list[Outgoing] = []
        now_ms = self._context.clock()
        for _ in range(limit):
            conversion = self.book.expired(now_ms)
            if not isinstance(conversion, Conversion):
                break
            transfer = self._transfers.get(conversion.determining_transfer_id)
            if transfer is not None and transfer.state == "RESERVED":
                self.book.postpone(conversion, max(now_ms, transfer.expires_at_ms) + 1)
                continue
            self._forget(conversion)
            self.book.abort(conversion, EXPIRED, now_ms)
            messages.extend(self._told_both(conversion))
        return messages

    def _new_conversion(self, prepare: FxPrepare, incoming: Incoming) -> Conversion:
        key = bodies.correlation_id(incoming, prepare.commit_request_id, "commitRequestId")
        determining = prepare.determining_transfer_id
        if determining is not None:
            bodies.correlation_id(incoming, determining, "determiningTransferId")
        if prepare.initiating_fsp != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "initiatingFsp must be the FSPIOP-Source.")
        if prepare.counter_party_fsp != incoming.destination:
            raise FspiopRefusalError(VALIDATION_ERROR, "counterPartyFsp must be the FSPIOP-Destination.")
        source = bodies.money(prepare.source_amount, "sourceAmount")
        target = bodies.money(prepare.target_amount, "targetAmount")
        expires_at_ms = self._context.clock() + LIFETIME_MS_MAX
        if prepare.expiration is not None:
            expires_at_ms = bodies.moment(prepare.expiration, "expiration")
        lane = self._context.lane(incoming, key)
        version = self._context.addressee(incoming, lane).version
        return Conversion(
            transfer_id=key,
            payer_fsp=prepare.initiating_fsp,
            payee_fsp=prepare.counter_party_fsp,
            debtor=prepare.initiating_fsp,
            amount=source,
            condition=bodies.hash_text(prepare.condition, "condition"),
            expires_at_ms=expires_at_ms,
            fingerprint=hashlib.sha256(incoming.body).digest(),
            lane=lane,
            trace=incoming.trace,
            payer_version=version,
            payee_version=version,
            case=self._context.forced.find("fxTransfers", [source], []),
            target_amount=target,
            determining_transfer_id=determining or "",
        )

    def _repeat(self, known: Transfer, again: Conversion) -> list[Outgoing]:
        if (known.payer_fsp, known.fingerprint) != (again.payer_fsp, again.fingerprint):
            text = "Another conversion has this commitRequestId."
            path = f"/fxTransfers/{again.transfer_id}"
            return [self._context.voice.refuse(again.payer(), path, MODIFIED_REQUEST, text)]
        if known.state == "ABORTED":
            return [self._failure_of(known, known.payer())]
        if known.fulfilment:
            return [self._state_of(known, known.payer(), "PUT")]
        return []

    def _forget(self, conversion: Conversion) -> None:
        """Let no transfer use a conversion that ends."""
        self._by_transfer.pop((conversion.payer_fsp, conversion.determining_transfer_id), None)

    def _of_provider(self, incoming: Incoming, target: Target) -> Conversion | Outgoing:
        conversion = self.book.get(target.key)
        if not isinstance(conversion, Conversion) or conversion.payee_fsp != incoming.source:
            return self._unknown(incoming, target)
        conversion.payee_version = self._context.addressee(incoming, conversion.lane).version
        return conversion

    def _unknown(self, incoming: Incoming, target: Target) -> Outgoing:
        to = self._context.addressee(incoming, self._context.lane(incoming, target.key))
        path = f"/fxTransfers/{target.key}"
        return self._context.voice.refuse(
            to, path, TRANSFER_NOT_FOUND, "There is no such conversion of yours."
        )

    def _told_both(self, conversion: Conversion) -> list[Outgoing]:
        return [
            *self._context.under_case([self._failure_of(conversion, conversion.payer())], conversion.case),
            self._state_of(conversion, conversion.payee(), "PATCH"),
        ]

    def _state_of(self, conversion: Transfer, to: Addressee, method: str) -> Outgoing:
        body: dict[str, Any] = {"conversionState": conversion.state}
        if conversion.state != "RESERVED":
            body = {"completedTimestamp": iso(conversion.completed_at_ms), **body}
        if conversion.fulfilment and method == "PUT" and conversion.state != "ABORTED":
            body = {"fulfilment": conversion.fulfilment, **body}
        return self._context.voice.say(to, method, f"/fxTransfers/{conversion.transfer_id}", body)

    def _failure_of(self, conversion: Transfer, to: Addressee) -> Outgoing:
        failure = conversion.failure or EXPIRED
        path = f"/fxTransfers/{conversion.transfer_id}"
        return self._context.voice.refuse(to, path, failure.error_code, failure.description)
