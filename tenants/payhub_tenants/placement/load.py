"""How much an engine has to do now, by its own word. Pure."""

from typing import Final

from msgspec.structs import replace

from payhub_platform.contracts.engine import EngineOverview
from payhub_tenants.placement.model import EngineLoad

DISK_ENOUGH: Final = "enough"


def observed(load: EngineLoad, told: EngineOverview, own_per_s: int) -> EngineLoad:
    """Return a load that is at least what the engine does now; one whose disk fills up is not fit.

    What is in flight of what it admits is taken as the part of its capacity that is used; ``own_per_s`` of
    it are of the tenant that is placed, and stay or go with it.
    """
    used_per_s = load.capacity_per_s * told.in_flight // max(told.limits.in_flight, 1) - own_per_s
    is_fit = load.is_fit and told.limits.disk == DISK_ENOUGH
    return replace(load, load_per_s=max(load.load_per_s, used_per_s), is_fit=is_fit)
