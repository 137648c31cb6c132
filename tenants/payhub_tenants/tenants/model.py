"""A tenant, what creates and changes it, and how it is shown and published. Pure."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, convert
from msgspec.structs import replace

from payhub_platform.contracts.tenant import (
    AmsConnection,
    FormerEngine,
    OAuthClient,
    SchemeConnection,
    SigningKey,
    TenantConfig,
    VerificationKey,
    WebhookEndpoint,
)
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import CURRENCIES
from payhub_tenants.clients.model import Client, ClientView, client_view
from payhub_tenants.fields import (
    Body,
    DisplayName,
    FspId,
    Pem,
    TenantId,
    Url,
    View,
    base_url,
)
from payhub_tenants.identifiers.model import IdentifierView, PartyIdentifier, identifier_view
from payhub_tenants.keys.pem import checked_public_key
from payhub_tenants.lifecycle.model import LifecycleStatus, published_status
from payhub_tenants.placement.model import Placement, PlacementRecord
from payhub_tenants.tenants.ams import AmsBody, AmsView, ams_connection_of, ams_view, checked_ams
from payhub_tenants.tenants.errors import UnknownEngineError
from payhub_tenants.tenants.login import without_login
from payhub_tenants.tenants.scheme import SchemeView, connection_of, scheme_view

QUOTE_VALIDITY_MS: Final = 30_000

QuoteValidityMs = Annotated[int, Meta(ge=100, le=3_600_000)]


class SchemeBody(Body, frozen=True, kw_only=True):
    """How the switch is reached, and whose signature its own messages bear."""

    base_url: Url
    switch_fsp_id: FspId
    switch_public_key_pem: Pem


class CreateTenant(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants``."""

    tenant_id: TenantId
    fsp_id: FspId
    name: DisplayName
    currency: str
    scheme: SchemeBody
    ams: AmsBody
    placement: Placement
    signing_key_pem: Pem | None = None
    quote_validity_ms: QuoteValidityMs = QUOTE_VALIDITY_MS


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant as it is kept; secrets are sealed."""

    tenant_id: str
    fsp_id: str
    name: str
    currency: str
    status: LifecycleStatus
    version: int  # of what gateways and engines know of it
    epoch: int
    published_version: int  # the newest version that is on the bus; 0 where it must be published anew
    placement: list[str]
    scheme_base_url: str
    switch_fsp_id: str
    switch_public_key_pem: str
    ams_base_url: str
    ams_platform_tenant: str
    ams_username: str
    ams_password_sealed: str
    key_id: str
    public_key_pem: str
    private_key_sealed: str
    quote_validity_ms: int
    request_fingerprint: str
    created_at_ms: int
    updated_at_ms: int
    scheme_settings: dict[str, Any] = {}  # of SchemeConnection, what has no column of its own
    earlier_keys: list[dict[str, Any]] = []  # VerificationKey: its previous keys, as they are published
    ilp_secrets_sealed: list[str] = []
    ams_settings: dict[str, Any] = {}  # of AmsConnection, what has no column of its own


class IdentifierCounts(View, frozen=True, kw_only=True, omit_defaults=False):
    """How many party identifiers are in each state."""

    registered: int = 0
    pending: int = 0
    failed: int = 0


class TenantView(View, frozen=True, kw_only=True):
    """A tenant as the aggregator sees it; holds no secret."""

    tenant_id: str
    fsp_id: str
    name: str
    currency: str
    status: LifecycleStatus
    version: int
    epoch: int
    published: bool  # this version has reached the bus
    placement: list[str]
    scheme: SchemeView
    ams: AmsView
    key_id: str
    public_key_pem: str
    quote_validity_ms: int
    clients: list[ClientView]
    party_identifiers: list[IdentifierView]  # the first ones only; the counts are of all
    party_identifier_counts: IdentifierCounts


class TenantSummary(View, frozen=True, kw_only=True):
    """A tenant in a list."""

    tenant_id: str
    fsp_id: str
    name: str
    currency: str
    status: LifecycleStatus
    version: int
    epoch: int
    published: bool
    placement: list[str]


class TenantPage(View, frozen=True, kw_only=True):
    """Some tenants in the order of their ids; ``next`` is the ``after`` of the following page."""

    tenants: list[TenantSummary]
    next: str | None = None


def checked_request(request: CreateTenant, engines: frozenset[str]) -> CreateTenant:
    """Check what the types of the fields cannot say; return the request with clean addresses.

    Raises:
        InvalidInputError: ``unknown-currency``, ``invalid-url``, ``unsuitable-key``, ``duplicate-engine``
            or ``invalid-field``.
        UnknownEngineError: the placement names an engine that is not in ``engines``.
    """
    if request.currency not in CURRENCIES:
        raise InvalidInputError("unknown-currency", "This is no currency payhub knows.", "/currency")
    if request.fsp_id == request.scheme.switch_fsp_id:
        raise InvalidInputError(
            "invalid-field", "The tenant and the switch need different FSP ids.", "/fspId"
        )
    check_placement(request.placement, engines)
    scheme = replace(
        request.scheme,
        base_url=base_url(request.scheme.base_url, "/scheme/baseUrl"),
        switch_public_key_pem=checked_public_key(
            request.scheme.switch_public_key_pem, "/scheme/switchPublicKeyPem"
        ),
    )
    checked_ams(request.ams, "/ams")
    ams = replace(request.ams, base_url=base_url(request.ams.base_url, "/ams/baseUrl"))
    return replace(request, scheme=scheme, ams=ams)


def check_placement(placement: list[str], engines: frozenset[str]) -> None:
    """Refuse a placement that names an engine twice, or one that is not there."""
    for index, engine in enumerate(placement):
        if engine in placement[:index]:
            raise InvalidInputError("duplicate-engine", "Each engine is named once.", f"/placement/{index}")
        if engine not in engines:
            raise UnknownEngineError(engine, f"/placement/{index}")


def with_placement(tenant: Tenant, placement: list[str], at_ms: int, *, reweighted: bool = False) -> Tenant:
    """Move a tenant: epoch and version grow; moving to where it is changes nothing."""
    if placement == tenant.placement and not reweighted:
        return tenant
    moved = replace(tenant, placement=placement, epoch=tenant.epoch + 1)
    return changed(moved, at_ms)


def with_status(tenant: Tenant, status: LifecycleStatus, at_ms: int) -> Tenant:
    """Bring a tenant to a status: the version grows where gateways and engines must hear of it."""
    if status == tenant.status:
        return tenant
    after = replace(tenant, status=status, updated_at_ms=at_ms)
    known = published_status(tenant.status)
    return after if known in (None, published_status(status)) else changed(after, at_ms)


def without_secrets(tenant: Tenant) -> Tenant:
    """Return a tenant that can no longer speak to its core bank and the scheme."""
    return replace(
        tenant,
        ams_username="",
        ams_password_sealed="",
        private_key_sealed="",
        earlier_keys=[],
        ilp_secrets_sealed=[],
        scheme_settings=without_login(tenant.scheme_settings),
        ams_settings=without_login(tenant.ams_settings),
    )


def changed(tenant: Tenant, at_ms: int) -> Tenant:
    """Return the next version of a tenant; it waits to be published."""
    return replace(tenant, version=tenant.version + 1, updated_at_ms=at_ms)


class Published(Struct, frozen=True, kw_only=True):
    """What is published beside a tenant's own row."""

    clients: list[Client]
    placed: PlacementRecord | None
    webhooks: list[WebhookEndpoint]
    channel_authorities: list[str]


def config_of(tenant: Tenant, beside: Published) -> TenantConfig:
    """Return what gateways and engines need to know, of a tenant whose secrets are sealed for engines."""
    return TenantConfig(
        tenant_id=tenant.tenant_id,
        fsp_id=tenant.fsp_id,
        name=tenant.name,
        currency=tenant.currency,
        status=published_status(tenant.status) or "suspended",
        version=tenant.version,
        epoch=tenant.epoch,
        placement=tenant.placement,
        scheme=scheme_connection(tenant),
        ams=ams_connection(tenant),
        signing_key=SigningKey(
            key_id=tenant.key_id,
            public_key_pem=tenant.public_key_pem,
            private_key_sealed=tenant.private_key_sealed,
            earlier=convert(tenant.earlier_keys, list[VerificationKey]),
        ),
        clients=[
            OAuthClient(client_id=client.client_id, name=client.name, jwks=client.jwks, scopes=client.scopes)
            for client in beside.clients
        ],
        quote_validity_ms=tenant.quote_validity_ms,
        ilp_secrets_sealed=tenant.ilp_secrets_sealed,
        weights=beside.placed.weights if beside.placed else [],
        webhooks=beside.webhooks,
        former=[
            FormerEngine(engine=former.engine, is_drained=former.drained_at_ms is not None)
            for former in (beside.placed.former if beside.placed else [])
        ],
        channel_authorities=beside.channel_authorities,
    )


def ams_connection(tenant: Tenant) -> AmsConnection:
    """Return how the core bank is reached."""
    columns = (
        tenant.ams_base_url,
        tenant.ams_platform_tenant,
        tenant.ams_username,
        tenant.ams_password_sealed,
    )
    return ams_connection_of(*columns, tenant.ams_settings)


def scheme_connection(tenant: Tenant) -> SchemeConnection:
    """Return how the switch is reached."""
    base = (tenant.scheme_base_url, tenant.switch_fsp_id, tenant.switch_public_key_pem)
    return connection_of(*base, tenant.scheme_settings)


def tenant_view(
    tenant: Tenant, clients: list[Client], shown: list[PartyIdentifier], counts: IdentifierCounts
) -> TenantView:
    """Return what the aggregator sees of a tenant."""
    return TenantView(
        tenant_id=tenant.tenant_id,
        fsp_id=tenant.fsp_id,
        name=tenant.name,
        currency=tenant.currency,
        status=tenant.status,
        version=tenant.version,
        epoch=tenant.epoch,
        published=tenant.published_version >= tenant.version,
        placement=tenant.placement,
        scheme=scheme_view(scheme_connection(tenant)),
        ams=ams_view(ams_connection(tenant)),
        key_id=tenant.key_id,
        public_key_pem=tenant.public_key_pem,
        quote_validity_ms=tenant.quote_validity_ms,
        clients=[client_view(client) for client in clients],
        party_identifiers=[identifier_view(identifier) for identifier in shown],
        party_identifier_counts=counts,
    )


def tenant_summary(tenant: Tenant) -> TenantSummary:
    """Return a tenant's line in a list."""
    return TenantSummary(
        tenant_id=tenant.tenant_id,
        fsp_id=tenant.fsp_id,
        name=tenant.name,
        currency=tenant.currency,
        status=tenant.status,
        version=tenant.version,
        epoch=tenant.epoch,
        published=tenant.published_version >= tenant.version,
        placement=tenant.placement,
    )
