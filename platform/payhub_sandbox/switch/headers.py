"""Header rules of FSPIOP 1.1 section 3.2.1, as Mojaloop's own services check them."""

import re
from datetime import datetime
from typing import Final

from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import (
    MALFORMED_SYNTAX,
    MISSING_ELEMENT,
    TOO_LARGE_PAYLOAD,
    UNACCEPTABLE_VERSION,
    FspiopRefusalError,
)

BODY_BYTES_MAX: Final = 5_242_880  # FSPIOP 1.1 section 3.2.1.1
MAJOR_VERSION: Final = "1"

_NOT_ACCEPTABLE: Final = 406
_MEDIA: Final = re.compile(
    r"application/vnd\.interoperability\.(\w+)\+json(?: ?; ?version=(\d+)(?:\.(\d+))?)?"
)
_DATE_FORMAT: Final = "%a, %d %b %Y %H:%M:%S GMT"


def media_type(resource: str) -> str:
    """Return the Content-Type of a resource's body, version 1.1."""
    return f"application/vnd.interoperability.{resource}+json;version=1.1"


def check_headers(incoming: Incoming, resource: str) -> None:
    """Refuse a request whose headers are missing or malformed.

    Raises:
        FspiopRefusalError: 3102 missing, 3101 malformed, 3001 (HTTP 406) version, 3104 body too large.
    """
    if len(incoming.body) > BODY_BYTES_MAX:
        raise FspiopRefusalError(TOO_LARGE_PAYLOAD, f"A body has at most {BODY_BYTES_MAX} bytes.")
    required = ["Content-Type", "Date", "FSPIOP-Source"]
    if incoming.method in ("GET", "POST"):
        required.append("Accept")
    if not (incoming.method == "GET" or resource == "participants"):
        required.append("FSPIOP-Destination")
    for name in required:
        if not incoming.headers.get(name.lower()):
            raise FspiopRefusalError(MISSING_ELEMENT, f"The header {name} is missing.")
    _check_date(incoming.headers["date"])
    _check_media("Content-Type", [incoming.headers["content-type"]], resource)
    if "Accept" in required:
        _check_media("Accept", incoming.headers["accept"].split(","), resource)


def _check_date(text: str) -> None:
    try:
        datetime.strptime(text, _DATE_FORMAT)  # noqa: DTZ007 - only the form is checked, the zone is the literal GMT
    except ValueError as error:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "The header Date is no IMF-fixdate.") from error


def _check_media(name: str, values: list[str], resource: str) -> None:
    """Accept when one of the listed media types names the resource in a version the switch speaks."""
    matches = [_MEDIA.fullmatch(value.strip()) for value in values]
    fitting = [found for found in matches if found is not None and found[1] == resource]
    if not fitting:
        raise FspiopRefusalError(MALFORMED_SYNTAX, f"The header {name} does not name {resource}.")
    if name == "Content-Type" and fitting[0][3] is None:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "Content-Type needs a version such as 1.1.")
    if all(found[2] not in (None, MAJOR_VERSION) for found in fitting):
        raise FspiopRefusalError(
            UNACCEPTABLE_VERSION, f"The switch speaks version 1.1 of {resource}.", _NOT_ACCEPTABLE
        )
