"""Header rules of FSPIOP 1.1 section 3.2.1, as Mojaloop's own services check them."""

from datetime import datetime
from typing import Final

from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import (
    MALFORMED_SYNTAX,
    MISSING_ELEMENT,
    TOO_LARGE_PAYLOAD,
    FspiopRefusalError,
)
from payhub_sandbox.switch.versions import ASKING, answer_version, body_version

BODY_BYTES_MAX: Final = 5_242_880  # FSPIOP 1.1 section 3.2.1.1

_UNADDRESSED: Final = frozenset({"participants", "services"})  # the switch answers them itself
_DATE_FORMAT: Final = "%a, %d %b %Y %H:%M:%S GMT"


def check_headers(incoming: Incoming, resource: str) -> None:
    """Refuse a request whose headers are missing or malformed.

    Raises:
        FspiopRefusalError: 3102 missing, 3101 malformed, 3001 (HTTP 406) version, 3104 body too large.
    """
    if len(incoming.body) > BODY_BYTES_MAX:
        raise FspiopRefusalError(TOO_LARGE_PAYLOAD, f"A body has at most {BODY_BYTES_MAX} bytes.")
    required = ["Content-Type", "Date", "FSPIOP-Source"]
    if incoming.method in ASKING:
        required.append("Accept")
    if not (incoming.method == "GET" or resource in _UNADDRESSED):
        required.append("FSPIOP-Destination")
    for name in required:
        if not incoming.headers.get(name.lower()):
            raise FspiopRefusalError(MISSING_ELEMENT, f"The header {name} is missing.")
    _check_date(incoming.headers["date"])
    body_version(incoming.headers, resource)
    answer_version(incoming.method, incoming.headers, resource)


def _check_date(text: str) -> None:
    try:
        datetime.strptime(text, _DATE_FORMAT)  # noqa: DTZ007 - only the form is checked, the zone is the literal GMT
    except ValueError as error:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "The header Date is no IMF-fixdate.") from error
