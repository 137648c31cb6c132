"""How an engine is let in at a scheme: mutual TLS and OAuth2 client credentials, for each tenant."""

import asyncio
import base64
import ssl
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus, urlencode

import msgspec

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpClient
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import SchemeOAuth, SchemeTls, TenantConfig

TIMEOUT_S: Final = 5.0
EARLY_MS: Final = 10_000  # a token is renewed before it ends, for the time that a call takes
LIFE_DEFAULT_S: Final = 60  # where the server does not say how long a token lives
LIFE_MAX_S: Final = 24 * 3600
UNUSABLE_RETRY_MS: Final = 60_000
RETRY_AFTER_MS: Final = 1_000
_OK: Final = 200


class _Token(msgspec.Struct, frozen=True):
    settings: SchemeOAuth
    value: str
    until_ms: int


class _TokenBody(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int | float | None = None


class SchemeAccess:
    """TLS contexts and tokens by tenant; as many as the engine has tenants."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[SchemeTls, ssl.SSLContext]] = {}
        self._tokens: dict[str, _Token] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    def tls(self, tenant: TenantConfig, context: ConnectorContext) -> ssl.SSLContext | None:
        """Return a tenant's TLS context, made once for its settings; None where public authorities do.

        Raises:
            JobFailedError: certificate or key are not usable, which only the tenant's settings mend.
        """
        settings = tenant.scheme.tls
        if settings is None:
            return None
        known = self._contexts.get(tenant.tenant_id)
        if known is not None and known[0] == settings:
            return known[1]
        key = settings.private_key_sealed
        pem = context.secrets.open(key, f"scheme-tls:{tenant.tenant_id}") if key else ""
        made = _tls_context(settings, pem)
        self._contexts[tenant.tenant_id] = (settings, made)
        return made

    async def bearer(self, tenant: TenantConfig, context: ConnectorContext, http: HttpClient) -> str:
        """Return a token that holds for a call, asked for once however many calls wait; empty for none.

        Raises:
            JobFailedError: the authorization server gives none.
        """
        settings = tenant.scheme.oauth
        if settings is None:
            return ""
        async with self._asking.setdefault(tenant.tenant_id, asyncio.Lock()):
            known = self._tokens.get(tenant.tenant_id)
            if known is None or known.settings != settings or known.until_ms <= context.clock():
                known = await self._ask(tenant, settings, context, http)
                self._tokens[tenant.tenant_id] = known
        return known.value

    def refused(self, tenant: TenantConfig, bearer: str) -> None:
        """Forget a token that the switch refuses; one that came in its place meanwhile is kept."""
        known = self._tokens.get(tenant.tenant_id)
        if known is not None and known.value == bearer:
            del self._tokens[tenant.tenant_id]

    async def _ask(
        self, tenant: TenantConfig, settings: SchemeOAuth, context: ConnectorContext, http: HttpClient
    ) -> _Token:
        secret = context.secrets.open(settings.client_secret_sealed, f"scheme-oauth:{tenant.tenant_id}")
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"  # RFC 6749 section 2.3.1
        form = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
        answer = await http.request(
            "POST",
            settings.token_url,
            headers={
                "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            body=urlencode(form).encode(),
            timeout_s=TIMEOUT_S,
            tls=self.tls(tenant, context),
        )
        if answer.status != _OK:
            raise JobFailedError(f"the scheme's authorization server answers {answer.status}", RETRY_AFTER_MS)
        try:
            body = msgspec.json.decode(answer.body, type=_TokenBody)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JobFailedError("the authorization server's answer is no token", RETRY_AFTER_MS) from error
        if body.token_type.lower() != "bearer" or not _is_header_text(body.access_token):
            raise JobFailedError("the authorization server's token is no bearer token", RETRY_AFTER_MS)
        life_s = LIFE_DEFAULT_S if body.expires_in is None else body.expires_in
        life_ms = int(min(max(life_s, 0), LIFE_MAX_S) * 1000)
        until_ms = context.clock() + max(life_ms - EARLY_MS, life_ms // 2)
        return _Token(settings, body.access_token, until_ms)


def _tls_context(settings: SchemeTls, private_key_pem: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=settings.ca_pem or None)
        if settings.certificate_pem:
            # OpenSSL reads a certificate with its key from files only, which are gone at once.
            with tempfile.TemporaryDirectory(prefix="payhub-") as folder:  # for its owner only
                file = Path(folder) / "identity.pem"
                file.write_text(f"{settings.certificate_pem}\n{private_key_pem}\n", encoding="ascii")
                context.load_cert_chain(file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        text = f"the scheme's TLS settings are not usable: {type(error).__name__}"
        raise JobFailedError(text, UNUSABLE_RETRY_MS) from error
    return context


def _no_password() -> str:
    raise ValueError("the private key is encrypted; keys are sealed by payhub itself")


def _is_header_text(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
