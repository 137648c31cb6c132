"""The other institutions of the aggregator, and the way to the engines where their payments run."""

from typing import Protocol

from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig


class Neighbours(Protocol):
    """What an engine tells its connectors of the others."""

    @property
    def engine_id(self) -> str:
        """This engine."""

    def by_fsp(self, fsp_id: str) -> TenantConfig | None:
        """Return the institution of this installation with an FSP id."""

    async def give(self, engine_id: str, callback: Callback) -> None:
        """Commit a callback for an engine, this one or another; it arrives there for certain.

        Raises:
            FspiopRefusal: it can never be taken as it is.
            UnavailableError: not now; the same callback again is taken once by whom it is for.
        """
