"""The test DFSP: a simulated counterparty, so that a single DFSP can try both roles."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.residents.bulk_payer import BulkPayerSide
from payhub_sandbox.residents.member import Member, seeded
from payhub_sandbox.residents.payee import PayeeSide
from payhub_sandbox.residents.payer import PayerSide
from payhub_sandbox.residents.speaker import Line, Speaker
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.target import OperationKey

TEST_DFSP_ID: Final = "testbank"
TEST_MSISDN_PREFIX: Final = "25470090"

_ID_FIELDS: Final = ("quoteId", "transferId", "transactionRequestId", "bulkQuoteId", "bulkTransferId")

Body = dict[str, Any]
Answer = Callable[[Outgoing, str, Body], list[Incoming]]


class Counterparty:
    """Answers look-ups, quotes, transfers, requests to pay and bulks, and pays when it is told to."""

    def __init__(
        self,
        private_key_pem: str,
        clock: Clock,
        fsp_id: str = TEST_DFSP_ID,
        msisdn_prefix: str = TEST_MSISDN_PREFIX,
    ) -> None:
        self.fsp_id = fsp_id
        self.speaker = Speaker(fsp_id, private_key_pem, clock)
        self.members: dict[str, Member] = {one.key: one for one in seeded(fsp_id, msisdn_prefix)}
        self.payee = PayeeSide(self.speaker, clock, self.members)
        self.payer = PayerSide(self.speaker, clock, self.members)
        self.bulk_payer = BulkPayerSide(self.speaker, clock, self.members)
        self._answers = self._table()

    def registrations(self) -> list[Incoming]:
        """Return the messages that register the members with the switch."""
        line = Line(to="")
        return [
            self.speaker.say(line, "POST", f"/participants/{key}", {"fspId": self.fsp_id})
            for key in self.members
        ]

    def receive(self, message: Outgoing) -> list[Incoming]:
        """Take a message of the switch; what the table does not have is taken without a word."""
        parts = message.path.partition("?")[0].strip("/").split("/")
        resource, *ids = [unquote(part) for part in parts]
        error = bool(ids) and ids[-1] == "error"
        key = "/".join(ids[:-1] if error else ids)
        body: Body = msgspec.json.decode(message.body) if message.body else {}
        if error:
            self.payer.failed(key, body["errorInformation"]["errorCode"])
            self.bulk_payer.failed(key, body["errorInformation"]["errorCode"])
            if resource == "transfers":
                self.payee.notified(key, "ABORTED")
            if resource == "bulkTransfers":
                self.payee.bulk_failed(key)
            return []
        answer = self._answers.get((resource, message.method, False))
        return answer(message, key, body) if answer is not None else []

    def refused(self, message: Incoming, error_code: str) -> None:
        """End the payment that a message was for; nothing was done."""
        if message.method == "GET" and message.path.startswith("/parties/"):
            key = unquote(message.path.removeprefix("/parties/"))
        elif message.method == "POST":
            body: Body = msgspec.json.decode(message.body)
            key = next((body[name] for name in _ID_FIELDS if name in body), "")
        else:
            return
        self.payer.failed(key, error_code)
        self.bulk_payer.failed(key, error_code)

    def _table(self) -> dict[OperationKey, Answer]:
        payee, payer, bulk_payer = self.payee, self.payer, self.bulk_payer
        return {
            ("parties", "GET", False): lambda message, key, _: [payee.find(message, key)],
            ("parties", "PUT", False): lambda message, key, body: [
                *payer.found(message, key, body),
                *bulk_payer.found(message, key),
            ],
            ("quotes", "POST", False): lambda message, _, body: [payee.quote(message, body)],
            ("quotes", "GET", False): lambda message, key, _: [payee.quote_again(message, key)],
            ("quotes", "PUT", False): lambda _, key, body: payer.quoted(key, body),
            ("transfers", "POST", False): lambda message, _, body: [payee.fulfil(message, body)],
            ("transfers", "PUT", False): lambda _, key, body: payer.fulfilled(key, body),
            ("transfers", "PATCH", False): lambda _, key, body: payee.notified(key, body["transferState"]),
            ("transactionRequests", "POST", False): lambda message, _, body: payer.asked_to_pay(
                message, body
            ),
            ("transactionRequests", "PUT", False): lambda _, key, body: payer.answered(key, body),
            ("transactionRequests", "GET", False): lambda message, key, _: [
                payer.request_again(message, key)
            ],
            ("transactions", "GET", False): lambda message, key, _: [payee.transaction(message, key)],
            ("authorizations", "GET", False): lambda message, *_: [payee.enter_otp(message)],
            ("authorizations", "PUT", False): lambda _, key, body: payer.authorized(key, body),
            ("bulkQuotes", "POST", False): lambda message, _, body: [payee.quote_bulk(message, body)],
            ("bulkQuotes", "GET", False): lambda message, key, _: [payee.quote_bulk_again(message, key)],
            ("bulkQuotes", "PUT", False): lambda _, key, body: bulk_payer.quoted(key, body),
            ("bulkTransfers", "PUT", False): lambda _, key, body: bulk_payer.fulfilled(key, body),
            ("bulkTransfers", "POST", False): lambda message, _, body: [payee.fulfil_bulk(message, body)],
        }
