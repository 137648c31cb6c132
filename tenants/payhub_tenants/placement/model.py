"""How engines are chosen for a tenant. Pure."""

from typing import Annotated, Final

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from payhub_platform.contracts.engine import TenantDrain
from payhub_platform.contracts.tenant import WEIGHT_SUM
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, EngineId, View
from payhub_tenants.placement.errors import NoHeadroomError, UnfitWeightsError

PLACEMENT_MAX: Final = 16
PLACEMENT_DOCUMENT: Final = "placement"
CAPACITY_PER_S: Final = 500  # of an engine of which nothing is said
HEADROOM_PERCENT: Final = 30  # what an engine keeps free, for peaks and for another engine's tenants

Placement = Annotated[list[EngineId], Meta(min_length=1, max_length=PLACEMENT_MAX)]
Weights = Annotated[list[Annotated[int, Meta(ge=0, le=WEIGHT_SUM)]], Meta(max_length=PLACEMENT_MAX)]
PaymentsPerS = Annotated[int, Meta(ge=1, le=100_000)]


class Automatic(Body, frozen=True, kw_only=True):
    """What payhub chooses by: how many payments are expected, and how many engines may serve them."""

    expected_per_s: PaymentsPerS
    engines: Annotated[int, Meta(ge=1, le=PLACEMENT_MAX)] = 2


class ChangePlacement(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/placement``: engines pinned in failover order, or ``automatic``."""

    placement: Placement | None = None
    weights: Weights | None = None  # percent of new payments for each engine; none: all at the first
    automatic: Automatic | None = None


class Former(Struct, frozen=True, kw_only=True):
    """An engine that may have begun payments under an earlier epoch, and how far it has ended them."""

    engine: str
    epoch: int  # the first one under which it no longer begins what it began before
    open: int | None = None  # None: not asked yet
    open_payments: list[str] = []  # some of them
    waits_for: str = ""
    drained_at_ms: int | None = None  # since then it is only asked whether it knows a payment


class PlacementRecord(View, frozen=True, kw_only=True, omit_defaults=False):
    """What is kept beside a tenant's placement."""

    is_pinned: bool
    weights: list[int]
    expected_per_s: int = 0
    former: list[Former] = []
    # No engine has to end anything that was begun under an earlier epoch. By this name it is looked for.
    is_done: bool = field(default=True, name="is_done")


class FormerView(View, frozen=True, kw_only=True):
    """A former engine as it is shown."""

    engine: str
    since_epoch: int
    open: int | None = None
    open_payments: list[str] = []
    waits_for: str | None = None
    drained_at_ms: int | None = None


class PlacementView(View, frozen=True, kw_only=True, omit_defaults=False):
    """Which engines serve a tenant, and how far those have ended what they began before a move."""

    tenant_id: str
    placement: list[str]
    weights: list[int]
    epoch: int
    is_pinned: bool
    expected_per_s: int
    is_moving: bool
    former: list[FormerView]


class EngineLoad(Struct, frozen=True, kw_only=True):
    """What an engine can do and has to, in payments a second."""

    engine: str
    capacity_per_s: int
    load_per_s: int
    is_fit: bool = True  # it answers, and its disk has room

    @property
    def room_per_s(self) -> int:
        """What may be added while the headroom stays free."""
        return self.capacity_per_s * (WEIGHT_SUM - HEADROOM_PERCENT) // WEIGHT_SUM - self.load_per_s


def choose(loads: list[EngineLoad], wanted: Automatic, home: str) -> list[str]:
    """Return engines in failover order: the one with the most room is the home, then the next ones.

    The present ``home`` stays where it has the room, because moving a tenant costs more than it gains.

    Raises:
        NoHeadroomError: not even the first has room. The others need none: they take over in need.
    """
    fit = [load for load in loads if load.is_fit]
    ranked = sorted(fit, key=lambda load: (-load.room_per_s, load.engine))
    if not ranked or ranked[0].room_per_s < wanted.expected_per_s:
        raise NoHeadroomError(wanted.expected_per_s)
    staying = [load for load in ranked if load.engine == home and load.room_per_s >= wanted.expected_per_s]
    order = [*staying, *(load for load in ranked if load not in staying)]
    return [load.engine for load in order[: wanted.engines]]


def loads_of(
    capacities: dict[str, int], placements: list[tuple[list[str], PlacementRecord]]
) -> list[EngineLoad]:
    """Return every engine's load: what tenants expect, spread by their weights."""
    load_per_s = dict.fromkeys(capacities, 0)
    for placement, record in placements:
        for engine, weight in zip(placement, full_weights(placement, record.weights), strict=True):
            if engine in load_per_s:
                # Rounded up, so that many small tenants do not weigh nothing.
                load_per_s[engine] += -(-record.expected_per_s * weight // WEIGHT_SUM)
    return [
        EngineLoad(engine=engine, capacity_per_s=capacity, load_per_s=load_per_s[engine])
        for engine, capacity in capacities.items()
    ]


def full_weights(placement: list[str], weights: list[int]) -> list[int]:
    """Return the weight of each engine; where nothing is said the first one takes all."""
    return weights or [WEIGHT_SUM, *([0] * (len(placement) - 1))]


def begins(placement: list[str], weights: list[int]) -> list[str]:
    """Return the engines that begin something: the first one, and those with a weight."""
    full = full_weights(placement, weights)
    return [
        engine
        for index, (engine, weight) in enumerate(zip(placement, full, strict=True))
        if weight or not index
    ]


def formers_after(earlier: list[Former], began: list[str], epoch: int) -> list[Former]:
    """Return the former engines of a new epoch: those that began something until now, and those before."""
    kept = [former for former in earlier if former.engine not in began]
    return [*(Former(engine=engine, epoch=epoch) for engine in began), *kept]


def drained(former: Former, told: TenantDrain, epoch: int, now_ms: int) -> Former | None:
    """Return a former engine as it stands by its own word; None where it knows no payment of before.

    Done is only what the engine cannot undo: it is fenced, has heard of the placement, so that it hands on
    what the scheme still sends it, and nothing that it began is open.
    """
    is_behind = told.fence < epoch or told.known_epoch < epoch
    if former.drained_at_ms is not None:
        return former if is_behind or told.begun else None
    if is_behind:
        return replace(former, open=told.open, waits_for="the engine has not heard of the placement")
    if told.open or told.outbox:
        waits_for = f"{told.open} payments under way, {told.outbox} callbacks to hand over"
        return replace(former, open=told.open, open_payments=told.open_payments, waits_for=waits_for)
    if not told.begun:
        return None
    return replace(former, open=0, open_payments=[], waits_for="", drained_at_ms=now_ms)


def placement_view(
    tenant_id: str, placement: list[str], epoch: int, record: PlacementRecord
) -> PlacementView:
    """Return a placement as it is shown."""
    return PlacementView(
        tenant_id=tenant_id,
        placement=placement,
        weights=full_weights(placement, record.weights),
        epoch=epoch,
        is_pinned=record.is_pinned,
        expected_per_s=record.expected_per_s,
        is_moving=not record.is_done,
        former=[
            FormerView(
                engine=former.engine,
                since_epoch=former.epoch,
                open=former.open,
                open_payments=former.open_payments,
                waits_for=former.waits_for or None,
                drained_at_ms=former.drained_at_ms,
            )
            for former in record.former
        ],
    )


def checked_change(body: ChangePlacement) -> ChangePlacement:
    """Refuse what names both ways or neither, and weights that do not fit.

    Raises:
        InvalidInputError: ``invalid-field`` or ``unfit-weights``.
    """
    if (body.placement is None) == (body.automatic is None):
        raise InvalidInputError("invalid-field", "Name either the engines or automatic.", "/")
    if body.weights is not None:
        if body.placement is None or len(body.weights) != len(body.placement):
            raise UnfitWeightsError("There is one weight for each pinned engine.")
        if sum(body.weights) != WEIGHT_SUM:
            raise UnfitWeightsError(f"The weights are percent: together {WEIGHT_SUM}.")
    return body
