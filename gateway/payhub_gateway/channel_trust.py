"""TLS takes certificates that tenants' own authorities have issued, as soon as these are known.

Here a certificate only opens a connection. Whose client it stands for is decided where tokens are issued, by
``oauth2.authorities``; an authority that a tenant has removed vouches for nobody there, though its
certificates open connections until the process ends.
"""

import asyncio
import logging
import ssl
from typing import Final

from payhub_platform import cancellation
from payhub_platform.bus.directory import TenantDirectory

_logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
AUTHORITIES_MAX: Final = 10_000


class ChannelTrust:
    """Adds the authorities of all tenants to what a server's TLS trusts."""

    def __init__(self, directory: TenantDirectory) -> None:
        self._directory = directory
        self._known: set[str] = set()
        self._looking: asyncio.Task[None] | None = None

    def follow(self, context: ssl.SSLContext) -> None:
        """Trust what tenants have now, and what they will have, until ``close``."""
        self.look(context)
        self._looking = asyncio.create_task(self._look_again(context), name="channel-trust")

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await cancellation.end([self._looking])

    def look(self, context: ssl.SSLContext) -> None:
        """Trust authorities that are new; where nobody was trusted before, clients are asked from now on."""
        for tenant in self._directory.all():
            for pem in tenant.channel_authorities:
                if pem in self._known or len(self._known) >= AUTHORITIES_MAX:
                    continue
                self._known.add(pem)
                try:
                    context.load_verify_locations(cadata=pem)
                except (ssl.SSLError, ValueError) as error:
                    _logger.warning("an authority of %s cannot be read: %s", tenant.tenant_id, error)
                    continue
                if context.verify_mode == ssl.CERT_NONE:
                    context.verify_mode = ssl.CERT_OPTIONAL

    async def _look_again(self, context: ssl.SSLContext) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(context)
