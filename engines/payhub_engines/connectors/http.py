"""HTTP as connectors use it: one bounded request, one bounded answer; failures are failed jobs."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from payhub_engines.connectors.job import JobFailedError
from payhub_platform import http_client

ANSWER_BYTES_MAX: Final = 1024 * 1024
CONNECTIONS_MAX: Final = 256  # of all tenants
_PLAIN: Final = ("Accept-Encoding", "identity")
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


class SharedConnections:
    """The engine's connections, which all tenants' connectors share, as an ``HttpClient``.

    Nothing is kept of an answer, such as a cookie: two tenants' banks may be one host.
    """

    def __init__(self, client: http_client.HttpClient) -> None:
        self._client = client

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
        sent = [*headers.items(), _PLAIN]
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._client.request(
                    method, url, sent, body, tls=tls, answer_bytes_max=answer_bytes_max
                )
        except TimeoutError as error:
            raise UnreachableError(f"{method}: no answer within {timeout_s} s") from error
        except http_client.AnswerTooLongError as error:
            raise AnswerTooLongError(str(error)) from error
        except (http_client.UnansweredError, ValueError) as error:  # or it cannot be written as it is
            raise UnreachableError(f"{method}: {error}") from error
        return HttpAnswer(status=answer.status, body=answer.body, headers=answer.headers)


HttpFactory = Callable[[http_client.HttpClient], HttpClient]
