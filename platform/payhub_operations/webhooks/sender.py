"""Sends one attempt: to a public address that was checked and no other; follows and reads nothing."""

import logging
import time
from collections.abc import Sequence
from socket import AddressFamily
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from payhub_operations.webhooks.model import Answer, Delivery
from payhub_operations.webhooks.signature import signed_headers
from payhub_platform.contracts.tenant import WebhookSecret
from payhub_platform.security.addresses import PrivateAddressError, Resolver, check_address, check_host
from payhub_platform.security.secrets import SealError, SecretBox

_logger = logging.getLogger(__name__)

ATTEMPT_TIMEOUT_S: Final = 15.0  # Standard Webhooks recommends 15 to 30
CONNECT_TIMEOUT_S: Final = 5.0
_IP_VERSION_6: Final = ":"
_HEADERS: Final = {"content-type": "application/json", "user-agent": "payhub-webhooks/1"}


class Sender:
    """Has one connection an attempt: what a receiver says after its answer is never read as another one."""

    def __init__(self, box: SecretBox, resolver: Resolver, *, private_allowed: bool) -> None:
        self._box = box
        self._private_allowed = private_allowed
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_CheckedResolver(resolver, private_allowed=private_allowed),
                use_dns_cache=False,
                force_close=True,
                limit=0,  # the deliverer has its own bounds
            ),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("accept-encoding",),
        )

    async def send(self, delivery: Delivery, now_ms: int) -> Answer:
        """Make one attempt; whatever the receiver does, it is told by what is returned."""
        began = time.monotonic()
        status, error = 0, ""
        try:
            status = await self._post(delivery, now_ms)
            error = "" if 200 <= status < 300 else f"status-{status}"  # noqa: PLR2004 - RFC 9110 section 15.3
        except PrivateAddressError as refusal:
            error = refusal.code
        except SealError as refusal:
            error = refusal.code
        except TimeoutError:
            error = "timeout"
        except aiohttp.ClientConnectorDNSError:
            error = "unknown-host"
        except aiohttp.ClientSSLError:
            error = "tls"
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = "no-connection" if isinstance(failure, aiohttp.ClientConnectionError) else "no-answer"
        except Exception as failure:  # noqa: BLE001 - one receiver must not end what serves the others
            _logger.error("webhook %d of %s: %s", delivery.number, delivery.tenant, type(failure).__name__)  # noqa: TRY400 - it may hold what was answered
            error = "no-answer"
        return Answer(status=status, error=error, took_ms=round((time.monotonic() - began) * 1000))

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    async def _post(self, delivery: Delivery, now_ms: int) -> int:
        url = URL(delivery.url)
        if not self._private_allowed:
            if url.scheme != "https":
                raise PrivateAddressError("/url")
            # An address in the URL itself is never looked up.
            check_host((url.host or "").rstrip("."), "/url")
        body = delivery.body.encode()
        secrets = self._opened(delivery.tenant, delivery.secrets, now_ms)
        headers = signed_headers(delivery.message, now_ms // 1000, body, secrets)
        async with self._session.post(
            url, data=body, headers=_HEADERS | headers, allow_redirects=False
        ) as answer:
            return answer.status

    def _opened(self, tenant: str, secrets: Sequence[WebhookSecret], now_ms: int) -> list[str]:
        valid = [each for each in secrets if each.valid_until_ms is None or each.valid_until_ms > now_ms]
        return [self._box.open(each.secret_sealed, f"webhook:{tenant}") for each in valid]


class _CheckedResolver(AbstractResolver):
    """Returns checked addresses, and these are connected to: there is no second look-up."""

    def __init__(self, resolver: Resolver, *, private_allowed: bool) -> None:
        self._resolver = resolver
        self._private_allowed = private_allowed

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        """Look a host up.

        Raises:
            OSError: it has no address.
            PrivateAddressError: one of its addresses is private.
        """
        del family  # both
        found = await self._resolver.addresses(host)
        if not found:
            raise OSError(f"no address of {host}")
        if not self._private_allowed:
            for address in found:
                check_address(address, "/url")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AddressFamily.AF_INET6 if _IP_VERSION_6 in address else AddressFamily.AF_INET,
                proto=0,
                flags=0,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Close nothing."""
