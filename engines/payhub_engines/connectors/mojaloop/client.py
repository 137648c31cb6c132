"""Messages to the switch: FSPIOP headers, signature, and what the switch's immediate answer means."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from opentelemetry.trace import SpanKind

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer, HttpFactory
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_platform.contracts.fspiop import ErrorResponse, Message
from payhub_platform.security import jws
from payhub_platform.telemetry.tracing import traceparent_of

TIMEOUT_S: Final = 5.0
RETRY_AFTER_MS: Final = 500

_SEGMENT_SAFE: Final = "!$&'()*+,;=:@"  # RFC 3986 pchar: written as they are
_REQUESTS: Final = frozenset(("GET", "POST", "DELETE"))
_SUCCESS: Final = frozenset((200, 202))
_BUSINESS_STATUSES: Final = frozenset((400, 404, 405, 406))


class SchemeRefusalError(Exception):
    """The switch refused a message at once: sent again as it is, it would be refused again.

    Attributes:
        code: FSPIOP error code.
        description: the switch's own words.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class FspiopClient:
    """Sends messages in the name of a job's tenant."""

    def __init__(self, http: HttpFactory, keys: KeyRing) -> None:
        self._http = http
        self._keys = keys

    async def send(
        self,
        job: Job,
        context: ConnectorContext,
        method: str,
        path: Sequence[str],
        *,
        body: Message | None = None,
        destination: str = "",
        query: str = "",
    ) -> None:
        """Send one message and make sure that the switch took it.

        Args:
            job: for whom, and in which trace.
            context: the connector's context.
            method: HTTP method.
            path: segments from the resource on, not encoded.
            body: the message; None for GET.
            destination: FSP id, empty where the switch has to find it.
            query: of the URL, encoded.

        Raises:
            SchemeRefusalError: refused for what it is (status 400, 404, 405 or 406).
            JobFailedError: not taken now; to be sent again with the same ids.
        """
        tenant = context.tenant(job.tenant)
        uri = "/" + "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in path)
        with context.tracing.span(
            f"{method} {path[0]}", job.trace, SpanKind.CLIENT, element=job.element
        ) as span:
            sent = {
                "Content-Type": fspiop_headers.media_type(path[0]),
                "Date": fspiop_headers.format_date(context.clock()),
                "FSPIOP-Source": tenant.fsp_id,
            }
            if method in _REQUESTS:
                sent["Accept"] = fspiop_headers.media_type(path[0])
            if destination:
                sent["FSPIOP-Destination"] = destination
            if job.trace:
                sent["traceparent"] = traceparent_of(span)
            data = b"" if body is None else msgspec.json.encode(body)
            if data:
                key = self._keys.of(tenant, context.secrets).private_key
                sent |= jws.sign(data, sent, uri, method, key)
            url = tenant.scheme.base_url.rstrip("/") + uri + (f"?{query}" if query else "")
            client = self._http(context.http)
            answer = await client.request(method, url, headers=sent, body=data, timeout_s=TIMEOUT_S)
        _judge(answer, f"{method} /{path[0]}")


def _judge(answer: HttpAnswer, what: str) -> None:
    if answer.status in _SUCCESS:
        return
    if answer.status not in _BUSINESS_STATUSES:
        raise JobFailedError(f"{what}: the switch answers {answer.status}", RETRY_AFTER_MS)
    try:
        information = msgspec.json.decode(answer.body, type=ErrorResponse).error_information
    except (msgspec.DecodeError, UnicodeDecodeError):
        code, description = refusals.CLIENT_ERROR, f"The switch answers {answer.status}."
    else:
        code, description = information.error_code, information.error_description
    raise SchemeRefusalError(code, description)
