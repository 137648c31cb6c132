"""How an engine is let in elsewhere in a tenant's name: TLS, and OAuth2 client credentials (RFC 6749 4.4)."""

import asyncio
import base64
import ssl
from typing import Final, Protocol
from urllib.parse import quote_plus, urlencode

import msgspec

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.expiring import ExpiringCache
from payhub_engines.connectors.http import UNREADABLE, HttpClient
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import AmsOAuth, AmsTls, SchemeOAuth, SchemeTls
from payhub_platform.tls import client_context

CONTEXTS_MAX: Final = 1_000
CONTEXT_KEPT_MS: Final = 24 * 3600 * 1000
TOKENS_MAX: Final = 10_000
EARLY_MS: Final = 10_000  # a token is renewed before it ends, for the time that a call takes
LIFE_DEFAULT_S: Final = 60  # where the server does not say how long a token lives
LIFE_MAX_S: Final = 24 * 3600
UNUSABLE_RETRY_MS: Final = 60_000
_OK: Final = 200

TlsSettings = AmsTls | SchemeTls
OAuthSettings = AmsOAuth | SchemeOAuth


class Connection(Protocol):
    """What a tenant's settings say of how one is let in; none of both is asked for where they are None."""

    @property
    def tls(self) -> TlsSettings | None:
        """Whom to trust and who we are."""

    @property
    def oauth(self) -> OAuthSettings | None:
        """Where tokens come from."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a connector speaks to.

    Attributes:
        name: for people, such as ``bank``.
        secrets: how the contexts of its sealed secrets begin: ``ams`` for ``ams-oauth:<tenant_id>``.
        token_timeout_s: for one request of a token.
        retry_after_ms: after the authorization server gave none.
    """

    name: str
    secrets: str
    token_timeout_s: float
    retry_after_ms: int


class Token(msgspec.Struct, frozen=True):
    """An access token and when it is renewed, milliseconds."""

    value: str
    until_ms: int

    @property
    def header(self) -> str:
        """The header Authorization (RFC 6750 section 2.1)."""
        return f"Bearer {self.value}"


class _TokenBody(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int | float | None = None


class Access:
    """TLS contexts and tokens of all tenants at one side; one object for each connector."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._contexts = ExpiringCache[tuple[str, TlsSettings], ssl.SSLContext](CONTEXTS_MAX, CONTEXT_KEPT_MS)
        self._tokens = ExpiringCache[tuple[str, OAuthSettings], Token](TOKENS_MAX, LIFE_MAX_S * 1000)
        self._asking: dict[tuple[str, OAuthSettings], asyncio.Task[Token]] = {}

    def tls(self, tenant_id: str, connection: Connection, context: ConnectorContext) -> ssl.SSLContext | None:
        """Return a tenant's TLS context, made once for its settings; None where the public authorities do.

        Connections are shared by context.

        Raises:
            JobFailedError: certificate or key are not usable, which only the tenant's settings mend.
        """
        settings = connection.tls
        if settings is None:
            return None
        key, now_ms = (tenant_id, settings), context.clock()
        known = self._contexts.get(key, now_ms)
        if known is None:
            sealed = settings.private_key_sealed
            pem = context.secrets.open(sealed, f"{self._side.secrets}-tls:{tenant_id}") if sealed else ""
            known = self._tls_context(settings, pem)
            self._contexts.keep(key, known, now_ms)
        return known

    async def token(
        self, tenant_id: str, connection: Connection, context: ConnectorContext, http: HttpClient
    ) -> Token | None:
        """Return a token that holds for a call; None where none is asked for.

        However many calls wait, the server is asked once, and they all hear its answer: calls that asked
        one after the other would each wait for a server that does not answer.

        Raises:
            JobFailedError: the authorization server gives none.
        """
        oauth = connection.oauth
        if oauth is None:
            return None
        key = (tenant_id, oauth)
        known = self._tokens.get(key, context.clock())
        if known is not None and known.until_ms > context.clock():
            return known
        asking = self._asking.get(key)
        if asking is None:
            request = self._ask(tenant_id, oauth, self.tls(tenant_id, connection, context), context, http)
            asking = self._asking[key] = asyncio.create_task(request)
            asking.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(asking)

    def refused(
        self, tenant_id: str, connection: Connection, context: ConnectorContext, token: Token
    ) -> None:
        """Forget a token that was refused; one that came in its place meanwhile is kept."""
        oauth = connection.oauth
        if oauth is not None and self._tokens.get((tenant_id, oauth), context.clock()) is token:
            self._tokens.drop((tenant_id, oauth))

    def _asked(self, key: tuple[str, OAuthSettings], done: asyncio.Task[Token]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # who waited has heard it; where all of them are gone, nobody needs to

    async def _ask(
        self,
        tenant_id: str,
        oauth: OAuthSettings,
        tls: ssl.SSLContext | None,
        context: ConnectorContext,
        http: HttpClient,
    ) -> Token:
        secret = context.secrets.open(oauth.client_secret_sealed, f"{self._side.secrets}-oauth:{tenant_id}")
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
            timeout_s=self._side.token_timeout_s,
            tls=tls,
        )
        if answer.status != _OK:
            raise self._failed(f"answers {answer.status}")
        try:
            body = msgspec.json.decode(answer.body, type=_TokenBody)
        except UNREADABLE as error:
            raise self._failed("answers with no token") from error
        if body.token_type.lower() != "bearer" or not _is_header_text(body.access_token):
            raise self._failed("answers with no bearer token")
        token = Token(body.access_token, context.clock() + _kept_ms(body.expires_in))
        self._tokens.keep((tenant_id, oauth), token, context.clock())
        return token

    def _failed(self, what: str) -> JobFailedError:
        return JobFailedError(
            f"the {self._side.name}'s authorization server {what}", self._side.retry_after_ms
        )

    def _tls_context(self, settings: TlsSettings, private_key_pem: str) -> ssl.SSLContext:
        try:
            return client_context(settings.ca_pem, settings.certificate_pem, private_key_pem)
        except (ssl.SSLError, ValueError) as error:
            text = f"the {self._side.name}'s TLS settings are not usable: {type(error).__name__}"
            raise JobFailedError(text, UNUSABLE_RETRY_MS) from error


def _kept_ms(life_s: float | None) -> int:
    if life_s is None:
        life_s = LIFE_DEFAULT_S
    life_ms = int(min(max(life_s, 0), LIFE_MAX_S) * 1000)
    return max(life_ms - EARLY_MS, life_ms // 2)


def _is_header_text(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
