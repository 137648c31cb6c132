"""Requests to banks: address, credentials, TLS, bounds. What an answer means is said elsewhere."""

import base64
import ssl
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from opentelemetry.trace import SpanKind

from payhub_engines.connectors.access import Access, Side, Token
from payhub_engines.connectors.ams.errors import RETRY_AFTER_MS
from payhub_engines.connectors.ams.guard import BankGuard
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.http import ANSWER_BYTES_MAX, HttpAnswer, HttpClient, HttpFactory

TIMEOUT_S: Final = 10.0
_UNAUTHORIZED: Final = 401
_BANK: Final = Side(name="bank", secrets="ams", token_timeout_s=10.0, retry_after_ms=RETRY_AFTER_MS)


class BankRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request: the path below the bank's base URL in segments that are not encoded yet.

    Attributes:
        name: for traces and messages, such as ``POST transfers PREPARE``.
        key: header Idempotency-Key; empty for none.
    """

    method: str
    path: tuple[str, ...]
    name: str
    query: dict[str, str] = {}
    body: Any = None  # None, or what JSON can say
    key: str = ""
    answer_bytes_max: int = ANSWER_BYTES_MAX


class BankTransport:
    """Sends to all tenants' banks; one object for each engine process."""

    def __init__(self, http: HttpFactory) -> None:
        self._http = http
        self._access = Access(_BANK)
        self._guards: dict[str, BankGuard] = {}

    def guard(self, call: BankCall) -> BankGuard:
        """Return the bounds of a tenant's bank."""
        guard = self._guards.get(call.tenant_id)
        if guard is None:
            guard = self._guards[call.tenant_id] = BankGuard(call.tenant_id, call.context.clock)
        return guard

    async def send(self, call: BankCall, request: BankRequest) -> HttpAnswer:
        """Send a request and return the answer, whatever its status.

        With OAuth2, a 401 is answered by one new token: it may have been revoked. A bank that answers
        401 has done nothing.

        Raises:
            JobFailedError: there is no answer (UnreachableError), or the bank may not be called now.
        """
        http = self._http(call.context.http)
        tls = self._access.tls(call.tenant_id, call.connection, call.context)
        with call.context.tracing.span(
            f"ams {request.name}", call.trace, SpanKind.CLIENT, element=call.element
        ):
            return await self.guard(call).run(lambda: self._authorized(http, tls, call, request))

    async def _authorized(
        self, http: HttpClient, tls: ssl.SSLContext | None, call: BankCall, request: BankRequest
    ) -> HttpAnswer:
        caller = (call.tenant_id, call.connection, call.context)
        token = await self._access.token(*caller, http)
        answer = await self._request(http, tls, call, request, _authorization(call, token))
        if answer.status == _UNAUTHORIZED and token is not None:
            self._access.refused(*caller, token)
            token = await self._access.token(*caller, http)
            answer = await self._request(http, tls, call, request, _authorization(call, token))
        return answer

    @staticmethod
    async def _request(
        http: HttpClient,
        tls: ssl.SSLContext | None,
        call: BankCall,
        request: BankRequest,
        authorization: str,
    ) -> HttpAnswer:
        headers = {
            "Authorization": authorization,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        if call.connection.platform_tenant:
            headers["Fineract-Platform-TenantId"] = call.connection.platform_tenant
        if request.key:
            headers["Idempotency-Key"] = request.key
        path = "/".join(quote(segment, safe="") for segment in request.path)
        url = f"{call.connection.base_url.rstrip('/')}/{path}"
        return await http.request(
            request.method,
            f"{url}?{urlencode(request.query)}" if request.query else url,
            headers=headers,
            body=b"" if request.body is None else msgspec.json.encode(request.body),
            timeout_s=TIMEOUT_S,
            tls=tls,
            answer_bytes_max=request.answer_bytes_max,
        )


def _authorization(call: BankCall, token: Token | None) -> str:
    if token is not None:
        return token.header
    password = call.context.secrets.open(call.connection.password_sealed, f"ams:{call.tenant_id}")
    credentials = f"{call.connection.username}:{password}".encode()
    return f"Basic {base64.b64encode(credentials).decode()}"
