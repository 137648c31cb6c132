"""OAuth2 client credentials towards banks (RFC 6749 section 4.4): one token for many calls."""

import asyncio
import base64
from typing import Final
from urllib.parse import quote_plus, urlencode

import msgspec

from payhub_engines.connectors.ams.decoding import UNREADABLE
from payhub_engines.connectors.ams.errors import RETRY_AFTER_MS
from payhub_engines.connectors.ams.expiring import ExpiringCache
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.tls import TlsContexts
from payhub_engines.connectors.http import HttpClient
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import AmsOAuth

TIMEOUT_S: Final = 10.0
TOKENS_MAX: Final = 10_000
EARLY_MS: Final = 10_000  # a token is renewed before it ends, for the time that a call takes
LIFE_DEFAULT_S: Final = 60  # where the server does not say how long a token lives
LIFE_MAX_S: Final = 24 * 3600
_OK: Final = 200


class Token(msgspec.Struct, frozen=True):
    """An access token and when it is renewed, milliseconds."""

    value: str
    until_ms: int


class _TokenBody(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int | float | None = None


class Tokens:
    """The tokens of all tenants; each is asked for by one call at a time."""

    def __init__(self, tls: TlsContexts) -> None:
        self._tls = tls
        self._tokens = ExpiringCache[tuple[str, AmsOAuth], Token](TOKENS_MAX, LIFE_MAX_S * 1000)
        self._asking: dict[str, asyncio.Lock] = {}

    async def get(self, call: BankCall, oauth: AmsOAuth, http: HttpClient) -> Token:
        """Return a token that holds for a call.

        Raises:
            JobFailedError: the authorization server gives none.
        """
        key = (call.tenant_id, oauth)
        async with self._asking.setdefault(call.tenant_id, asyncio.Lock()):
            known = self._tokens.get(key, call.context.clock())
            if known is None or known.until_ms <= call.context.clock():
                known = await self._ask(call, oauth, http)
                self._tokens.keep(key, known, call.context.clock())
        return known

    def drop(self, call: BankCall, oauth: AmsOAuth, refused: Token) -> None:
        """Forget a token that the bank refuses; one that came in its place meanwhile is kept."""
        key = (call.tenant_id, oauth)
        if self._tokens.get(key, call.context.clock()) is refused:
            self._tokens.drop(key)

    async def _ask(self, call: BankCall, oauth: AmsOAuth, http: HttpClient) -> Token:
        secret = call.context.secrets.open(oauth.client_secret_sealed, f"ams-oauth:{call.tenant_id}")
        pair = f"{quote_plus(oauth.client_id)}:{quote_plus(secret)}"  # RFC 6749 section 2.3.1
        form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
        answer = await http.request(
            "POST",
            oauth.token_url,
            headers={
                "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            body=urlencode(form).encode(),
            timeout_s=TIMEOUT_S,
            tls=self._tls.of(call),
        )
        if answer.status != _OK:
            text = f"the authorization server answers {answer.status}"
            raise JobFailedError(text, RETRY_AFTER_MS)
        try:
            body = msgspec.json.decode(answer.body, type=_TokenBody)
        except UNREADABLE as error:
            raise JobFailedError("the authorization server's answer is no token", RETRY_AFTER_MS) from error
        if body.token_type.lower() != "bearer" or not _is_header_text(body.access_token):
            raise JobFailedError("the authorization server's token is no bearer token", RETRY_AFTER_MS)
        life_s = LIFE_DEFAULT_S if body.expires_in is None else body.expires_in
        life_ms = int(min(max(life_s, 0), LIFE_MAX_S) * 1000)
        until_ms = call.context.clock() + max(life_ms - EARLY_MS, life_ms // 2)
        return Token(body.access_token, until_ms)


def _is_header_text(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
