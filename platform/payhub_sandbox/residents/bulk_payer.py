"""The test DFSP as the payer of bulks: look-up of the first payee, bulk quote, bulk transfer."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from payhub_platform.clock import Clock, iso
from payhub_platform.errors import InvalidInputError, NotFoundError, UnavailableError
from payhub_platform.money import Money
from payhub_sandbox.residents.amounts import fspiop_amount, read_amount
from payhub_sandbox.residents.member import Member
from payhub_sandbox.residents.payer import NOT_ENOUGH, TRANSFER_LIFETIME_MS
from payhub_sandbox.residents.speaker import Line, Speaker, line_back
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.versions import Version

BULKS_MAX: Final = 1_000
PAYEES_MAX: Final = 1_000  # individualQuotes, section 7.4

State = Literal["LOOKING_UP", "QUOTING", "TRANSFERRING", "COMPLETED", "REFUSED"]


class BulkOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A bulk that an integrator tells the test DFSP to send.

    Attributes:
        msisdns: of members of the DFSP under test; each is paid the amount.
        amount: decimal text.
        member: of the test DFSP, as Type/ID.
    """

    msisdns: Annotated[list[str], msgspec.Meta(min_length=1, max_length=PAYEES_MAX)]
    amount: str
    currency: str = "KES"
    member: str = "MSISDN/254700900002"
    version: Version = "1.1"


class Share(msgspec.Struct, kw_only=True):
    """One payment of a bulk; quote, transaction and transfer have one id."""

    share_id: str
    msisdn: str
    condition: str = ""
    packet: str = ""
    amount: Money | None = None
    error_code: str = ""
    paid: bool = False


class BulkPayment(msgspec.Struct, kw_only=True):
    """A bulk of the test DFSP."""

    bulk_id: str
    member: Member
    amount: Money
    version: Version
    shares: list[Share]
    state: State = "LOOKING_UP"
    peer: str = ""
    error_code: str = ""

    @property
    def line(self) -> Line:
        """The line to the other DFSP."""
        return Line(to=self.peer, version=self.version)

    def open_shares(self) -> list[Share]:
        """Return what was quoted and may be paid."""
        return [one for one in self.shares if one.amount is not None]


class BulkPayerSide:
    """Goes through bulk quote and bulk transfer, one answer at a time."""

    def __init__(self, speaker: Speaker, clock: Clock, members: Mapping[str, Member]) -> None:
        self._speaker = speaker
        self._clock = clock
        self._members = members
        self._bulks: dict[str, BulkPayment] = {}

    def bulks(self) -> list[BulkPayment]:
        """Return all bulks, oldest first."""
        return list(self._bulks.values())

    def order(self, order: BulkOrder) -> tuple[BulkPayment, list[Incoming]]:
        """Begin a bulk; the first message looks the first payee up.

        Raises:
            InvalidInputError: code ``invalid-amount``.
            NotFoundError: code ``unknown-member``.
            UnavailableError: code ``too-many-bulks``.
        """
        member = self._members.get(order.member)
        if member is None:
            raise NotFoundError("unknown-member", "The test DFSP has no such member.", "/member")
        amount = Money.parse(order.amount, order.currency)
        if amount.minor == 0:
            raise InvalidInputError("invalid-amount", "The amount must be more than zero.", "/amount")
        if len(self._bulks) >= BULKS_MAX:
            raise UnavailableError("too-many-bulks", f"At most {BULKS_MAX} bulks; restart it.")
        bulk = BulkPayment(
            bulk_id=str(uuid.uuid4()),
            member=member,
            amount=amount,
            version=order.version,
            shares=[Share(share_id=str(uuid.uuid4()), msisdn=one) for one in order.msisdns],
        )
        self._bulks[bulk.bulk_id] = bulk
        path = f"/parties/MSISDN/{order.msisdns[0]}"
        return bulk, [self._speaker.say(Line(to="", version=order.version), "GET", path)]

    def found(self, message: Outgoing, key: str) -> list[Incoming]:
        """PUT /parties of the first payee: ask for quotes for all."""
        messages = []
        for bulk in self._bulks.values():
            if bulk.state == "LOOKING_UP" and key == f"MSISDN/{bulk.shares[0].msisdn}":
                bulk.state, bulk.peer = "QUOTING", line_back(message).to
                messages.append(self._speaker.say(bulk.line, "POST", "/bulkQuotes", self._quotes(bulk)))
        return messages

    def quoted(self, bulk_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /bulkQuotes: hold the sum and transfer what was quoted."""
        bulk = self._bulks.get(bulk_id)
        if bulk is None or bulk.state != "QUOTING":
            return []
        results = {one["quoteId"]: one for one in body.get("individualQuoteResults", [])}
        for share in bulk.shares:
            result = results.get(share.share_id, {})
            if all(name in result for name in ("transferAmount", "ilpPacket", "condition")):
                share.amount = read_amount(result["transferAmount"])
                share.packet, share.condition = result["ilpPacket"], result["condition"]
            else:
                share.error_code = result.get("errorInformation", {}).get("errorCode", "5000")
        total = Money(sum(one.amount.minor for one in bulk.shares if one.amount), bulk.amount.currency)
        if total.minor == 0 or not bulk.member.can_pay(total):
            bulk.state, bulk.error_code = "REFUSED", NOT_ENOUGH if total.minor else "5103"
            return []
        bulk.state = "TRANSFERRING"
        bulk.member.hold(total)
        return [self._speaker.say(bulk.line, "POST", "/bulkTransfers", self._transfers(bulk))]

    def fulfilled(self, bulk_id: str, body: dict[str, Any]) -> list[Incoming]:
        """PUT /bulkTransfers: debit what is fulfilled, give the rest back; interim states change nothing."""
        bulk = self._bulks.get(bulk_id)
        final = body["bulkTransferState"] in ("COMPLETED", "REJECTED")
        if bulk is None or bulk.state != "TRANSFERRING" or not final:
            return []
        results = {one["transferId"]: one for one in body.get("individualTransferResults", [])}
        for share in bulk.open_shares():
            fulfilment = results.get(share.share_id, {}).get("fulfilment")
            self._end(bulk, share, paid=bool(fulfilment) and opens(share.condition, fulfilment))
        bulk.state = "COMPLETED"
        return []

    def failed(self, key: str, error_code: str) -> None:
        """PUT of an /error form: the bulk ends, and what was held is given back."""
        for bulk in self._bulks.values():
            looked_up = bulk.state == "LOOKING_UP" and key == f"MSISDN/{bulk.shares[0].msisdn}"
            if not looked_up and (bulk.bulk_id != key or bulk.state in ("COMPLETED", "REFUSED")):
                continue
            if bulk.state == "TRANSFERRING":
                for share in bulk.open_shares():
                    self._end(bulk, share, paid=False)
            bulk.state, bulk.error_code = "REFUSED", error_code

    @staticmethod
    def _end(bulk: BulkPayment, share: Share, *, paid: bool) -> None:
        assert share.amount is not None  # noqa: S101 - only what was quoted was held
        bulk.member.release(share.amount)
        share.paid = paid
        if paid:
            bulk.member.book(share.amount.currency, -share.amount.minor)

    def _quotes(self, bulk: BulkPayment) -> dict[str, Any]:
        kind = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "BUSINESS"}
        payer = {"partyIdType": bulk.member.identifier_type, "partyIdentifier": bulk.member.identifier}
        return {
            "bulkQuoteId": bulk.bulk_id,
            "payer": {"partyIdInfo": payer | {"fspId": self._speaker.fsp_id}, "name": bulk.member.name},
            "individualQuotes": [
                {
                    "quoteId": share.share_id,
                    "transactionId": share.share_id,
                    "payee": {
                        "partyIdInfo": {
                            "partyIdType": "MSISDN",
                            "partyIdentifier": share.msisdn,
                            "fspId": bulk.peer,
                        }
                    },
                    "amountType": "SEND",
                    "amount": fspiop_amount(bulk.amount),
                    "transactionType": kind,
                }
                for share in bulk.shares
            ],
            "expiration": iso(self._clock() + TRANSFER_LIFETIME_MS),
        }

    def _transfers(self, bulk: BulkPayment) -> dict[str, Any]:
        return {
            "bulkTransferId": bulk.bulk_id,
            "bulkQuoteId": bulk.bulk_id,
            "payerFsp": self._speaker.fsp_id,
            "payeeFsp": bulk.peer,
            "individualTransfers": [
                {
                    "transferId": share.share_id,
                    "transferAmount": fspiop_amount(share.amount),
                    "ilpPacket": share.packet,
                    "condition": share.condition,
                }
                for share in bulk.shares
                if share.amount is not None
            ],
            "expiration": iso(self._clock() + TRANSFER_LIFETIME_MS),
        }
