"""The test DFSP as the payee's side: it finds members, quotes, fulfils, and credits what is committed."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock, iso
from payhub_platform.money import Money
from payhub_sandbox.residents import ilp
from payhub_sandbox.residents.amounts import fspiop_amount, read_amount
from payhub_sandbox.residents.member import CURRENCIES, Member
from payhub_sandbox.residents.speaker import Speaker
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import (
    BULK_QUOTE_NOT_FOUND,
    MODIFIED_REQUEST,
    PARTY_NOT_FOUND,
    PAYEE_UNSUPPORTED_CURRENCY,
    QUOTE_EXPIRED,
    QUOTE_NOT_FOUND,
    TRANSACTION_NOT_FOUND,
    error_information,
)

QUOTE_LIFETIME_MS: Final = 60_000
REMEMBERED_MAX: Final = 20_000
OTP: Final = "1234"


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """A quote that was given."""

    member: Member
    amount: Money
    expires_at_ms: int
    packet: str
    condition: str
    answer: dict[str, Any]
    transaction_id: str


class Credit(msgspec.Struct, kw_only=True):
    """A transfer that was fulfilled; it is credited when the switch says COMMITTED."""

    member: Member
    amount: Money
    fulfilment: str
    transaction_id: str
    bulk_id: str = ""
    state: str = "RESERVED"


class PayeeSide:
    """Answers what a payee's DFSP is asked."""

    def __init__(self, speaker: Speaker, clock: Clock, members: Mapping[str, Member]) -> None:
        self._speaker = speaker
        self._clock = clock
        self._members = members
        self._secret = secrets.token_bytes(32)
        self._quotes: OrderedDict[str, Quoted] = OrderedDict()
        self._by_packet: OrderedDict[str, Quoted] = OrderedDict()
        self._bulk_quotes: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._credits: OrderedDict[str, Credit] = OrderedDict()

    def credits(self) -> dict[str, Credit]:
        """Return what was fulfilled, by transfer id."""
        return dict(self._credits)

    def find(self, message: Outgoing, key: str) -> Incoming:
        """GET /parties: tell the member."""
        member = self._members.get(key)
        if member is None:
            return self._speaker.refuse(message, PARTY_NOT_FOUND, "There is no such member.")
        return self._speaker.answer(message, {"party": self._party(member)})

    def quote(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        """POST /quotes: no fees; a repeat gets the same answer."""
        path = f"/quotes/{body['quoteId']}"
        quoted = self._quotes.get(body["quoteId"])
        if quoted is None:
            given = self._new_quote(body)
            if isinstance(given, tuple):
                return self._speaker.refuse(message, *given, path)
            quoted = given
            _remember(self._quotes, body["quoteId"], quoted)
        return self._speaker.answer(message, quoted.answer, path)

    def quote_again(self, message: Outgoing, quote_id: str) -> Incoming:
        """GET /quotes/{ID}."""
        quoted = self._quotes.get(quote_id)
        if quoted is None:
            return self._speaker.refuse(message, QUOTE_NOT_FOUND, "Nothing was quoted with this id.")
        return self._speaker.answer(message, quoted.answer)

    def quote_bulk(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        """POST /bulkQuotes: each quote for itself."""
        rows = []
        for one in body["individualQuotes"]:
            given = self._new_quote(one | {"payer": body["payer"]})
            if isinstance(given, tuple):
                rows.append({"quoteId": one["quoteId"], **error_information(*given)})
                continue
            _remember(self._quotes, one["quoteId"], given)
            terms = {name: value for name, value in given.answer.items() if name != "expiration"}
            rows.append({"quoteId": one["quoteId"], **terms})
        answer = {
            "individualQuoteResults": rows,
            "expiration": iso(self._clock() + QUOTE_LIFETIME_MS),
        }
        _remember(self._bulk_quotes, body["bulkQuoteId"], answer)
        return self._speaker.answer(message, answer, f"/bulkQuotes/{body['bulkQuoteId']}")

    def quote_bulk_again(self, message: Outgoing, bulk_quote_id: str) -> Incoming:
        """GET /bulkQuotes/{ID}."""
        answer = self._bulk_quotes.get(bulk_quote_id)
        if answer is None:
            return self._speaker.refuse(message, BULK_QUOTE_NOT_FOUND, "Nothing was quoted with this id.")
        return self._speaker.answer(message, answer)

    def fulfil(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        """POST /transfers: reserve and fulfil what was quoted; a repeat gets the same answer."""
        transfer_id = body["transferId"]
        path = f"/transfers/{transfer_id}"
        credit = self._credits.get(transfer_id)
        if credit is None:
            given = self._new_credit(body["amount"], body["condition"], body["ilpPacket"])
            if isinstance(given, tuple):
                return self._speaker.refuse(message, *given, path)
            credit = given
            _remember(self._credits, transfer_id, credit)
        state = {"fulfilment": credit.fulfilment, "transferState": "RESERVED"}
        return self._speaker.answer(message, state, path)

    def fulfil_bulk(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        """POST /bulkTransfers: each transfer for itself; no PATCH follows, so it is credited at once."""
        rows = []
        for one in body["individualTransfers"]:
            transfer_id = one["transferId"]
            known = self._credits.get(transfer_id)
            given = known or self._new_credit(one["transferAmount"], one["condition"], one["ilpPacket"])
            if isinstance(given, tuple):
                rows.append({"transferId": transfer_id, **error_information(*given)})
                continue
            given.bulk_id = body["bulkTransferId"]
            _remember(self._credits, transfer_id, given)
            self._settle(given, "COMMITTED")
            rows.append({"transferId": transfer_id, "fulfilment": given.fulfilment})
        answer = {"bulkTransferState": "COMPLETED", "individualTransferResults": rows}
        answer["completedTimestamp"] = iso(self._clock())
        return self._speaker.answer(message, answer, f"/bulkTransfers/{body['bulkTransferId']}")

    def notified(self, transfer_id: str, state: str) -> list[Incoming]:
        """PATCH /transfers/{ID}, or its /error form: credit or forget, once."""
        credit = self._credits.get(transfer_id)
        if credit is not None and state in ("COMMITTED", "ABORTED"):
            self._settle(credit, state)
        return []

    def transaction(self, message: Outgoing, transaction_id: str) -> Incoming:
        """GET /transactions/{ID}: tell what became of a transaction that was paid for."""
        found = (one for one in self._credits.values() if one.transaction_id == transaction_id)
        credit = next(found, None)
        if credit is None:
            return self._speaker.refuse(message, TRANSACTION_NOT_FOUND, "There is no such transaction.")
        states = {"RESERVED": "PENDING", "COMMITTED": "COMPLETED", "ABORTED": "REJECTED"}
        return self._speaker.answer(message, {"transactionState": states[credit.state]})

    def bulk_failed(self, bulk_id: str) -> None:
        """PUT /bulkTransfers/{ID}/error: the switch did not take the results; take the credits back."""
        for credit in self._credits.values():
            if credit.bulk_id == bulk_id and credit.state == "COMMITTED":
                credit.state = "ABORTED"
                credit.member.book(credit.amount.currency, -credit.amount.minor)

    def enter_otp(self, message: Outgoing) -> Incoming:
        """GET /authorizations/{ID}: the member always enters the same code."""
        info = {"authentication": "OTP", "authenticationValue": OTP}
        return self._speaker.answer(message, {"authenticationInfo": info, "responseType": "ENTERED"})

    def _new_quote(self, body: dict[str, Any]) -> Quoted | tuple[str, str]:
        """Return a quote, or error code and description."""
        payee = body["payee"]["partyIdInfo"]
        sub_id = payee.get("partySubIdOrType")
        key = "/".join([payee["partyIdType"], payee["partyIdentifier"], *([sub_id] if sub_id else [])])
        member = self._members.get(key)
        amount = read_amount(body["amount"])
        if member is None:
            return PARTY_NOT_FOUND, "There is no such member."
        if amount.currency not in CURRENCIES:
            return PAYEE_UNSUPPORTED_CURRENCY, "Members have no account in this currency."
        expires_at_ms = self._clock() + QUOTE_LIFETIME_MS
        transaction: dict[str, Any] = {
            name: body[name]
            for name in ("quoteId", "transactionId", "transactionType", "payee", "payer")
            if name in body
        }
        transaction |= {"expiration": iso(expires_at_ms), "amount": body["amount"]}
        address = f"g.{self._speaker.fsp_id}.{key.replace('/', '.').lower()}"
        packet = ilp.packet(amount, address, transaction)
        condition = ilp.condition_for(self._secret, packet)
        answer = {
            "transferAmount": fspiop_amount(amount),
            "payeeReceiveAmount": fspiop_amount(amount),
            "expiration": iso(expires_at_ms),
            "ilpPacket": packet,
            "condition": condition,
        }
        quoted = Quoted(
            member=member,
            amount=amount,
            expires_at_ms=expires_at_ms,
            packet=packet,
            condition=condition,
            answer=answer,
            transaction_id=body["transactionId"],
        )
        _remember(self._by_packet, packet, quoted)
        return quoted

    def _new_credit(self, amount: dict[str, Any], condition: str, packet: str) -> Credit | tuple[str, str]:
        """Return what is to be credited, or error code and description."""
        quoted = self._by_packet.get(packet)
        if quoted is None:
            return QUOTE_NOT_FOUND, "The ILP packet is of no quote that was given."
        if quoted.condition != condition or quoted.amount != read_amount(amount):
            return MODIFIED_REQUEST, "Amount or condition are not the quote's."
        if quoted.expires_at_ms < self._clock():
            return QUOTE_EXPIRED, "The quote has expired."
        fulfilment = ilp.fulfilment_of(self._secret, packet)
        return Credit(
            member=quoted.member,
            amount=quoted.amount,
            fulfilment=fulfilment,
            transaction_id=quoted.transaction_id,
        )

    @staticmethod
    def _settle(credit: Credit, state: str) -> None:
        if credit.state == "RESERVED":
            credit.state = state
            if state == "COMMITTED":
                credit.member.book(credit.amount.currency, credit.amount.minor)

    def _party(self, member: Member) -> dict[str, Any]:
        info = {
            "partyIdType": member.identifier_type,
            "partyIdentifier": member.identifier,
            "fspId": self._speaker.fsp_id,
        }
        if member.sub_id:
            info["partySubIdOrType"] = member.sub_id
        return {"partyIdInfo": info, "name": member.name}


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    if len(known) > REMEMBERED_MAX:
        known.popitem(last=False)
