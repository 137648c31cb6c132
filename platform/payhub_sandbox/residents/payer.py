"""The test DFSP as the payer's side: it pays when it is told to, or asked to by a request to pay."""

import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote as percent_encoded

import msgspec

from payhub_platform.clock import Clock, iso
from payhub_platform.errors import InvalidInputError, NotFoundError, UnavailableError
from payhub_platform.money import Money
from payhub_sandbox.residents.amounts import fspiop_amount, read_amount
from payhub_sandbox.residents.member import Member
from payhub_sandbox.residents.payee import OTP
from payhub_sandbox.residents.speaker import Line, Speaker, line_back
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import PARTY_NOT_FOUND, TRANSACTION_REQUEST_NOT_FOUND
from payhub_sandbox.switch.target import PARTY_TYPES
from payhub_sandbox.switch.versions import Version

PAYMENTS_MAX: Final = 10_000
TRANSFER_LIFETIME_MS: Final = 30_000
NOT_ENOUGH: Final = "4200"  # payer limit error, section 7.6

State = Literal["LOOKING_UP", "REQUESTED", "QUOTING", "AUTHORIZING", "TRANSFERRING", "COMMITTED", "REFUSED"]


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What an integrator tells the test DFSP to do.

    Attributes:
        kind: ``transfer``: a member of the test DFSP pays; ``request-to-pay``: it asks to be paid.
        party_type: of the other party, a member of the DFSP under test.
        party_id: such as an MSISDN.
        sub_id: of a till, or left out.
        amount: decimal text, as FSPIOP writes it.
        member: of the test DFSP, as Type/ID.
        otp: a request to pay asks for authentication by OTP.
    """

    kind: Literal["transfer", "request-to-pay"] = "transfer"
    party_type: str = "MSISDN"
    party_id: str
    sub_id: str | None = None
    amount: str
    currency: str = "KES"
    member: str = "MSISDN/254700900002"
    version: Version = "1.1"
    otp: bool = False


class Payment(msgspec.Struct, kw_only=True):
    """A payment or a request to pay of the test DFSP.

    Attributes:
        peer: the other DFSP, once it is known.
        request_id: of the request to pay that it answers or is, or empty.
        error_code: why it was refused.
    """

    payment_id: str
    kind: Literal["transfer", "request-to-pay", "asked-to-pay"]
    member: Member
    party: dict[str, Any]
    amount: Money
    version: Version
    otp: bool
    transaction_id: str
    quote_id: str
    transfer_id: str
    state: State = "LOOKING_UP"
    peer: str = ""
    trace: str = ""
    request_id: str = ""
    condition: str = ""
    packet: str = ""
    transfer_amount: Money | None = None
    error_code: str = ""

    @property
    def line(self) -> Line:
        """The line to the other DFSP."""
        return Line(to=self.peer, version=self.version, trace=self.trace)


class PayerSide:
    """Goes through look-up, quote and transfer, one answer at a time."""

    def __init__(self, speaker: Speaker, clock: Clock, members: Mapping[str, Member]) -> None:
        self._speaker = speaker
        self._clock = clock
        self._members = members
        self._payments: dict[str, Payment] = {}
        self._by_id: dict[str, Payment] = {}  # by quote, transfer and request id
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()  # to requests to pay

    def payments(self) -> list[Payment]:
        """Return all payments, oldest first."""
        return list(self._payments.values())

    def order(self, order: Order) -> tuple[Payment, list[Incoming]]:
        """Begin what an integrator wants; the first message looks the other party up.

        Raises:
            InvalidInputError: codes ``invalid-amount`` and ``unknown-party-type``.
            NotFoundError: code ``unknown-member``.
            UnavailableError: code ``too-many-payments``.
        """
        member = self._members.get(order.member)
        if member is None:
            raise NotFoundError("unknown-member", "The test DFSP has no such member.", "/member")
        if order.party_type not in PARTY_TYPES:
            raise InvalidInputError("unknown-party-type", "FSPIOP has no such type.", "/partyType")
        amount = Money.parse(order.amount, order.currency)
        if amount.minor == 0:
            raise InvalidInputError("invalid-amount", "The amount must be more than zero.", "/amount")
        party = {"partyIdType": order.party_type, "partyIdentifier": order.party_id}
        if order.sub_id:
            party["partySubIdOrType"] = order.sub_id
        payment = self._new(order.kind, member, party, amount, order.version, otp=order.otp)
        path = _party_path(party)
        # A trace of its own: two look-ups of one party within a second are else the same one, sent again.
        trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
        return payment, [self._speaker.say(Line(to="", version=order.version, trace=trace), "GET", path)]

    def ask(self, payment_id: str) -> list[Incoming]:
        """Ask the switch what became of a transfer that was sent.

        Raises:
            NotFoundError: code ``unknown-payment``.
        """
        payment = self._payments.get(payment_id)
        if payment is None:
            raise NotFoundError("unknown-payment", "The test DFSP has no such payment.")
        if payment.state != "TRANSFERRING":
            return []
        return [self._speaker.say(payment.line, "GET", f"/transfers/{payment.transfer_id}")]

    def asked_to_pay(self, message: Outgoing, body: dict[str, Any]) -> list[Incoming]:
        """POST /transactionRequests: accept and quote, or reject what the member cannot pay."""
        request_id = body["transactionRequestId"]
        path = f"/transactionRequests/{request_id}"
        known = self._by_id.get(request_id)
        payer = body["payer"]
        sub_id = payer.get("partySubIdOrType")
        key = "/".join([payer["partyIdType"], payer["partyIdentifier"], *([sub_id] if sub_id else [])])
        member = self._members.get(key)
        if member is None:
            return [self._speaker.refuse(message, PARTY_NOT_FOUND, "There is no such member.", path)]
        amount = read_amount(body["amount"])
        if known is None and not member.can_pay(amount):
            rejected = self._keep_answer(request_id, {"transactionRequestState": "REJECTED"})
            return [self._speaker.answer(message, rejected, path)]
        back = line_back(message)
        payment = known or self._new(
            "asked-to-pay",
            member,
            body["payee"]["partyIdInfo"],
            amount,
            back.version,
            otp=body.get("authenticationType") == "OTP",
        )
        accepted = {"transactionId": payment.transaction_id, "transactionRequestState": "ACCEPTED"}
        said = self._answers.get(request_id) or self._keep_answer(request_id, accepted)
        answer = self._speaker.answer(message, said, path)
        if known is not None:
            return [answer]
        payment.peer, payment.trace, payment.request_id = back.to, back.trace, request_id
        self._by_id[request_id] = payment
        kind = body["transactionType"]
        return [answer, self._quote(payment, kind | {"initiator": "PAYEE"})]

    def request_again(self, message: Outgoing, request_id: str) -> Incoming:
        """GET /transactionRequests/{ID}."""
        answer = self._answers.get(request_id)
        if answer is None:
            return self._speaker.refuse(message, TRANSACTION_REQUEST_NOT_FOUND, "There is no such request.")
        return self._speaker.answer(message, answer)

    def _keep_answer(self, request_id: str, answer: dict[str, Any]) -> dict[str, Any]:
        self._answers[request_id] = answer
        if len(self._answers) > PAYMENTS_MAX:
            self._answers.popitem(last=False)
        return answer

    def found(self, message: Outgoing, key: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /parties: quote, or request to be paid."""
        messages: list[Incoming] = []
        for payment in self._payments.values():
            if payment.state != "LOOKING_UP" or party_key(payment.party) != key:
                continue
            payment.peer = line_back(message).to
            info = body["party"]["partyIdInfo"]
            payment.party = payment.party | {"fspId": info.get("fspId", payment.peer)}
            if payment.kind == "request-to-pay":
                messages.append(self._request(payment))
            else:
                kind = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"}
                messages.append(self._quote(payment, kind))
        return messages

    def quoted(self, quote_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /quotes: ask for the OTP where one is wanted, then transfer."""
        payment = self._by_id.get(quote_id)
        if payment is None or payment.state != "QUOTING":
            return []
        payment.transfer_amount = read_amount(body["transferAmount"])
        payment.packet, payment.condition = body["ilpPacket"], body["condition"]
        if not payment.member.can_pay(payment.transfer_amount):
            return self._give_up(payment, NOT_ENOUGH)
        if payment.otp and payment.request_id:
            payment.state = "AUTHORIZING"
            money = fspiop_amount(payment.transfer_amount)
            query = (
                f"authenticationType=OTP&retriesLeft=1&amount={money['amount']}&currency={money['currency']}"
            )
            path = f"/authorizations/{payment.request_id}?{query}"
            return [self._speaker.say(payment.line, "GET", path)]
        return self._transfer(payment)

    def authorized(self, request_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /authorizations: transfer with the right OTP, reject otherwise."""
        payment = self._by_id.get(request_id)
        if payment is None or payment.state != "AUTHORIZING":
            return []
        value = (body.get("authenticationInfo") or {}).get("authenticationValue")
        if body["responseType"] == "ENTERED" and value == OTP:
            return self._transfer(payment)
        return self._give_up(payment, "4100")

    def answered(self, request_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /transactionRequests: the other DFSP pays, or does not."""
        payment = self._by_id.get(request_id)
        asked = payment is not None and payment.kind == "request-to-pay" and payment.state == "REQUESTED"
        if payment is not None and asked and body["transactionRequestState"] == "REJECTED":
            payment.state, payment.error_code = "REFUSED", "4101"
        return []

    def fulfilled(self, transfer_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /transfers: debit what is committed with the right fulfilment, once."""
        payment = self._by_id.get(transfer_id)
        amount = payment.transfer_amount if payment is not None else None
        if payment is None or amount is None or payment.state != "TRANSFERRING":
            return []
        if body["transferState"] == "ABORTED":
            self.failed(transfer_id, "5000")
        elif body["transferState"] == "COMMITTED" and opens(payment.condition, body.get("fulfilment", "")):
            payment.state = "COMMITTED"
            payment.member.release(amount)
            payment.member.book(amount.currency, -amount.minor)
        return []

    def failed(self, key: str, error_code: str) -> None:
        """PUT of an /error form: the payment ends, and what was held is given back."""
        waiting = [one for one in self._payments.values() if party_key(one.party) == key]
        ended = [one for one in waiting if one.state == "LOOKING_UP"]
        known = self._by_id.get(key)
        if known is not None and known.state not in ("COMMITTED", "REFUSED"):
            ended.append(known)
        for payment in ended:
            if payment.state == "TRANSFERRING" and payment.transfer_amount is not None:
                payment.member.release(payment.transfer_amount)
            payment.state, payment.error_code = "REFUSED", error_code

    def _new(
        self,
        kind: Literal["transfer", "request-to-pay", "asked-to-pay"],
        member: Member,
        party: dict[str, Any],
        amount: Money,
        version: Version,
        *,
        otp: bool,
    ) -> Payment:
        if len(self._payments) >= PAYMENTS_MAX:
            raise UnavailableError("too-many-payments", f"At most {PAYMENTS_MAX} payments; restart it.")
        ids = [str(uuid.uuid4()) for _ in range(4)]
        payment = Payment(
            payment_id=ids[0],
            kind=kind,
            member=member,
            party=party,
            amount=amount,
            version=version,
            otp=otp,
            transaction_id=ids[1],
            quote_id=ids[2],
            transfer_id=ids[3],
        )
        self._payments[payment.payment_id] = payment
        self._by_id[payment.quote_id] = self._by_id[payment.transfer_id] = payment
        return payment

    def _quote(self, payment: Payment, kind: dict[str, Any]) -> Incoming:
        payment.state = "QUOTING"
        body = {
            "quoteId": payment.quote_id,
            "transactionId": payment.transaction_id,
            "payee": {"partyIdInfo": payment.party | {"fspId": payment.peer}},
            "payer": {"partyIdInfo": self._own_party(payment.member), "name": payment.member.name},
            "amountType": "RECEIVE" if payment.kind == "asked-to-pay" else "SEND",
            "amount": fspiop_amount(payment.amount),
            "transactionType": kind,
            "expiration": iso(self._clock() + TRANSFER_LIFETIME_MS),
        }
        if payment.request_id:
            body["transactionRequestId"] = payment.request_id
        return self._speaker.say(payment.line, "POST", "/quotes", body)

    def _request(self, payment: Payment) -> Incoming:
        payment.state, payment.request_id = "REQUESTED", payment.payment_id
        self._by_id[payment.request_id] = payment
        body = {
            "transactionRequestId": payment.request_id,
            "payee": {"partyIdInfo": self._own_party(payment.member), "name": payment.member.name},
            "payer": payment.party,
            "amount": fspiop_amount(payment.amount),
            "transactionType": {"scenario": "PAYMENT", "initiator": "PAYEE", "initiatorType": "BUSINESS"},
            "expiration": iso(self._clock() + TRANSFER_LIFETIME_MS),
        }
        if payment.otp:
            body["authenticationType"] = "OTP"
        return self._speaker.say(payment.line, "POST", "/transactionRequests", body)

    def _transfer(self, payment: Payment) -> list[Incoming]:
        assert payment.transfer_amount is not None  # noqa: S101 - set by the quote that led here
        payment.state = "TRANSFERRING"
        payment.member.hold(payment.transfer_amount)
        body = {
            "transferId": payment.transfer_id,
            "payerFsp": self._speaker.fsp_id,
            "payeeFsp": payment.peer,
            "amount": fspiop_amount(payment.transfer_amount),
            "ilpPacket": payment.packet,
            "condition": payment.condition,
            "expiration": iso(self._clock() + TRANSFER_LIFETIME_MS),
        }
        return [self._speaker.say(payment.line, "POST", "/transfers", body)]

    def _give_up(self, payment: Payment, error_code: str) -> list[Incoming]:
        payment.state, payment.error_code = "REFUSED", error_code
        if not payment.request_id:
            return []  # a payer that does not like a quote lets it expire
        body = {"transactionRequestState": "REJECTED", "transactionId": payment.transaction_id}
        self._keep_answer(payment.request_id, body)
        path = f"/transactionRequests/{payment.request_id}"
        return [self._speaker.say(payment.line, "PUT", path, body)]

    def _own_party(self, member: Member) -> dict[str, Any]:
        info = {
            "partyIdType": member.identifier_type,
            "partyIdentifier": member.identifier,
            "fspId": self._speaker.fsp_id,
        }
        return info | {"partySubIdOrType": member.sub_id} if member.sub_id else info


def party_key(party: dict[str, Any]) -> str:
    """Return Type/ID or Type/ID/SubId."""
    parts = [party["partyIdType"], party["partyIdentifier"]]
    return "/".join([*parts, party["partySubIdOrType"]] if party.get("partySubIdOrType") else parts)


def _party_path(party: dict[str, Any]) -> str:
    return "/parties/" + "/".join(percent_encoded(part, safe="") for part in party_key(party).split("/"))
