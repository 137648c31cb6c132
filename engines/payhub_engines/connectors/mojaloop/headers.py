"""FSPIOP's headers: what a message must carry, and what ours do (API Definition 1.1 section 3.2)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_platform.contracts.fspiop import ErrorInformation, ErrorResponse

VERSION: Final = "1.1"
FSP_ID_CHARACTERS_MAX: Final = 32

_MEDIA: Final = re.compile(
    r"application/vnd\.interoperability\.([A-Za-z]+)\+json(?: ?; ?version=(\d+)(?:\.\d+)?)?"
)
_IMF_DATE: Final = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
_MAJOR: Final = "1"


class FspiopRefusal(Exception):  # noqa: N818 - the scheme's word for it, agreed between rooms
    """A scheme message that is refused at once, with FSPIOP's error body instead of a problem.

    Attributes:
        status: HTTP status of the answer.
        error_code: FSPIOP error code, such as 3101.
        description: what is wrong, at most 128 characters, without contents of the message.
        where: JSON pointer or ``header:Name``; may be empty.
    """

    def __init__(self, status: int, error_code: str, description: str, where: str = "") -> None:
        super().__init__(f"{error_code}: {description}")
        self.status = status
        self.error_code = error_code
        told = f"{where}: {description}" if where else description
        self.description = told[: refusals.DESCRIPTION_CHARACTERS_MAX]
        self.where = where

    def body(self) -> bytes:
        """Return the answer's JSON body."""
        information = ErrorInformation(error_code=self.error_code, error_description=self.description)
        return msgspec.json.encode(ErrorResponse(error_information=information))


def malformed(description: str, where: str = "") -> FspiopRefusal:
    """Refuse with 3101, malformed syntax."""
    return FspiopRefusal(400, refusals.MALFORMED_SYNTAX, description, where)


def missing(description: str, where: str = "") -> FspiopRefusal:
    """Refuse with 3102, missing mandatory element."""
    return FspiopRefusal(400, refusals.MISSING_ELEMENT, description, where)


def media_type(resource: str) -> str:
    """Return the media type of a resource's messages."""
    return f"application/vnd.interoperability.{resource}+json;version={VERSION}"


def format_date(at_ms: int) -> str:
    """Write the Date header: IMF-fixdate, always GMT."""
    return format_datetime(datetime.fromtimestamp(at_ms // 1000, UTC), usegmt=True)


def check(headers: Mapping[str, str], resource: str, fsp_id: str) -> str:
    """Check the headers of a message and return FSPIOP-Source.

    Accept is only looked at where it is sent: some schemes drop it on the way to the payee.

    Args:
        headers: by lower-case name.
        resource: first segment of the path, such as ``parties``.
        fsp_id: who must be the FSPIOP-Destination.

    Raises:
        FspiopRefusal: 3102 for a missing header, 3101 for a malformed one, 3001 with status 406 for a
            version that is not 1.x.
    """
    _check_media(headers.get("content-type"), resource, "Content-Type")
    accept = headers.get("accept")
    if accept and accept != "*/*":
        _check_accept(accept, resource)
    _check_date(headers.get("date"))
    source = _fsp_id(headers.get("fspiop-source"), "FSPIOP-Source")
    destination = _fsp_id(headers.get("fspiop-destination"), "FSPIOP-Destination")
    if destination != fsp_id:
        raise malformed("FSPIOP-Destination is another institution.", "header:FSPIOP-Destination")
    return source


def _check_media(value: str | None, resource: str, name: str) -> None:
    if not value:
        raise missing(f"The header {name} is missing.", f"header:{name}")
    found = _MEDIA.fullmatch(value.strip())
    if found is None or found[1] != resource:
        raise malformed(f"{name} must be {media_type(resource)}.", f"header:{name}")
    if found[2] not in (None, _MAJOR):
        raise FspiopRefusal(
            406, refusals.UNACCEPTABLE_VERSION, "Only version 1.x is spoken here.", f"header:{name}"
        )


def _check_accept(value: str, resource: str) -> None:
    """Any one of the acceptable types is enough."""
    refused: FspiopRefusal | None = None
    for choice in value.split(","):
        try:
            _check_media(choice, resource, "Accept")
        except FspiopRefusal as refusal:
            refused = refusal
        else:
            return
    if refused is not None:
        raise refused


def _check_date(value: str | None) -> None:
    if not value:
        raise missing("The header Date is missing.", "header:Date")
    fault = malformed("Date must look like Tue, 15 Nov 1994 08:12:31 GMT.", "header:Date")
    if _IMF_DATE.fullmatch(value) is None:
        raise fault
    try:
        parsedate_to_datetime(value)
    except ValueError as error:
        raise fault from error


def _fsp_id(value: str | None, name: str) -> str:
    if not value:
        raise missing(f"The header {name} is missing.", f"header:{name}")
    if len(value) > FSP_ID_CHARACTERS_MAX:
        raise malformed(f"{name} is longer than {FSP_ID_CHARACTERS_MAX} characters.", f"header:{name}")
    return value
