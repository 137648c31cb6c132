"""Messages to the switch: FSPIOP headers, signature, and what the switch's immediate answer means."""

from typing import Final

import msgspec
from opentelemetry.trace import SpanKind

from payhub_engines.connectors import refusals
from payhub_engines.connectors.access import Access, Side
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import UNREADABLE, HttpAnswer, HttpFactory
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.connectors.mojaloop import envelope
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import Outgoing
from payhub_platform.contracts.fspiop import ErrorResponse
from payhub_platform.contracts.tenant import SchemeConnection
from payhub_platform.security import jws

TIMEOUT_S: Final = 5.0
RETRY_AFTER_MS: Final = 500

_SUCCESS: Final = frozenset((200, 202))
_BUSINESS_STATUSES: Final = frozenset((400, 404, 405, 406, 501))
_UNAUTHORIZED: Final = 401
_PARTIES: Final = "parties"
_SCHEME: Final = Side(name="scheme", secrets="scheme", token_timeout_s=5.0, retry_after_ms=1_000)


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
    """Sends messages in the name of a job's tenant, as the tenant's scheme wants them."""

    def __init__(self, http: HttpFactory, keys: KeyRing) -> None:
        self._http = http
        self._keys = keys
        self._access = Access(_SCHEME)

    async def deliver(self, job: Job, context: ConnectorContext, message: Outgoing) -> None:
        """Send one message and make sure that the switch took it.

        Args:
            job: for whom, and in which trace.
            context: the connector's context.
            message: what one of the builders made.

        Raises:
            SchemeRefusalError: refused for what it is (status 400, 404, 405, 406 or 501).
            JobFailedError: not taken now; to be sent again with the same ids.
        """
        tenant = context.tenant(job.tenant)
        resource = message.path[0]
        client = self._http(context.http)
        with context.tracing.span(
            f"{message.method} {resource}", job.trace, SpanKind.CLIENT, element=job.element
        ) as span:
            uri, data = (
                envelope.uri_of(message, tenant.scheme),
                envelope.data_of(message, tenant, job.started_at_ms),
            )
            headers = envelope.headers_of(message, tenant, context.clock())
            if job.trace:
                headers["traceparent"] = span.traceparent
            if data and _is_signed(message, tenant.scheme):
                key = self._keys.of(tenant, context.secrets).private_key
                headers |= jws.sign(data, headers, uri, message.method, key)
            token = await self._access.token(tenant.tenant_id, tenant.scheme, context, client)
            if token is not None:
                headers["Authorization"] = token.header
            query = f"?{message.query}" if message.query else ""
            answer = await client.request(
                message.method,
                tenant.scheme.base_url.rstrip("/") + uri + query,
                headers=headers,
                body=data,
                timeout_s=TIMEOUT_S,
                tls=self._access.tls(tenant.tenant_id, tenant.scheme, context),
            )
        if answer.status == _UNAUTHORIZED and token is not None:
            self._access.refused(tenant.tenant_id, tenant.scheme, context, token)
        _judge(answer, f"{message.method} /{resource}")


def _is_signed(message: Outgoing, scheme: SchemeConnection) -> bool:
    is_party = message.method == "PUT" and message.path[0] == _PARTIES
    return scheme.signs and (scheme.signs_parties or not is_party)


def _judge(answer: HttpAnswer, what: str) -> None:
    if answer.status in _SUCCESS:
        return
    if answer.status not in _BUSINESS_STATUSES:
        raise JobFailedError(f"{what}: the switch answers {answer.status}", RETRY_AFTER_MS)
    try:
        information = msgspec.json.decode(answer.body, type=ErrorResponse).error_information
    except UNREADABLE:
        code, description = refusals.CLIENT_ERROR, f"The switch answers {answer.status}."
    else:
        code, description = information.error_code, information.error_description
    raise SchemeRefusalError(code, description)
