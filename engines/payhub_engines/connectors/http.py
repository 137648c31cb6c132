"""HTTP as connectors use it: one bounded request, one bounded answer; failures are failed jobs."""

import ssl
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import aiohttp
import msgspec
from yarl import URL

from payhub_engines.connectors.job import JobFailedError

ANSWER_BYTES_MAX: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
CONNECTIONS_MAX: Final = 256  # of all tenants
TIMEOUT_S: Final = 10.0  # where a request names none
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not of the agreed shape, or nested beyond measure."""


class UnreachableError(JobFailedError):
    """No answer, or no whole one: whether the other side has acted is not known."""


class AnswerTooLongError(UnreachableError):
    """The other side answers more than is read of it."""


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Status and body of an answer; headers by their lower-case names."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


class HttpClient(Protocol):
    """What connectors need of an HTTP client."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> HttpAnswer:
        """Send one request and read the whole answer.

        Args:
            method: HTTP method.
            url: percent-encoded already.
            headers: all headers but those of the transport.
            body: empty for none.
            timeout_s: for everything, from connecting to the last byte.
            tls: whom to trust and who we are; None for the public authorities.
            answer_bytes_max: of the answer's body.

        Raises:
            UnreachableError: there is no answer within the limits; AnswerTooLongError where it is too long.
        """


def client_session() -> aiohttp.ClientSession:
    """Open the session that all tenants' connectors share: bounded, and without cookies.

    Two tenants' banks may be one host; a cookie of one tenant would speak for the other there.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class AiohttpClient:
    """The engine's shared aiohttp session as an ``HttpClient``."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
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
                ssl=True if tls is None else tls,
            ) as response:
                return HttpAnswer(
                    status=response.status,
                    body=await _read(response, answer_bytes_max),
                    headers={name.lower(): value for name, value in response.headers.items()},
                )
        except TimeoutError as error:
            raise UnreachableError(f"{method}: no answer within {timeout_s} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{method}: {type(error).__name__}") from error


HttpFactory = Callable[[aiohttp.ClientSession], HttpClient]


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > bytes_max:
            raise AnswerTooLongError(f"the answer is longer than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
