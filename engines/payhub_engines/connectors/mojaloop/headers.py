"""FSPIOP's headers: what a message must carry, and what ours do (API Definition 1.1 section 3.2)."""

import functools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from payhub_engines.connectors.mojaloop import media_types
from payhub_engines.connectors.mojaloop.refusal import malformed, missing, not_served
from payhub_platform.contracts.tenant import TenantConfig

FSP_ID_CHARACTERS_MAX: Final = 32

_IMF_DATE: Final = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_SINGLE: Final = frozenset(("content-type", "date", "traceparent"))
_FSP_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{FSP_ID_CHARACTERS_MAX}}}")


def format_date(at_ms: int) -> str:
    """Write the Date header: IMF-fixdate, always GMT."""
    return _date(at_ms // 1000)


@functools.lru_cache(maxsize=64)
def _date(at_s: int) -> str:
    return format_datetime(datetime.fromtimestamp(at_s, UTC), usegmt=True)


def read(sent: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of a message by lower-case name; lists that came in parts are put together.

    Raises:
        FspiopRefusal: 3101 where one that says who speaks, about what or when, is there twice: what stands
            before payhub may have looked at the other one.
    """
    headers: dict[str, str] = {}
    for name, value in sent:
        key = name.lower()
        if key in headers and (key in _SINGLE or key.startswith("fspiop-")):
            raise malformed("It is there twice.", f"header:{name}")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def check(
    headers: Mapping[str, str], resource: str, tenant: TenantConfig, *, is_request: bool, is_addressed: bool
) -> media_types.MediaType:
    """Check the headers of a message and return what its content is.

    Headers that a scheme's proxies add (FSPIOP-Proxy, X-Forwarded-For, tracestate) are let pass.

    Args:
        headers: by lower-case name.
        resource: first segment of the path, such as ``parties``.
        tenant: who must be the FSPIOP-Destination.
        is_request: it is a GET, POST or DELETE, which may carry Accept.
        is_addressed: the path named the tenant, so that FSPIOP-Destination may be absent.

    Raises:
        FspiopRefusal: 3102 for a missing header, 3101 for a malformed one, 3001 with status 406 for a
            version that the tenant's scheme does not speak, 2002 with 501 for encrypted fields.
    """
    content = media_types.check_content(headers.get("content-type"), resource, tenant.scheme)
    if is_request:
        media_types.check_accept(headers.get("accept"), resource, tenant.scheme)
    _check_date(headers.get("date"))
    source_of(headers)
    if headers.get("fspiop-encryption"):
        # Ciphertext must not be taken for what it hides (Encryption 1.1); no scheme is known to use it.
        raise not_served("Encrypted fields cannot be read here.")
    destination = headers.get("fspiop-destination", "")
    if not destination and not is_addressed:
        raise missing("The header is missing.", "header:FSPIOP-Destination")
    if destination and destination != tenant.fsp_id:
        raise malformed("It is another institution.", "header:FSPIOP-Destination")
    return content


def source_of(headers: Mapping[str, str]) -> str:
    """Return FSPIOP-Source.

    Raises:
        FspiopRefusal: 3102 where it is absent, 3101 where it is no FSP id.
    """
    source = headers.get("fspiop-source")
    if not source:
        raise missing("The header is missing.", "header:FSPIOP-Source")
    if _FSP_ID.fullmatch(source) is None:
        raise malformed(f"It has 1 to {FSP_ID_CHARACTERS_MAX} visible characters.", "header:FSPIOP-Source")
    return source


def _check_date(value: str | None) -> None:
    if not value:
        raise missing("The header is missing.", "header:Date")
    fault = malformed("It must look like Tue, 15 Nov 1994 08:12:31 GMT.", "header:Date")
    if _IMF_DATE.fullmatch(value) is None:
        raise fault
    try:
        parsedate_to_datetime(value)
    except ValueError as error:
        raise fault from error
