r"""The kinds of text that requests carry, with their limits.

Patterns end in ``\Z``, because ``$`` also matches before a trailing newline.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct

from payhub_platform.errors import InvalidInputError

BODY_BYTES_MAX: Final = 64 * 1024
URL_CHARS_MAX: Final = 512
PORT_MAX: Final = 65_535
HOST_CHARS_MAX: Final = 253  # RFC 1035 section 2.3.4
# RFC 1123 section 2.1, and the underscore that names of containers have.
_HOST: Final = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?", re.ASCII
)
_NUMERIC: Final = re.compile(r"[0-9.]+", re.ASCII)

TenantId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,30}\Z")]
EngineId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
# FSPIOP 1.1 section 7.3.16 allows any 32 characters; these are safe in headers, paths and subjects.
FspId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")]
ClientId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
DisplayName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,120}\Z")]
HeaderText = Annotated[str, Meta(pattern=r"^[!-~]{1,100}\Z")]
Username = Annotated[str, Meta(pattern=r"^[!-9;-~]{1,100}\Z")]  # RFC 7617: no colon
Password = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,256}\Z")]
ZoneName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}\Z")]
Pem = Annotated[str, Meta(pattern=r"^[\t\r\n -~]{1,16384}\Z")]
Url = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=URL_CHARS_MAX)]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The base of every request body: strict, immutable, camelCase."""


class View(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The base of every answer."""


def base_url(url: str, where: str) -> str:
    """Check the address of another system and return it without a trailing slash.

    Raises:
        InvalidInputError: code ``invalid-url``.
    """
    parts = _split(url, where)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError("invalid-url", "The address must be an http or https URL with a host.", where)
    if not _is_host(parts.hostname, is_ipv6="[" in parts.netloc):
        raise InvalidInputError("invalid-url", "The host is neither a name nor an IP address.", where)
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("invalid-url", "Credentials do not belong into an address.", where)
    if "?" in url or "#" in url:
        raise InvalidInputError("invalid-url", "The address must have no query and no fragment.", where)
    return url.rstrip("/")


def _split(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Reading the port is what checks it.
        if parts.port is not None and not 1 <= parts.port <= PORT_MAX:
            raise InvalidInputError("invalid-url", "The address has an impossible port.", where)
    except ValueError as error:
        raise InvalidInputError("invalid-url", f"The address is no URL: {error}.", where) from error
    return parts


def _is_host(host: str, *, is_ipv6: bool) -> bool:
    """Tell whether a host can be called at all; what cannot would fail only later, at every call."""
    try:
        if is_ipv6:
            IPv6Address(host)
        elif _NUMERIC.fullmatch(host):
            IPv4Address(host)
        else:
            return len(host) <= HOST_CHARS_MAX and _HOST.fullmatch(host) is not None
    except AddressValueError:
        return False
    return True
