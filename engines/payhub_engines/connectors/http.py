"""HTTP as connectors use it: one bounded request, one bounded answer; failures are failed jobs."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import aiohttp
import msgspec
from yarl import URL

from payhub_engines.connectors.job import JobFailedError

ANSWER_BYTES_MAX: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024


class UnreachableError(JobFailedError):
    """No answer, or no whole one: whether the other side has acted is not known."""


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Status and body of an answer."""

    status: int
    body: bytes = b""


class HttpClient(Protocol):
    """What connectors need of an HTTP client."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> HttpAnswer:
        """Send one request and read the whole answer.

        Args:
            method: HTTP method.
            url: percent-encoded already.
            headers: all headers but those of the transport.
            body: empty for none.
            timeout_s: for everything, from connecting to the last byte.

        Raises:
            UnreachableError: there is no answer within the limits.
        """


class AiohttpClient:
    """The engine's shared aiohttp session as an ``HttpClient``."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> HttpAnswer:
        """Send one request; redirects are not followed, because they would leave the agreed host."""
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                return HttpAnswer(status=response.status, body=await _read(response))
        except TimeoutError as error:
            raise UnreachableError(f"{method}: no answer within {timeout_s} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{method}: {type(error).__name__}") from error


HttpFactory = Callable[[aiohttp.ClientSession], HttpClient]


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise UnreachableError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
