"""A tenant's configuration, as tenants publishes it and gateways and engines hold it."""

import zlib
from typing import Annotated, Any, Final, Literal

import msgspec

from payhub_platform.contracts.base import Contract

TenantStatus = Literal["active", "suspended"]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
FspiopVersion = Literal["1.0", "1.1", "2.0"]
WEIGHT_SUM: Final = 100


AmsKind = Literal["fineract", "contract"]


class AmsOAuth(Contract, frozen=True, kw_only=True):
    """OAuth2 client credentials (RFC 6749 section 4.4), instead of user and password."""

    token_url: str
    client_id: str
    client_secret_sealed: str  # context "ams-oauth:<tenant_id>"
    scope: str = ""


class AmsTls(Contract, frozen=True, kw_only=True):
    """TLS towards a core banking system with its own authority, or that asks for a certificate."""

    ca_pem: str = ""  # trusted instead of the public authorities
    certificate_pem: str = ""
    private_key_sealed: str = ""  # context "ams-tls:<tenant_id>"


class AmsConnection(Contract, frozen=True, kw_only=True):
    """How an engine reaches the tenant's core banking system.

    ``kind`` is what the system speaks: Fineract's interoperation API, or payhub's own AMS contract
    (docs/ams.md).
    """

    base_url: str  # fineract: up to and including /fineract-provider/api/v1
    platform_tenant: str = ""  # the header Fineract-Platform-TenantId
    username: str = ""
    password_sealed: str = ""  # payhub_platform.security.secrets, context "ams:<tenant_id>"
    kind: AmsKind = "fineract"
    oauth: AmsOAuth | None = None
    tls: AmsTls | None = None
    time_zone: str = "UTC"  # IANA name; the dates of bookings are of this zone


class VerificationKey(Contract, frozen=True, kw_only=True):
    """A public key of an FSP, and when its signatures are believed; keys that follow one another overlap."""

    fsp_id: str
    public_key_pem: str
    valid_from_ms: int = 0
    valid_until_ms: int | None = None


class SchemeTls(Contract, frozen=True, kw_only=True):
    """Mutual TLS towards the switch: whom to trust, and who the tenant is."""

    ca_pem: str = ""  # trusted instead of the public authorities
    certificate_pem: str = ""
    private_key_sealed: str = ""  # context "scheme-tls:<tenant_id>"


class SchemeOAuth(Contract, frozen=True, kw_only=True):
    """OAuth2 client credentials (RFC 6749 section 4.4), where the switch's gateway asks for a token."""

    token_url: str
    client_id: str
    client_secret_sealed: str  # context "scheme-oauth:<tenant_id>"
    scope: str = ""


class SchemeConnection(Contract, frozen=True, kw_only=True):
    """How an engine reaches the Mojaloop switch for this tenant, and how it speaks there."""

    base_url: str
    switch_fsp_id: str  # FSPIOP-Source of messages that the switch itself sends
    switch_public_key_pem: str
    versions: tuple[FspiopVersion, ...] = ("1.1", "1.0")  # the first is sent, all are understood
    iso20022: bool = False  # contents of version 2.0 in ISO 20022, where there is such a form
    ilp_version: Literal[1, 4] = 1  # 4 wherever contents are ISO 20022
    signs: bool = True  # FSPIOP-Signature on what is sent
    verifies: bool = True  # nothing is believed without a valid signature
    signs_parties: bool = True  # some schemes exempt PUT /parties, for a hub that forwards it changed
    verifies_parties: bool = True
    peer_keys: list[VerificationKey] = []  # of FSPs elsewhere, and the switch's further ones
    tls: SchemeTls | None = None
    oauth: SchemeOAuth | None = None


class SigningKey(Contract, frozen=True, kw_only=True):
    """The tenant's FSPIOP signing key: EC P-256 signs ES256, RSA signs RS256."""

    key_id: str
    public_key_pem: str
    private_key_sealed: str  # context "jws:<tenant_id>"
    earlier: list[VerificationKey] = []  # what was signed before a rotation is still on its way


class OAuthClient(Contract, frozen=True, kw_only=True):
    """A channel that may ask for tokens in the tenant's name.

    It signs with private_key_jwt; without keys it shows a certificate of an authority of the tenant's
    channels, with the subject ``CN=<client id>,O=<tenant id>`` (RFC 8705 section 2.1).
    """

    client_id: str
    name: str
    jwks: dict[str, Any]  # public keys only (RFC 7517); may be empty
    scopes: list[str]


class ApiLimits(Contract, frozen=True, kw_only=True):
    """How much each client of a tenant may ask of the gateways, over all routes and copies together."""

    rate_per_s: Count
    burst: Count
    quota_per_day: Count  # of a day in UTC
    in_flight_max: Count | None = None  # at work at once; none: the gateway's own


class PaymentLimits(Contract, frozen=True, kw_only=True):
    """What an institution and its members may pay; amounts in minor units, days in UTC."""

    per_payment_minor: int
    per_day_minor: int
    per_member_day_minor: int
    velocity_payments: int  # of one member, within velocity_window_ms
    velocity_window_ms: int


EndpointPurpose = Literal["callback", "webhook"]
"""A callback is told what became of what the institution's channel asked for; a webhook also what came in."""

WebhookEventType = Literal[
    "payment.completed",
    "payment.failed",
    "refund.completed",
    "refund.failed",
    "transaction_request.completed",
    "transaction_request.failed",
]


class WebhookSecret(Contract, frozen=True, kw_only=True):
    """A secret of Standard Webhooks, ``whsec_...``."""

    secret_sealed: str  # context "webhook:<tenant_id>"
    valid_until_ms: int | None = None  # None: until it is replaced


class WebhookEndpoint(Contract, frozen=True, kw_only=True):
    """Where operations tells an institution what became of payments."""

    endpoint_id: str
    url: str
    purpose: EndpointPurpose
    events: list[WebhookEventType]
    secrets: list[WebhookSecret]  # newest first; each that is valid signs


class FormerEngine(Contract, frozen=True, kw_only=True):
    """An engine that began payments of the tenant under an earlier epoch, and so knows their keys."""

    engine: str
    is_drained: bool = False  # what it began has ended; it still knows the keys


BASIS_POINTS: Final = 10_000  # the whole amount


class FeeTier(Contract, frozen=True, kw_only=True):
    """What payments from an amount upwards cost: a fixed sum and a part of the amount."""

    from_minor: int
    fixed_minor: int = 0
    basis_points: int = 0

    def fee_minor(self, amount_minor: int) -> int:
        """Return the fee of an amount; half a minor unit and more is rounded up."""
        return self.fixed_minor + (amount_minor * self.basis_points + BASIS_POINTS // 2) // BASIS_POINTS


class PaymentFees(Contract, frozen=True, kw_only=True):
    """What an institution takes from its members besides what its core bank takes; tiers from 0, rising."""

    payer: list[FeeTier] = []
    payee: list[FeeTier] = []


def fee_minor(tiers: list[FeeTier], amount_minor: int) -> int:
    """Return the fee of an amount by the highest tier that begins at or below it; 0 without tiers."""
    for tier in reversed(tiers):
        if tier.from_minor <= amount_minor:
            return tier.fee_minor(amount_minor)
    return 0


NO_PAYMENTS: Final = PaymentLimits(
    per_payment_minor=0,
    per_day_minor=0,
    per_member_day_minor=0,
    velocity_payments=0,
    velocity_window_ms=0,
)


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
    ilp_secrets_sealed: list[str] = []  # newest first, context "ilp:<tenant_id>"; none: of the signing key
    api_limits: ApiLimits | None = None  # none: the gateway's own
    weights: list[int] = []  # percent of new payments for each engine of placement; none: all at the first
    channel_authorities: list[
        str
    ] = []  # PEM of who issues its channels' certificates; none: the installation's
    direct_with: list[str] = []  # tenants that it pays and is paid by without the scheme, where both say so
    limits: PaymentLimits | None = None  # none in the sandbox, until they are set
    webhooks: list[WebhookEndpoint] = []
    former: list[FormerEngine] = []  # of earlier epochs, also where they are in the placement again
    fees: PaymentFees | None = None
    other_currencies: list[str] = []  # in which it pays besides ``currency``
    other_limits: dict[str, PaymentLimits] = {}  # by such a currency
    other_fees: dict[str, PaymentFees] = {}

    def limits_in(self, currency: str) -> PaymentLimits | None:
        """Return the limits of payments in a currency; None where payments are not limited.

        Where limits are set, nothing is paid in a currency that has none.
        """
        if self.limits is None or currency == self.currency:
            return self.limits
        return self.other_limits.get(currency, NO_PAYMENTS)

    def fees_in(self, currency: str) -> PaymentFees | None:
        """Return what the institution takes of payments in a currency; None where nothing."""
        return self.fees if currency == self.currency else self.other_fees.get(currency)

    @property
    def currencies(self) -> list[str]:
        """The currencies in which its members pay, its main one first."""
        return [self.currency, *self.other_currencies]

    @property
    def home_engine(self) -> str:
        """The engine at which the scheme's requests begin, and payments too where there are no weights."""
        return self.placement[0]

    @property
    def begins(self) -> list[str]:
        """The engines that begin something under this epoch: the home engine, and those with a weight."""
        weighted = [engine for engine, weight in zip(self.placement, self.weights, strict=False) if weight]
        return [self.home_engine, *(engine for engine in weighted if engine != self.home_engine)]

    def engine_of(self, payment_id: str) -> str:
        """Return the one engine that may begin a payment under this epoch: the same for every repetition."""
        rest = zlib.crc32(payment_id.encode()) % WEIGHT_SUM
        for engine, weight in zip(self.placement, self.weights, strict=False):
            rest -= weight
            if rest < 0:
                return engine
        return self.home_engine

    def known_engines(self, payment_id: str = "") -> list[str]:
        """Return the engines that may know something of the tenant's, the likeliest for an id first."""
        first = [self.engine_of(payment_id)] if payment_id else []
        return list(dict.fromkeys([*first, *self.placement, *self.formers(but="")]))

    def formers(self, but: str) -> list[str]:
        """Return the engines that may have begun under an earlier epoch what is asked for now, but one."""
        return [former.engine for former in self.former if former.engine != but]

    def undrained(self, but: str) -> list[str]:
        """Return the engines at which something may run that began under an earlier epoch, but one."""
        return [each.engine for each in self.former if each.engine != but and not each.is_drained]

    def open_engines(self, but: str) -> list[str]:
        """Return the engines at which something of the tenant may wait for an answer, but one."""
        engines = dict.fromkeys([*self.begins, *self.undrained(but)])
        return [engine for engine in engines if engine != but]
