"""Reading FSPIOP's bodies, with the formats of section 7 that decide about money."""

import re
from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec

from payhub_platform.clock import parse_iso
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money
from payhub_sandbox.switch import contents
from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import (
    MALFORMED_SYNTAX,
    MISSING_ELEMENT,
    TOO_MANY_ELEMENTS,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.target import Target, resource_of
from payhub_sandbox.switch.versions import body_version

BodyT = TypeVar("BodyT")

BULK_MAX: Final = 1_000  # individualQuotes and individualTransfers, section 7.4
REGISTRATIONS_MAX: Final = 10_000  # partyList, section 7.4

_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{0,3}[1-9])?", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UUID_OR_ULID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9A-HJKMNP-TV-Z]{26}"
)
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_ILP_PACKET: Final = re.compile(r"[A-Za-z0-9_-]{1,32768}={0,2}")

registrations: Final = msgspec.json.Decoder(contents.Registration)
many_registrations: Final = msgspec.json.Decoder(contents.Registrations)
parties: Final = msgspec.json.Decoder(contents.PartyAnswer)
prepares: Final = msgspec.json.Decoder(contents.TransferPrepare)
fulfils: Final = msgspec.json.Decoder(contents.TransferFulfil)
bulk_prepares: Final = msgspec.json.Decoder(contents.BulkPrepare)
bulk_fulfils: Final = msgspec.json.Decoder(contents.BulkFulfil)
fx_prepares: Final = msgspec.json.Decoder(contents.FxPrepare)
fx_fulfils: Final = msgspec.json.Decoder(contents.FxFulfil)
errors: Final = msgspec.json.Decoder(contents.ErrorAnswer)
_quote_requests: Final = msgspec.json.Decoder(contents.QuoteRequest)
_quote_answers: Final = msgspec.json.Decoder(contents.QuoteAnswer)
_transaction_requests: Final = msgspec.json.Decoder(contents.TransactionRequest)
_transaction_request_answers: Final = msgspec.json.Decoder(contents.TransactionRequestAnswer)
_authorization_answers: Final = msgspec.json.Decoder(contents.AuthorizationAnswer)
_transaction_answers: Final = msgspec.json.Decoder(contents.TransactionAnswer)
_bulk_quote_requests: Final = msgspec.json.Decoder(contents.BulkQuoteRequest)
_bulk_quote_answers: Final = msgspec.json.Decoder(contents.BulkQuoteAnswer)
_fx_quote_requests: Final = msgspec.json.Decoder(contents.FxQuoteRequest)
_fx_quote_answers: Final = msgspec.json.Decoder(contents.FxQuoteAnswer)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch needs to know of a request that it passes on.

    Attributes:
        key: the id that the request gives the resource.
        amounts: every amount in it.
        identifiers: of the parties whose behaviour may be forced: the payees, or the payer who is asked.
        weather_identifier: the payee that weather rules go by; empty where there is not exactly one.
    """

    key: str
    amounts: list[Money] = []
    identifiers: list[str] = []
    weather_identifier: str = ""


def read(decoder: msgspec.json.Decoder[BodyT], body: bytes) -> BodyT:
    """Decode a body.

    Raises:
        FspiopRefusalError: 3101 no JSON, 3102 a mandatory element is missing, 3100 an element is wrong.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        code = MISSING_ELEMENT if "missing required field" in str(error) else VALIDATION_ERROR
        raise FspiopRefusalError(code, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "The body is no JSON.") from error


def quote_facts(incoming: Incoming, _target: Target) -> Facts:
    """Read POST /quotes."""
    quote = read(_quote_requests, incoming.body)
    correlation_id(incoming, quote.transaction_id, "transactionId")
    identifier = quote.payee.party_id_info.party_identifier
    return Facts(
        key=correlation_id(incoming, quote.quote_id, "quoteId"),
        amounts=[money(quote.amount, "amount")],
        identifiers=[identifier],
        weather_identifier=identifier,
    )


def transaction_request_facts(incoming: Incoming, _target: Target) -> Facts:
    """Read POST /transactionRequests."""
    request = read(_transaction_requests, incoming.body)
    return Facts(
        key=correlation_id(incoming, request.transaction_request_id, "transactionRequestId"),
        amounts=[money(request.amount, "amount")],
        identifiers=[request.payer.party_identifier],
    )


def bulk_quote_facts(incoming: Incoming, _target: Target) -> Facts:
    """Read POST /bulkQuotes."""
    bulk = read(_bulk_quote_requests, incoming.body)
    bounded(bulk.individual_quotes, BULK_MAX, "individualQuotes")
    for quote in bulk.individual_quotes:
        correlation_id(incoming, quote.quote_id, "quoteId")
        correlation_id(incoming, quote.transaction_id, "transactionId")
    return Facts(
        key=correlation_id(incoming, bulk.bulk_quote_id, "bulkQuoteId"),
        amounts=[money(quote.amount, "amount") for quote in bulk.individual_quotes],
        identifiers=[quote.payee.party_id_info.party_identifier for quote in bulk.individual_quotes],
    )


def fx_quote_facts(incoming: Incoming, _target: Target) -> Facts:
    """Read POST /fxQuotes."""
    request = read(_fx_quote_requests, incoming.body)
    terms = request.conversion_terms
    correlation_id(incoming, terms.conversion_id, "conversionId")
    moment(terms.expiration, "expiration")
    given = [(terms.source_amount, "sourceAmount"), (terms.target_amount, "targetAmount")]
    amounts = [
        money(contents.Amount(currency=one.currency, amount=one.amount), where)
        for one, where in given
        if one.amount is not None
    ]
    if not amounts:
        raise FspiopRefusalError(MISSING_ELEMENT, "sourceAmount or targetAmount has an amount.")
    key = correlation_id(incoming, request.conversion_request_id, "conversionRequestId")
    return Facts(key=key, amounts=amounts)


def transaction_facts(_incoming: Incoming, target: Target) -> Facts:
    """Read GET /transactions/{ID}, which says nothing but the id."""
    return Facts(key=target.key)


def authorization_facts(incoming: Incoming, target: Target) -> Facts:
    """Read the query of GET /authorizations/{ID}: authenticationType, retriesLeft, amount and currency.

    Raises:
        FspiopRefusalError: 3102 a parameter is missing, 3100 the amount is none.
    """
    values = {name: found[0] for name, found in parse_qs(incoming.query, keep_blank_values=True).items()}
    for name in ("authenticationType", "retriesLeft", "amount", "currency"):
        if not values.get(name):
            raise FspiopRefusalError(MISSING_ELEMENT, f"The query parameter {name} is missing.")
    amount = contents.Amount(currency=values["currency"], amount=values["amount"])
    return Facts(key=target.key, amounts=[money(amount, "amount")])


def check_quote(body: bytes) -> None:
    """Refuse a malformed PUT /quotes/{ID}."""
    quote = read(_quote_answers, body)
    money(quote.transfer_amount, "transferAmount")
    moment(quote.expiration, "expiration")
    ilp_packet(quote.ilp_packet, "ilpPacket")
    hash_text(quote.condition, "condition")


def condition_of(body: bytes) -> str:
    """Return the condition of a quote that check_quote has passed."""
    return read(_quote_answers, body).condition


def check_transaction_request(body: bytes) -> None:
    """Refuse a malformed PUT /transactionRequests/{ID}."""
    read(_transaction_request_answers, body)


def check_authorization(body: bytes) -> None:
    """Refuse a malformed PUT /authorizations/{ID}."""
    read(_authorization_answers, body)


def check_transaction(body: bytes) -> None:
    """Refuse a malformed PUT /transactions/{ID}."""
    read(_transaction_answers, body)


def check_bulk_quote(body: bytes) -> None:
    """Refuse a malformed PUT /bulkQuotes/{ID}."""
    moment(read(_bulk_quote_answers, body).expiration, "expiration")


def check_fx_quote(body: bytes) -> None:
    """Refuse a malformed PUT /fxQuotes/{ID}."""
    answer = read(_fx_quote_answers, body)
    for amount, where in (
        (answer.conversion_terms.source_amount, "sourceAmount"),
        (answer.conversion_terms.target_amount, "targetAmount"),
    ):
        if amount.amount is None:
            raise FspiopRefusalError(MISSING_ELEMENT, f"{where} has no amount.")
        money(contents.Amount(currency=amount.currency, amount=amount.amount), where)
    if answer.condition is not None:
        hash_text(answer.condition, "condition")


def bounded(items: list[BodyT], most: int, where: str) -> None:
    """Refuse a list that is empty or too long."""
    if not 1 <= len(items) <= most:
        raise FspiopRefusalError(TOO_MANY_ELEMENTS, f"{where} has between 1 and {most} elements.")


def money(value: contents.Amount, where: str) -> Money:
    """Read an amount greater than zero (section 7.2.13)."""
    if _AMOUNT.fullmatch(value.amount) is None:
        raise FspiopRefusalError(VALIDATION_ERROR, f"{where} has no FSPIOP Amount.")
    try:
        amount = Money.parse(value.amount, value.currency, where=where)
    except InvalidInputError as error:
        raise FspiopRefusalError(VALIDATION_ERROR, error.detail) from error
    if amount.minor == 0:
        raise FspiopRefusalError(VALIDATION_ERROR, f"{where} must be more than zero.")
    return amount


def moment(text: str, where: str) -> int:
    """Read a DateTime (section 7.2.14) into milliseconds since the Unix epoch."""
    try:
        if _DATE_TIME.fullmatch(text):
            return parse_iso(text)
    except ValueError as error:
        raise FspiopRefusalError(VALIDATION_ERROR, f"{where} is no date.") from error
    raise FspiopRefusalError(VALIDATION_ERROR, f"{where} is no FSPIOP DateTime.")


def correlation_id(incoming: Incoming, text: str, where: str) -> str:
    """Check a CorrelationId: a UUID of version 1 to 5 (section 7.3.8), from 2.0 on also 6, 7 or a ULID."""
    version = body_version(incoming.headers, resource_of(incoming.path))
    return _matching(_UUID_OR_ULID if version == "2.0" else _UUID, text, where)


def hash_text(text: str, where: str) -> str:
    """Check an IlpCondition or IlpFulfilment: base64url of 32 bytes (sections 7.3.17, 7.3.16)."""
    return _matching(_HASH, text, where)


def ilp_packet(text: str, where: str) -> str:
    """Check the form of an ILP packet; what is inside is between payer and payee."""
    return _matching(_ILP_PACKET, text, where)


def _matching(pattern: re.Pattern[str], text: str, where: str) -> str:
    if pattern.fullmatch(text) is None:
        raise FspiopRefusalError(VALIDATION_ERROR, f"{where} has the wrong form.")
    return text
