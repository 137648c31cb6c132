"""Which addresses others may send payhub to: public ones, so that it is nobody's way into a private net."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Protocol

from payhub_platform.errors import InvalidInputError

RESOLVE_TIMEOUT_S: Final = 3.0
# RFC 6761, RFC 6762, RFC 8375 and what clouds name their insides.
_PRIVATE_SUFFIXES: Final = (
    ".localhost", ".local", ".internal", ".home.arpa", ".lan", ".svc", ".cluster.local", ".test", ".invalid",
)  # fmt: skip
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052


class PrivateAddressError(InvalidInputError):
    """The address leads into a private network: payhub would be the way in for whoever set it."""

    def __init__(self, where: str) -> None:
        super().__init__("private-address", "The address must be public and speak https.", where)


class Resolver(Protocol):
    """A name service."""

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host; none where it is not known."""
        ...


class SystemResolver:
    """The name service of this machine."""

    async def addresses(self, host: str) -> list[str]:
        """Ask for both families."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await loop.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # a TimeoutError is an OSError
            return []
        return sorted({str(address[4][0]).partition("%")[0] for address in found})


def check_host(host: str, where: str) -> None:
    """Refuse a host that says of itself that it is private; a name must be looked up besides.

    Raises:
        PrivateAddressError: it is a private address, or a name of an inner network.
    """
    if is_address(host):
        check_address(host, where)
    elif "." not in host or any(f".{host}".endswith(suffix) for suffix in _PRIVATE_SUFFIXES):
        raise PrivateAddressError(where)


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
