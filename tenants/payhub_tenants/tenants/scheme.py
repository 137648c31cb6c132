"""How a tenant speaks at its scheme: what is asked for, and what is kept. Pure."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, convert, to_builtins

from payhub_platform.contracts.tenant import (
    FspiopVersion,
    SchemeConnection,
    SchemeOAuth,
    SchemeTls,
    VerificationKey,
)
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, FspId, HeaderText, Password, Pem, Url, View, base_url
from payhub_tenants.keys.pem import checked_public_key

PEER_KEYS_MAX: Final = 1_000
ISO_VERSION: Final = "2.0"  # the only one with ISO 20022 contents
_BASE: Final = ("base_url", "switch_fsp_id", "switch_public_key_pem")  # in columns of their own

Scope = Annotated[str, Meta(pattern=r"^[!#-\[\]-~ ]{0,200}\Z")]  # RFC 6749 section 3.3


class PeerKeyBody(Body, frozen=True, kw_only=True):
    """A key of an FSP elsewhere, or a further one of the switch."""

    fsp_id: FspId
    public_key_pem: Pem
    valid_from_ms: Annotated[int, Meta(ge=0)] = 0
    valid_until_ms: Annotated[int, Meta(ge=0)] | None = None


class SchemeTlsBody(Body, frozen=True, kw_only=True):
    """Whom to trust at the switch's address, and the tenant's own certificate there."""

    ca_pem: Pem | None = None
    certificate_pem: Pem | None = None
    private_key_pem: Pem | None = None


class SchemeOAuthBody(Body, frozen=True, kw_only=True):
    """The credentials for tokens of the switch's gateway."""

    token_url: Url
    client_id: HeaderText
    client_secret: Password
    scope: Scope = ""


class ChangeScheme(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/scheme``; what is left out is set back to what it is at first."""

    base_url: Url
    switch_fsp_id: FspId
    switch_public_key_pem: Pem
    versions: Annotated[tuple[FspiopVersion, ...], Meta(min_length=1, max_length=3)] = ("1.1", "1.0")
    iso20022: bool = False
    ilp_version: Literal[1, 4] = 1
    signs: bool = True
    verifies: bool = True
    signs_parties: bool = True
    verifies_parties: bool = True
    peer_keys: Annotated[list[PeerKeyBody], Meta(max_length=PEER_KEYS_MAX)] = []
    tls: SchemeTlsBody | None = None
    oauth: SchemeOAuthBody | None = None


class SchemeTlsView(View, frozen=True, kw_only=True):
    """Certificates; the private key is never told."""

    ca_pem: str
    certificate_pem: str


class SchemeOAuthView(View, frozen=True, kw_only=True):
    """Whose tokens; the secret is never told."""

    token_url: str
    client_id: str
    scope: str


class SchemeView(View, frozen=True, kw_only=True):
    """How the switch is reached, and how the tenant speaks there."""

    base_url: str
    switch_fsp_id: str
    switch_public_key_pem: str
    versions: tuple[FspiopVersion, ...]
    iso20022: bool
    ilp_version: int
    signs: bool
    verifies: bool
    signs_parties: bool
    verifies_parties: bool
    peer_keys: list[PeerKeyBody] = []
    tls: SchemeTlsView | None = None
    oauth: SchemeOAuthView | None = None


def scheme_changes(
    request: ChangeScheme, fsp_id: str, tls_key_sealed: str, client_secret_sealed: str
) -> dict[str, Any]:
    """Return what changes in a tenant that is given other settings of its scheme.

    Args:
        request: what is asked for.
        fsp_id: the tenant's own.
        tls_key_sealed: ``request.tls.private_key_pem``, sealed; empty where there is none.
        client_secret_sealed: ``request.oauth.client_secret``, sealed; empty where there is none.

    Raises:
        InvalidInputError: ``invalid-field``, ``invalid-url`` or ``unsuitable-key``.
    """
    if fsp_id == request.switch_fsp_id:
        raise InvalidInputError(
            "invalid-field", "The tenant and the switch need different FSP ids.", "/switchFspId"
        )
    if request.iso20022 and request.versions != (ISO_VERSION,):
        raise InvalidInputError(
            "invalid-field", f"ISO 20022 contents exist in version {ISO_VERSION} alone.", "/versions"
        )
    connection = SchemeConnection(
        base_url=base_url(request.base_url, "/baseUrl"),
        switch_fsp_id=request.switch_fsp_id,
        switch_public_key_pem=checked_public_key(request.switch_public_key_pem, "/switchPublicKeyPem"),
        versions=request.versions,
        iso20022=request.iso20022,
        ilp_version=request.ilp_version,
        signs=request.signs,
        verifies=request.verifies,
        signs_parties=request.signs_parties,
        verifies_parties=request.verifies_parties,
        peer_keys=[_peer_key(key, index) for index, key in enumerate(request.peer_keys)],
        tls=_tls(request.tls, tls_key_sealed),
        oauth=_oauth(request.oauth, client_secret_sealed),
    )
    kept: dict[str, Any] = to_builtins(connection)
    columns = {"scheme_base_url": "base_url"} | {name: name for name in _BASE[1:]}
    return {column: kept.pop(name) for column, name in columns.items()} | {"scheme_settings": kept}


def connection_of(
    address: str, switch_fsp_id: str, switch_public_key_pem: str, settings: dict[str, Any]
) -> SchemeConnection:
    """Return the scheme's settings as engines need them, from what is kept of them."""
    base = dict(zip(_BASE, (address, switch_fsp_id, switch_public_key_pem), strict=True))
    return convert(base | settings, SchemeConnection)


def scheme_secrets(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the sealed key for TLS and the sealed secret for OAuth2; empty where there is none."""
    tls, oauth = settings.get("tls") or {}, settings.get("oauth") or {}
    return tls.get("private_key_sealed", ""), oauth.get("client_secret_sealed", "")


def with_scheme_secrets(
    settings: dict[str, Any], tls_key_sealed: str, client_secret_sealed: str
) -> dict[str, Any]:
    """Return the settings with the same two secrets, sealed otherwise."""
    after = dict(settings)
    if after.get("tls"):
        after["tls"] = after["tls"] | {"private_key_sealed": tls_key_sealed}
    if after.get("oauth"):
        after["oauth"] = after["oauth"] | {"client_secret_sealed": client_secret_sealed}
    return after


def without_scheme_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a tenant that can no longer speak to the scheme."""
    return {name: value for name, value in settings.items() if name not in ("tls", "oauth")}


def scheme_view(connection: SchemeConnection) -> SchemeView:
    """Return what the aggregator sees of the settings: no secret."""
    tls, oauth = connection.tls, connection.oauth
    return SchemeView(
        base_url=connection.base_url,
        switch_fsp_id=connection.switch_fsp_id,
        switch_public_key_pem=connection.switch_public_key_pem,
        versions=connection.versions,
        iso20022=connection.iso20022,
        ilp_version=connection.ilp_version,
        signs=connection.signs,
        verifies=connection.verifies,
        signs_parties=connection.signs_parties,
        verifies_parties=connection.verifies_parties,
        peer_keys=[
            PeerKeyBody(
                fsp_id=key.fsp_id,
                public_key_pem=key.public_key_pem,
                valid_from_ms=key.valid_from_ms,
                valid_until_ms=key.valid_until_ms,
            )
            for key in connection.peer_keys
        ],
        tls=None if tls is None else SchemeTlsView(ca_pem=tls.ca_pem, certificate_pem=tls.certificate_pem),
        oauth=None
        if oauth is None
        else SchemeOAuthView(token_url=oauth.token_url, client_id=oauth.client_id, scope=oauth.scope),
    )


def _peer_key(key: PeerKeyBody, index: int) -> VerificationKey:
    return VerificationKey(
        fsp_id=key.fsp_id,
        public_key_pem=checked_public_key(key.public_key_pem, f"/peerKeys/{index}/publicKeyPem"),
        valid_from_ms=key.valid_from_ms,
        valid_until_ms=key.valid_until_ms,
    )


def _tls(body: SchemeTlsBody | None, private_key_sealed: str) -> SchemeTls | None:
    if body is None:
        return None
    if (body.certificate_pem is None) != (body.private_key_pem is None):
        raise InvalidInputError("invalid-field", "A certificate and its private key go together.", "/tls")
    return SchemeTls(
        ca_pem=body.ca_pem or "",
        certificate_pem=body.certificate_pem or "",
        private_key_sealed=private_key_sealed,
    )


def _oauth(body: SchemeOAuthBody | None, client_secret_sealed: str) -> SchemeOAuth | None:
    if body is None:
        return None
    return SchemeOAuth(
        token_url=base_url(body.token_url, "/oauth/tokenUrl"),
        client_id=body.client_id,
        client_secret_sealed=client_secret_sealed,
        scope=body.scope,
    )
