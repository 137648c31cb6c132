"""Endpoints, and which addresses payhub may be sent to. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from payhub_platform.errors import InvalidInputError
from payhub_tenants.endpoints.errors import PrivateAddressError
from payhub_tenants.fields import Body, Url, base_url

ENDPOINTS_DOCUMENT: Final = "endpoints"
ENDPOINTS_MAX: Final = 10
# RFC 6761, RFC 6762, RFC 8375 and what clouds name their insides.
_PRIVATE_SUFFIXES: Final = (
    ".localhost", ".local", ".internal", ".home.arpa", ".lan", ".svc", ".cluster.local", ".test", ".invalid",
)  # fmt: skip

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052

EventKind = Literal["payment.completed", "payment.failed", "tenant.suspended", "tenant.resumed"]


class Endpoint(Body, frozen=True, kw_only=True):
    """One address, and what is told there."""

    url: Url
    purpose: Literal["callback", "webhook"]
    events: Annotated[list[EventKind], Meta(min_length=1, max_length=4)]


class Endpoints(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/endpoints``: all of them; what is not there is called no more."""

    endpoints: Annotated[list[Endpoint], Meta(max_length=ENDPOINTS_MAX)]


def public_host(url: str, where: str) -> str:
    """Return the host of an https address that does not say itself that it is private.

    Raises:
        InvalidInputError: ``invalid-url`` or ``private-address``.
    """
    parts = urlsplit(base_url(url, where))
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https":
        raise PrivateAddressError(where)
    if is_address(host):
        check_address(host, where)
    elif "." not in host or any(f".{host}".endswith(suffix) for suffix in _PRIVATE_SUFFIXES):
        raise PrivateAddressError(where)
    return host


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_address(address: str, where: str) -> None:
    """Refuse an address that is not global, also where IPv6 hides an IPv4 one.

    Raises:
        PrivateAddressError: it is private, loopback, link-local, shared, reserved or multicast.
    """
    found = ip_address(address)
    hidden = _hidden(found) if isinstance(found, IPv6Address) else None
    # What counts is where the packet ends: the hidden address, where there is one.
    meant = hidden or found
    if not meant.is_global or meant.is_multicast:
        raise PrivateAddressError(where)


def _hidden(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside of a mapped, 6to4, Teredo or NAT64 one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def checked_endpoints(body: Endpoints) -> Endpoints:
    """Return endpoints that are there once each, with public addresses as far as they say themselves.

    Raises:
        InvalidInputError: ``duplicate-endpoint``, ``invalid-url`` or ``private-address``.
    """
    for index, endpoint in enumerate(body.endpoints):
        public_host(endpoint.url, f"/endpoints/{index}/url")
        if any((endpoint.url, endpoint.purpose) == (e.url, e.purpose) for e in body.endpoints[:index]):
            raise InvalidInputError("duplicate-endpoint", "Each is named once.", f"/endpoints/{index}")
    return body
