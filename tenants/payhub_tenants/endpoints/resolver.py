"""Asks the name service which addresses a host has."""

import asyncio
import socket
from typing import Final, Protocol

RESOLVE_TIMEOUT_S: Final = 3.0


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
