"""Bodies of the scheme's messages, checked against FSPIOP's data types (section 7); faults name the field."""

import re
from typing import Any, Final, TypeVar

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, malformed, missing
from payhub_engines.connectors.variables import money_of
from payhub_platform.contracts.fspiop import (
    CORRELATION_ID_PATTERN,
    PARTY_TYPE_PATTERN,
    FspMoney,
    Message,
    PartyIdInfo,
)
from payhub_platform.errors import InvalidInputError

IDENTIFIER_CHARACTERS_MAX: Final = 128

_CORRELATION_ID: Final = re.compile(CORRELATION_ID_PATTERN)
_PARTY_TYPE: Final = re.compile(PARTY_TYPE_PATTERN)
_AT: Final = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_INDEX: Final = re.compile(r"\[(\d+)\]")
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_TOO_MANY: Final = re.compile(r"`array` of length <=")
MessageT = TypeVar("MessageT", bound=Message)


def parse(body: bytes) -> Any:
    """Read a body as JSON.

    Raises:
        FspiopRefusal: 3101 for what is no JSON, or nested beyond measure.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed("The body is not JSON.") from error
    except RecursionError as error:
        raise malformed("The body is nested too deeply.") from error


def decode(body: bytes, kind: type[MessageT]) -> MessageT:
    """Decode a body.

    Raises:
        FspiopRefusal: 3101 for what is no JSON or of a wrong type, 3102 for a missing field, 3103 for a
            list that is too long.
    """
    try:
        message = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal_of(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed("The body is not JSON.") from error
    except RecursionError as error:
        raise malformed("The body is nested too deeply.") from error
    check_money(message, "")
    return message


def convert(value: Any, kind: type[MessageT]) -> MessageT:
    """Read a message from what a transformation of its body gave; faults as ``decode``."""
    try:
        message = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refusal_of(str(error)) from error
    check_money(message, "")
    return message


def check_money(value: Any, where: str) -> None:
    """Check that each amount of a message is one of its currency, which no pattern can tell.

    Raises:
        FspiopRefusal: 3101.
    """
    if isinstance(value, FspMoney):
        try:
            money_of(value)
        except InvalidInputError as error:
            raise malformed(error.detail, where) from error
    elif isinstance(value, Message):
        for name, written in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            check_money(getattr(value, name), f"{where}/{written}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_money(item, f"{where}/{index}")


def canonical(value: Any) -> bytes:
    """Write a body with sorted keys and no spaces, so that equal messages have equal bytes."""
    return msgspec.json.encode(value, order="sorted")


def correlation_id(text: str, where: str) -> str:
    """Check a CorrelationId: a lower-case UUID (section 7.3.8) or, as 2.0 has it, a ULID."""
    if _CORRELATION_ID.fullmatch(text) is None:
        raise malformed("It is no lower-case UUID and no ULID.", where)
    return text


def party_id(kind: str, identifier: str, sub_id: str | None) -> PartyIdInfo:
    """Check the party named by a path."""
    if _PARTY_TYPE.fullmatch(kind) is None:
        raise malformed("It is no PartyIdType of FSPIOP.", "/partyIdType")
    for name, text in (("partyIdentifier", identifier), ("partySubIdOrType", sub_id)):
        if text is not None and not 0 < len(text) <= IDENTIFIER_CHARACTERS_MAX:
            raise malformed(f"It has 1 to {IDENTIFIER_CHARACTERS_MAX} characters.", f"/{name}")
    return PartyIdInfo(party_id_type=kind, party_identifier=identifier, party_sub_id_or_type=sub_id)


def _refusal_of(fault: str) -> FspiopRefusal:
    """Say FSPIOP's code and the field, and nothing of the contents or of our patterns."""
    at = _AT.search(fault)
    where = "" if at is None else _INDEX.sub(r"/\1", at[1]).replace(".", "/").replace("/...", "")
    absent = _MISSING.search(fault)
    if absent is not None:
        return missing("The field is missing.", f"{where}/{absent[1]}")
    if _TOO_MANY.search(fault):
        return FspiopRefusal(400, refusals.TOO_MANY_ELEMENTS, "There are too many elements.", where)
    return malformed("It does not have FSPIOP's form.", where)


__all__ = [
    "FspiopRefusal",
    "canonical",
    "check_money",
    "convert",
    "correlation_id",
    "decode",
    "parse",
    "party_id",
]
