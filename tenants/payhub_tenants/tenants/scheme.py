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
from payhub_tenants.fields import Body, FspId, Pem, Url, View, base_url
from payhub_tenants.keys.pem import checked_public_key
from payhub_tenants.tenants.login import (
    OAuthBody,
    OAuthView,
    TlsBody,
    TlsView,
    checked_oauth,
    checked_tls,
    oauth_view,
    tls_view,
)

PEER_KEYS_MAX: Final = 1_000
ISO_VERSION: Final = "2.0"  # the only one with ISO 20022 contents
_BASE: Final = ("base_url", "switch_fsp_id", "switch_public_key_pem")  # in columns of their own


class PeerKeyBody(Body, frozen=True, kw_only=True):
    """A key of an FSP elsewhere, or a further one of the switch."""

    fsp_id: FspId
    public_key_pem: Pem
    valid_from_ms: Annotated[int, Meta(ge=0)] = 0
    valid_until_ms: Annotated[int, Meta(ge=0)] | None = None


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
    tls: TlsBody | None = None
    oauth: OAuthBody | None = None


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
    tls: TlsView | None = None
    oauth: OAuthView | None = None


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
        tls=None if request.tls is None else SchemeTls(**checked_tls(request.tls, tls_key_sealed)),
        oauth=None
        if request.oauth is None
        else SchemeOAuth(**checked_oauth(request.oauth, client_secret_sealed)),
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


def scheme_view(connection: SchemeConnection) -> SchemeView:
    """Return what the aggregator sees of the settings: no secret."""
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
        tls=tls_view(connection.tls),
        oauth=oauth_view(connection.oauth),
    )


def _peer_key(key: PeerKeyBody, index: int) -> VerificationKey:
    return VerificationKey(
        fsp_id=key.fsp_id,
        public_key_pem=checked_public_key(key.public_key_pem, f"/peerKeys/{index}/publicKeyPem"),
        valid_from_ms=key.valid_from_ms,
        valid_until_ms=key.valid_until_ms,
    )
