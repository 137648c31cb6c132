"""Limits of payments and fees, in minor units of the tenant's currency. Pure."""

from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta

from payhub_platform.contracts.tenant import BASIS_POINTS, FeeTier, PaymentFees, PaymentLimits
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body

LIMITS_DOCUMENT: Final = "limits"
FEES_DOCUMENT: Final = "fees"
AMOUNT_MAX: Final = 10**15
TIERS_MAX: Final = 20

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Fee = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]


class Velocity(Body, frozen=True, kw_only=True):
    """How many payments one member may start within a time."""

    payments: Annotated[int, Meta(ge=1, le=10_000)]
    window_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)]


class Limits(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/limits``; a day is one of UTC."""

    per_payment_minor: Amount
    per_day_minor: Amount  # the whole institution
    per_member_day_minor: Amount
    velocity: Velocity


class Tier(Body, frozen=True, kw_only=True):
    """What payments from an amount upwards cost: a part of the amount and a fixed sum."""

    from_minor: Fee
    fixed_minor: Fee = 0
    basis_points: Annotated[int, Meta(ge=0, le=BASIS_POINTS)] = 0


class Fees(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/fees``: tiers in the order of their amounts, the first from 0.

    ``tiers`` are what members pay who pay, ``payee_tiers`` what is kept of what members are paid. Both come
    on top of what the core bank takes.
    """

    tiers: Annotated[list[Tier], Meta(min_length=1, max_length=TIERS_MAX)]
    payee_tiers: Annotated[list[Tier], Meta(max_length=TIERS_MAX)] = []


def checked_limits(limits: Limits) -> Limits:
    """Return limits that fit into one another.

    Raises:
        InvalidInputError: ``limits-contradict``.
    """
    for name, smaller, larger in (
        ("perPaymentMinor", limits.per_payment_minor, limits.per_member_day_minor),
        ("perMemberDayMinor", limits.per_member_day_minor, limits.per_day_minor),
    ):
        if smaller > larger:
            raise InvalidInputError(
                "limits-contradict", "A payment <= a member's day <= the day.", f"/{name}"
            )
    return limits


def checked_fees(fees: Fees) -> Fees:
    """Return fees whose tiers begin at 0 and rise.

    Raises:
        InvalidInputError: ``tiers-unordered``.
    """
    for name, tiers in (("tiers", fees.tiers), ("payeeTiers", fees.payee_tiers)):
        begins = [tier.from_minor for tier in tiers]
        if begins[:1] not in ([], [0]) or any(low >= high for low, high in pairwise(begins)):
            raise InvalidInputError(
                "tiers-unordered", "The first tier is from 0, each later one higher.", f"/{name}"
            )
    return fees


def published_limits(limits: Limits) -> PaymentLimits:
    """Return limits as gateways and engines are told."""
    return PaymentLimits(
        per_payment_minor=limits.per_payment_minor,
        per_day_minor=limits.per_day_minor,
        per_member_day_minor=limits.per_member_day_minor,
        velocity_payments=limits.velocity.payments,
        velocity_window_ms=limits.velocity.window_ms,
    )


def published_fees(fees: Fees) -> PaymentFees:
    """Return fees as engines are told."""
    return PaymentFees(payer=_published(fees.tiers), payee=_published(fees.payee_tiers))


def _published(tiers: list[Tier]) -> list[FeeTier]:
    return [
        FeeTier(from_minor=tier.from_minor, fixed_minor=tier.fixed_minor, basis_points=tier.basis_points)
        for tier in tiers
    ]
