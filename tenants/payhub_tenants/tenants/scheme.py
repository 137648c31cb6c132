"""How a tenant speaks at its scheme, and which keys it signs with: what is asked for, and what is kept."""

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
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.fields import Body, FspId, HeaderText, Password, Pem, Url, View, base_url
from payhub_tenants.tenants.errors import SigningKeyReplacedError
from payhub_tenants.tenants.keys import checked_private_key, checked_public_key, key_id_of

PEER_KEYS_MAX: Final = 1_000
OVERLAP_MS: Final = 24 * 3_600_000
OVERLAP_MS_MAX: Final = 30 * OVERLAP_MS
EARLIER_KEYS_MAX: Final = 8
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


class ReplaceSigningKey(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/signing-key``.

    ``replaces`` is the id of the key that is replaced, so that the same request again does nothing; what was
    signed with it is believed for ``overlap_ms`` more.
    """

    replaces: str
    algorithm: jws.Algorithm = "ES256"
    signing_key_pem: Pem | None = None
    overlap_ms: Annotated[int, Meta(ge=0, le=OVERLAP_MS_MAX)] = OVERLAP_MS


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


def scheme_changes(request: ChangeScheme, tenant_id: str, fsp_id: str, secrets: SecretBox) -> dict[str, Any]:
    """Return what changes in a tenant that is given other settings of its scheme; secrets are sealed.

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
        tls=_tls(request.tls, tenant_id, secrets),
        oauth=_oauth(request.oauth, tenant_id, secrets),
    )
    kept: dict[str, Any] = to_builtins(connection)
    columns = {"scheme_base_url": "base_url"} | {name: name for name in _BASE[1:]}
    return {column: kept.pop(name) for column, name in columns.items()} | {"scheme_settings": kept}


def key_changes(
    request: ReplaceSigningKey,
    present: VerificationKey,
    earlier: list[VerificationKey],
    tenant_id: str,
    secrets: SecretBox,
    at_ms: int,
) -> dict[str, Any]:
    """Return what changes in a tenant that is given a new signing key; nothing where it was done before.

    Args:
        request: what is asked for.
        present: the tenant's key now.
        earlier: the ones before.
        tenant_id: for whom the new key is sealed.
        secrets: what seals it.
        at_ms: when.

    Raises:
        SigningKeyReplacedError: another key than the present one is to be replaced.
        InvalidInputError: ``unsuitable-key``.
    """
    if request.replaces != key_id_of(present.public_key_pem):
        if request.replaces in (key_id_of(key.public_key_pem) for key in earlier):
            return {}
        raise SigningKeyReplacedError
    if request.signing_key_pem is None:
        private_pem = jws.new_private_key_pem(request.algorithm)
    else:
        private_pem = checked_private_key(request.signing_key_pem, "/signingKeyPem")
    public_pem = jws.public_pem(private_pem)
    before = VerificationKey(
        fsp_id=present.fsp_id,
        public_key_pem=present.public_key_pem,
        valid_until_ms=at_ms + request.overlap_ms,
    )
    return {
        "key_id": key_id_of(public_pem),
        "public_key_pem": public_pem,
        "private_key_sealed": secrets.seal(private_pem, f"jws:{tenant_id}"),
        "earlier_keys": to_builtins([before, *earlier[: EARLIER_KEYS_MAX - 1]]),
    }


def connection_of(
    address: str, switch_fsp_id: str, switch_public_key_pem: str, settings: dict[str, Any]
) -> SchemeConnection:
    """Return the scheme's settings as engines need them, from what is kept of them."""
    base = dict(zip(_BASE, (address, switch_fsp_id, switch_public_key_pem), strict=True))
    return convert(base | settings, SchemeConnection)


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


def _tls(body: SchemeTlsBody | None, tenant_id: str, secrets: SecretBox) -> SchemeTls | None:
    if body is None:
        return None
    if (body.certificate_pem is None) != (body.private_key_pem is None):
        raise InvalidInputError("invalid-field", "A certificate and its private key go together.", "/tls")
    sealed = secrets.seal(body.private_key_pem, f"scheme-tls:{tenant_id}") if body.private_key_pem else ""
    return SchemeTls(
        ca_pem=body.ca_pem or "",
        certificate_pem=body.certificate_pem or "",
        private_key_sealed=sealed,
    )


def _oauth(body: SchemeOAuthBody | None, tenant_id: str, secrets: SecretBox) -> SchemeOAuth | None:
    if body is None:
        return None
    return SchemeOAuth(
        token_url=base_url(body.token_url, "/oauth/tokenUrl"),
        client_id=body.client_id,
        client_secret_sealed=secrets.seal(body.client_secret, f"scheme-oauth:{tenant_id}"),
        scope=body.scope,
    )
