"""Currencies, limits of payments and fees, in minor units of each currency; direct payments. Pure."""

from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from payhub_platform.contracts.tenant import BASIS_POINTS, FeeTier, PaymentFees, PaymentLimits, TenantConfig
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import CURRENCIES
from payhub_tenants.fields import Body, TenantId

LIMITS_DOCUMENT: Final = "limits"
FEES_DOCUMENT: Final = "fees"
CURRENCIES_DOCUMENT: Final = "currencies"
DIRECT_DOCUMENT: Final = "direct-payments"
CURRENCIES_MAX: Final = 20
PARTNERS_MAX: Final = 500
AMOUNT_MAX: Final = 10**15
TIERS_MAX: Final = 20

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Fee = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]


class Velocity(Body, frozen=True, kw_only=True):
    """How many payments one member may start within a time."""

    payments: Annotated[int, Meta(ge=1, le=10_000)]
    window_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)]


class CurrencyLimits(Body, frozen=True, kw_only=True):
    """Limits of amounts in one of the other currencies; velocity counts payments in all of them together."""

    per_payment_minor: Amount
    per_day_minor: Amount
    per_member_day_minor: Amount


class Limits(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/limits``; a day is one of UTC."""

    per_payment_minor: Amount
    per_day_minor: Amount  # the whole institution
    per_member_day_minor: Amount
    velocity: Velocity
    other_currencies: dict[str, CurrencyLimits] = {}


class Tier(Body, frozen=True, kw_only=True):
    """What payments from an amount upwards cost: a part of the amount and a fixed sum."""

    from_minor: Fee
    fixed_minor: Fee = 0
    basis_points: Annotated[int, Meta(ge=0, le=BASIS_POINTS)] = 0


class CurrencyFees(Body, frozen=True, kw_only=True):
    """Fees of payments in one of the other currencies."""

    tiers: Annotated[list[Tier], Meta(min_length=1, max_length=TIERS_MAX)]
    payee_tiers: Annotated[list[Tier], Meta(max_length=TIERS_MAX)] = []


class Fees(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/fees``: tiers in the order of their amounts, the first from 0.

    ``tiers`` are what members pay who pay, ``payee_tiers`` what is kept of what members are paid. Both come
    on top of what the core bank takes.
    """

    tiers: Annotated[list[Tier], Meta(min_length=1, max_length=TIERS_MAX)]
    payee_tiers: Annotated[list[Tier], Meta(max_length=TIERS_MAX)] = []
    other_currencies: dict[str, CurrencyFees] = {}


class Currencies(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/currencies``: in which members pay besides the institution's main one.

    Where limits are set, nothing is paid in a currency before it has limits of its own.
    """

    others: Annotated[list[str], Meta(max_length=CURRENCIES_MAX)]


class DirectPayments(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/direct-payments``: with whom it pays without the scheme.

    A partner must name this institution too; until then payments go through the scheme.
    """

    partners: Annotated[list[TenantId], Meta(max_length=PARTNERS_MAX)]


def checked_partners(direct: DirectPayments, tenant_id: str) -> DirectPayments:
    """Return partners that are named once each, and are not the institution itself.

    Whether they are there is not asked: that would tell one institution of another.

    Raises:
        InvalidInputError: ``invalid-field``.
    """
    seen = {tenant_id}
    for index, partner in enumerate(direct.partners):
        if partner in seen:
            raise InvalidInputError(
                "invalid-field", "Other institutions are named, each of them once.", f"/partners/{index}"
            )
        seen.add(partner)
    return direct


def checked_currencies(currencies: Currencies, main: str) -> Currencies:
    """Return currencies that are known, each once, and none of them the main one.

    Raises:
        InvalidInputError: ``unknown-currency`` or ``duplicate-currency``.
    """
    seen = {main}
    for index, currency in enumerate(currencies.others):
        _check_known(currency, f"/others/{index}")
        if currency in seen:
            raise InvalidInputError(
                "duplicate-currency", f"{currency} is one of its currencies already.", f"/others/{index}"
            )
        seen.add(currency)
    return currencies


def checked_limits(limits: Limits) -> Limits:
    """Return limits that fit into one another.

    Raises:
        InvalidInputError: ``limits-contradict`` or ``unknown-currency``.
    """
    _check_rising(limits, "")
    for currency, other in limits.other_currencies.items():
        where = f"/otherCurrencies/{currency}"
        _check_known(currency, where)
        _check_rising(other, where)
    return limits


def _check_known(currency: str, where: str) -> None:
    if currency not in CURRENCIES:
        raise InvalidInputError("unknown-currency", "This is no currency payhub knows.", where)


def _check_rising(limits: Limits | CurrencyLimits, where: str) -> None:
    for name, smaller, larger in (
        ("perPaymentMinor", limits.per_payment_minor, limits.per_member_day_minor),
        ("perMemberDayMinor", limits.per_member_day_minor, limits.per_day_minor),
    ):
        if smaller > larger:
            raise InvalidInputError(
                "limits-contradict", "A payment <= a member's day <= the day.", f"{where}/{name}"
            )


def checked_fees(fees: Fees) -> Fees:
    """Return fees whose tiers begin at 0 and rise.

    Raises:
        InvalidInputError: ``tiers-unordered`` or ``unknown-currency``.
    """
    _check_tiers(fees, "")
    for currency, other in fees.other_currencies.items():
        where = f"/otherCurrencies/{currency}"
        _check_known(currency, where)
        _check_tiers(other, where)
    return fees


def _check_tiers(fees: Fees | CurrencyFees, where: str) -> None:
    for name, tiers in (("tiers", fees.tiers), ("payeeTiers", fees.payee_tiers)):
        begins = [tier.from_minor for tier in tiers]
        if begins[:1] not in ([], [0]) or any(low >= high for low, high in pairwise(begins)):
            raise InvalidInputError(
                "tiers-unordered", "The first tier is from 0, each later one higher.", f"{where}/{name}"
            )


def with_terms(
    config: TenantConfig,
    limits: Limits | None,
    fees: Fees | None,
    currencies: Currencies | None,
    direct: DirectPayments | None,
) -> TenantConfig:
    """Return what gateways and engines are told of a tenant, with its terms."""
    if limits is not None:
        others = limits.other_currencies.items()
        config = replace(
            config,
            limits=_limits_of(limits, limits.velocity),
            other_limits={currency: _limits_of(other, limits.velocity) for currency, other in others},
        )
    if fees is not None:
        config = replace(
            config,
            fees=_fees_of(fees),
            other_fees={currency: _fees_of(other) for currency, other in fees.other_currencies.items()},
        )
    if currencies is not None:
        config = replace(config, other_currencies=currencies.others)
    return config if direct is None else replace(config, direct_with=direct.partners)


def _limits_of(limits: Limits | CurrencyLimits, velocity: Velocity) -> PaymentLimits:
    return PaymentLimits(
        per_payment_minor=limits.per_payment_minor,
        per_day_minor=limits.per_day_minor,
        per_member_day_minor=limits.per_member_day_minor,
        velocity_payments=velocity.payments,
        velocity_window_ms=velocity.window_ms,
    )


def _fees_of(fees: Fees | CurrencyFees) -> PaymentFees:
    return PaymentFees(payer=_published(fees.tiers), payee=_published(fees.payee_tiers))


def _published(tiers: list[Tier]) -> list[FeeTier]:
    return [
        FeeTier(from_minor=tier.from_minor, fixed_minor=tier.fixed_minor, basis_points=tier.basis_points)
        for tier in tiers
    ]
