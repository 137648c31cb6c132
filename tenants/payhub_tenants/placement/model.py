"""How engines are chosen for a tenant. Pure."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, EngineId, View
from payhub_tenants.placement.errors import NoHeadroomError, UnfitWeightsError

PLACEMENT_MAX: Final = 16
WEIGHT_SUM: Final = 100
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


class PlacementRecord(View, frozen=True, kw_only=True, omit_defaults=False):
    """What is kept beside a tenant's placement."""

    is_pinned: bool
    weights: list[int]
    expected_per_s: int = 0


class EngineLoad(Struct, frozen=True, kw_only=True):
    """What an engine can do and has to, in payments a second."""

    engine: str
    capacity_per_s: int
    load_per_s: int

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
    ranked = sorted(loads, key=lambda load: (-load.room_per_s, load.engine))
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
