"""Bodies of the scheme's messages, checked against FSPIOP 1.1's data types (section 7)."""

import re
from typing import Any, Final, TypeVar

import msgspec

from payhub_engines.connectors.mojaloop.headers import FspiopRefusal, malformed, missing
from payhub_engines.connectors.variables import money_of
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import (
    ErrorResponse,
    FspMoney,
    Message,
    Party,
    PartyIdInfo,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransferFulfil,
    TransferPrepare,
)
from payhub_platform.errors import InvalidInputError

PARTY_TYPES: Final = frozenset("MSISDN EMAIL PERSONAL_ID BUSINESS DEVICE ACCOUNT_ID IBAN ALIAS".split())
IDENTIFIER_CHARACTERS_MAX: Final = 128

_CORRELATION_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
_AMOUNT: Final = re.compile(r"([0]|([1-9][0-9]{0,17}))([.][0-9]{0,3}[1-9])?", re.ASCII)
_DATE_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}(Z|[+-]\d{2}:\d{2})", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PACKET: Final = re.compile(r"[A-Za-z0-9_-]{1,32768}={0,2}")
_ERROR_CODE: Final = re.compile(r"[1-9]\d{3}", re.ASCII)
MessageT = TypeVar("MessageT", bound=Message)


def decode(body: bytes, kind: type[MessageT]) -> MessageT:
    """Decode a body.

    Raises:
        FspiopRefusal: 3101 for what is no JSON or of a wrong type, 3102 for a missing field.
    """
    try:
        message = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise missing(text) if "missing required field" in text else malformed(text) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed("The body is not JSON.") from error
    except RecursionError as error:
        raise malformed("The body is nested too deeply.") from error
    _check(message)
    return message


def canonical(body: bytes) -> bytes:
    """Return a JSON body with sorted keys and no spaces, so that equal messages have equal bytes."""
    decoded: Any = msgspec.json.decode(body)
    return msgspec.json.encode(decoded, order="sorted")


def correlation_id(text: str, where: str) -> str:
    """Check a CorrelationId: a lower-case UUID of version 1 to 5 (section 7.3.8)."""
    if _CORRELATION_ID.fullmatch(text) is None:
        raise malformed("It is no lower-case UUID of version 1 to 5.", where)
    return text


def party_id(kind: str, identifier: str, sub_id: str | None) -> PartyIdInfo:
    """Check the party named by a path."""
    info = PartyIdInfo(party_id_type=kind, party_identifier=identifier, party_sub_id_or_type=sub_id)
    _check_party_id(info, "/")
    return info


def _check(message: Message) -> None:
    match message:
        case PartyResponse():
            _check_party(message.party, "/party")
        case QuoteRequest():
            correlation_id(message.quote_id, "/quoteId")
            correlation_id(message.transaction_id, "/transactionId")
            _check_party(message.payer, "/payer")
            _check_party(message.payee, "/payee")
            _check_amount(message.amount, "/amount")
            if message.expiration is not None:
                _check_time(message.expiration, "/expiration")
        case QuoteResponse():
            _check_quote_response(message)
        case TransferPrepare():
            correlation_id(message.transfer_id, "/transferId")
            _check_amount(message.amount, "/amount")
            _check_time(message.expiration, "/expiration")
            _check_text(_HASH, message.condition, "/condition")
            _check_text(_PACKET, message.ilp_packet, "/ilpPacket")
        case TransferFulfil():
            if message.fulfilment is not None:
                _check_text(_HASH, message.fulfilment, "/fulfilment")
        case ErrorResponse():
            _check_text(_ERROR_CODE, message.error_information.error_code, "/errorInformation/errorCode")
        case _:
            pass


def _check_quote_response(message: QuoteResponse) -> None:
    _check_amount(message.transfer_amount, "/transferAmount")
    _check_time(message.expiration, "/expiration")
    _check_text(_HASH, message.condition, "/condition")
    _check_text(_PACKET, message.ilp_packet, "/ilpPacket")


def _check_party(party: Party, where: str) -> None:
    _check_party_id(party.party_id_info, f"{where}/partyIdInfo")


def _check_party_id(info: PartyIdInfo, where: str) -> None:
    if info.party_id_type not in PARTY_TYPES:
        raise malformed("It is no PartyIdType of FSPIOP 1.1.", f"{where}/partyIdType")
    for name, text in (
        ("partyIdentifier", info.party_identifier),
        ("partySubIdOrType", info.party_sub_id_or_type),
    ):
        if text is not None and not 0 < len(text) <= IDENTIFIER_CHARACTERS_MAX:
            raise malformed(f"It has 1 to {IDENTIFIER_CHARACTERS_MAX} characters.", f"{where}/{name}")


def _check_amount(amount: FspMoney, where: str) -> None:
    if _AMOUNT.fullmatch(amount.amount) is None:
        raise malformed("It is no Amount of FSPIOP 1.1.", f"{where}/amount")
    try:
        money_of(amount)
    except InvalidInputError as error:
        raise malformed(error.detail, where) from error


def _check_time(text: str, where: str) -> None:
    _check_text(_DATE_TIME, text, where)
    try:
        parse_iso(text)
    except ValueError as error:
        raise malformed("It is no DateTime of FSPIOP 1.1.", where) from error


def _check_text(pattern: re.Pattern[str], text: str, where: str) -> None:
    if pattern.fullmatch(text) is None:
        raise malformed("It does not have FSPIOP 1.1's form.", where)


__all__ = ["FspiopRefusal", "canonical", "correlation_id", "decode", "party_id"]
