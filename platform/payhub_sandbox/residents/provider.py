"""The currency provider: quotes and reserves conversions at the fixed rates (FSPIOP 2.0)."""

import secrets
from collections import OrderedDict
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock, iso
from payhub_platform.money import Money
from payhub_sandbox.residents import ilp
from payhub_sandbox.residents.amounts import fspiop_amount, read_amount
from payhub_sandbox.residents.speaker import Speaker
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.rates import FXP_ID, source_of, target_of
from payhub_sandbox.switch.refusal import (
    MODIFIED_REQUEST,
    PAYEE_UNSUPPORTED_CURRENCY,
    QUOTE_NOT_FOUND,
)
from payhub_sandbox.switch.target import resource_of

QUOTE_LIFETIME_MS: Final = 60_000
QUOTES_MAX: Final = 10_000


class Provider:
    """Answers fxQuotes and fxTransfers; it takes what the switch tells it afterwards."""

    fsp_id: str = FXP_ID

    def __init__(self, private_key_pem: str, clock: Clock) -> None:
        self.speaker = Speaker(FXP_ID, private_key_pem, clock)
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._terms: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def receive(self, message: Outgoing) -> list[Incoming]:
        """Answer a request; everything else is taken without a word."""
        body = msgspec.json.decode(message.body) if message.body else {}
        if message.method != "POST":
            return []
        if resource_of(message.path) == "fxQuotes":
            return [self._quote(message, body)]
        if resource_of(message.path) == "fxTransfers":
            return [self._reserve(message, body)]
        return []

    def refused(self, message: Incoming, error_code: str) -> None:
        """Leave it: what the provider does not answer expires."""

    def _quote(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        path = f"/fxQuotes/{body['conversionRequestId']}"
        terms = self._priced(body["conversionTerms"])
        if terms is None:
            text = "There is no rate between these currencies."
            return self.speaker.refuse(message, PAYEE_UNSUPPORTED_CURRENCY, text, path)
        self._terms[terms["conversionId"]] = terms
        if len(self._terms) > QUOTES_MAX:
            self._terms.popitem(last=False)
        condition = ilp.condition_for(self._secret, terms["conversionId"])
        return self.speaker.answer(message, {"condition": condition, "conversionTerms": terms}, path)

    def _priced(self, terms: dict[str, Any]) -> dict[str, Any] | None:
        """Fill in the other side's amount; None where there is no rate or nothing is left of it."""
        source, target = terms["sourceAmount"], terms["targetAmount"]
        other: Money | None
        if terms["amountType"] == "SEND" and source.get("amount"):
            other = target_of(read_amount(source), target["currency"])
            filled = {"targetAmount": fspiop_amount(other)} if other is not None else {}
        elif target.get("amount"):
            other = source_of(read_amount(target), source["currency"])
            filled = {"sourceAmount": fspiop_amount(other)} if other is not None else {}
        else:
            return None
        if other is None or other.minor == 0:
            return None
        return terms | filled | {"expiration": iso(self._clock() + QUOTE_LIFETIME_MS)}

    def _reserve(self, message: Outgoing, body: dict[str, Any]) -> Incoming:
        key = body["commitRequestId"]
        path = f"/fxTransfers/{key}"
        terms = self._terms.get(key)
        if terms is None:
            return self.speaker.refuse(message, QUOTE_NOT_FOUND, "Nothing was quoted for this.", path)
        agreed = all(body[name] == terms[name] for name in ("sourceAmount", "targetAmount"))
        if not agreed or body["condition"] != ilp.condition_for(self._secret, key):
            return self.speaker.refuse(
                message, MODIFIED_REQUEST, "Amounts or condition are not the quote's.", path
            )
        fulfilment = ilp.fulfilment_of(self._secret, key)
        return self.speaker.answer(message, {"fulfilment": fulfilment, "conversionState": "RESERVED"}, path)
