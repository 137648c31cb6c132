"""How a tenant is let in at its core bank and its scheme: TLS and OAuth2, as asked, kept and shown. Pure."""

from typing import Annotated, Any

from msgspec import Meta

from payhub_platform.contracts.tenant import AmsOAuth, AmsTls, SchemeOAuth, SchemeTls
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, HeaderText, Password, Pem, Url, View, base_url

Scope = Annotated[str, Meta(pattern=r"^[!#-\[\]-~ ]{0,200}\Z")]  # RFC 6749 section 3.3


class TlsBody(Body, frozen=True, kw_only=True):
    """Whom to trust there, and the tenant's own certificate."""

    ca_pem: Pem | None = None
    certificate_pem: Pem | None = None
    private_key_pem: Pem | None = None


class OAuthBody(Body, frozen=True, kw_only=True):
    """OAuth2 client credentials (RFC 6749 section 4.4)."""

    token_url: Url
    client_id: HeaderText
    client_secret: Password
    scope: Scope = ""


class TlsView(View, frozen=True, kw_only=True):
    """Certificates; the private key is never told."""

    ca_pem: str
    certificate_pem: str


class OAuthView(View, frozen=True, kw_only=True):
    """Whose tokens; the secret is never told."""

    token_url: str
    client_id: str
    scope: str


def checked_tls(body: TlsBody, private_key_sealed: str = "", where: str = "") -> dict[str, str]:
    """Return the fields of TLS settings as they are kept.

    Raises:
        InvalidInputError: ``invalid-field``, a certificate without its key or the other way round.
    """
    if (body.certificate_pem is None) != (body.private_key_pem is None):
        raise InvalidInputError(
            "invalid-field", "A certificate and its private key go together.", f"{where}/tls"
        )
    return {
        "ca_pem": body.ca_pem or "",
        "certificate_pem": body.certificate_pem or "",
        "private_key_sealed": private_key_sealed,
    }


def checked_oauth(body: OAuthBody, client_secret_sealed: str = "", where: str = "") -> dict[str, str]:
    """Return the fields of OAuth2 settings as they are kept.

    Raises:
        InvalidInputError: ``invalid-url``.
    """
    return {
        "token_url": base_url(body.token_url, f"{where}/oauth/tokenUrl"),
        "client_id": body.client_id,
        "client_secret_sealed": client_secret_sealed,
        "scope": body.scope,
    }


def tls_view(tls: AmsTls | SchemeTls | None) -> TlsView | None:
    """Return TLS settings as they are shown."""
    return None if tls is None else TlsView(ca_pem=tls.ca_pem, certificate_pem=tls.certificate_pem)


def oauth_view(oauth: AmsOAuth | SchemeOAuth | None) -> OAuthView | None:
    """Return OAuth2 settings as they are shown."""
    if oauth is None:
        return None
    return OAuthView(token_url=oauth.token_url, client_id=oauth.client_id, scope=oauth.scope)


def sealed_secrets(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the sealed key for TLS and the sealed secret for OAuth2; empty where there is none."""
    tls, oauth = settings.get("tls") or {}, settings.get("oauth") or {}
    return tls.get("private_key_sealed", ""), oauth.get("client_secret_sealed", "")


def with_secrets(settings: dict[str, Any], tls_key_sealed: str, client_secret_sealed: str) -> dict[str, Any]:
    """Return the settings with the same two secrets, sealed otherwise."""
    after = dict(settings)
    if after.get("tls"):
        after["tls"] = after["tls"] | {"private_key_sealed": tls_key_sealed}
    if after.get("oauth"):
        after["oauth"] = after["oauth"] | {"client_secret_sealed": client_secret_sealed}
    return after


def without_login(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a tenant that can no longer speak there."""
    return {name: value for name, value in settings.items() if name not in ("tls", "oauth")}
