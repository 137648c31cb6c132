"""A tenant's configuration, as tenants publishes it and gateways and engines hold it."""

from typing import Any, Literal

from payhub_platform.contracts.base import Contract

TenantStatus = Literal["active", "suspended"]


class AmsConnection(Contract, frozen=True, kw_only=True):
    """How an engine reaches the tenant's core banking system (Fineract's interoperation API)."""

    base_url: str  # up to and including /fineract-provider/api/v1
    platform_tenant: str  # the header Fineract-Platform-TenantId
    username: str
    password_sealed: str  # payhub_platform.security.secrets, context "ams:<tenant_id>"


class SchemeConnection(Contract, frozen=True, kw_only=True):
    """How an engine reaches the Mojaloop switch for this tenant."""

    base_url: str
    switch_fsp_id: str  # FSPIOP-Source of messages that the switch itself sends
    switch_public_key_pem: str


class SigningKey(Contract, frozen=True, kw_only=True):
    """The tenant's FSPIOP signing key (ES256)."""

    key_id: str
    public_key_pem: str
    private_key_sealed: str  # context "jws:<tenant_id>"


class OAuthClient(Contract, frozen=True, kw_only=True):
    """A channel that may ask for tokens in the tenant's name; it signs with private_key_jwt."""

    client_id: str
    name: str
    jwks: dict[str, Any]  # public keys only (RFC 7517)
    scopes: list[str]


class PaymentLimits(Contract, frozen=True, kw_only=True):
    """What an institution and its members may pay; amounts in minor units, days in UTC."""

    per_payment_minor: int
    per_day_minor: int
    per_member_day_minor: int
    velocity_payments: int  # of one member, within velocity_window_ms
    velocity_window_ms: int


class TenantConfig(Contract, frozen=True, kw_only=True):
    """One version of everything gateways and engines need to know of a tenant."""

    tenant_id: str
    fsp_id: str
    name: str
    currency: str
    status: TenantStatus
    version: int  # grows with every change
    epoch: int  # grows when the placement changes; engines refuse requests of an older one
    placement: list[str]  # engine ids: the home engine first, then the failover order
    scheme: SchemeConnection
    ams: AmsConnection
    signing_key: SigningKey
    clients: list[OAuthClient]
    quote_validity_ms: int = 30_000
    weights: list[int] = []  # percent of new payments for each engine of placement; none: all at the first
    limits: PaymentLimits | None = None  # none in the sandbox, until they are set

    @property
    def home_engine(self) -> str:
        """The engine that owns this tenant's payments."""
        return self.placement[0]
