"""Reading the bodies of FSPIOP 1.1, with the formats of its section 7 that decide about money."""

import re
from typing import Any, Final, TypeVar

import msgspec

from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import (
    ErrorResponse,
    FspMoney,
    ParticipantRegistration,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransferFulfil,
    TransferPrepare,
)
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money
from payhub_sandbox.switch.refusal import (
    MALFORMED_SYNTAX,
    MISSING_ELEMENT,
    VALIDATION_ERROR,
    FspiopRefusalError,
)

BodyT = TypeVar("BodyT")

_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{0,3}[1-9])?", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_ILP_PACKET: Final = re.compile(r"[A-Za-z0-9_-]{1,32768}={0,2}")

registrations: Final = msgspec.json.Decoder(ParticipantRegistration)
parties: Final = msgspec.json.Decoder(PartyResponse)
quote_requests: Final = msgspec.json.Decoder(QuoteRequest)
quote_responses: Final = msgspec.json.Decoder(QuoteResponse)
prepares: Final = msgspec.json.Decoder(TransferPrepare)
fulfils: Final = msgspec.json.Decoder(TransferFulfil)
errors: Final = msgspec.json.Decoder(ErrorResponse)


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "The body is no JSON.") from error


def money(value: FspMoney, where: str) -> Money:
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


def correlation_id(text: str, where: str) -> str:
    """Check a CorrelationId: a UUID of version 1 to 5 (section 7.3.8)."""
    return _matching(_UUID, text, where)


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


def compact(value: Any) -> bytes:
    """Write a body of the switch as compact JSON."""
    return msgspec.json.encode(value)
