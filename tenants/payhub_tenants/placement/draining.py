"""Whether anything of a tenant that has left is still open at an engine."""

from payhub_tenants.placement.engines import Engines, EngineSilentError
from payhub_tenants.placement.model import PLACEMENT_DOCUMENT, PlacementRecord
from payhub_tenants.store import Store
from payhub_tenants.tenants.model import Tenant


class Draining:
    """Asks every engine that has served a tenant."""

    def __init__(self, store: Store, engines: Engines) -> None:
        self._store = store
        self._engines = engines

    async def left(self, tenant: Tenant) -> str:
        """Return what is still open of a tenant that is suspended, for people; empty where nothing is.

        An engine counts as drained once it has heard of the suspension: until then it begins more.
        """
        async with self._store.transaction(tenant.tenant_id) as transaction:
            record = await transaction.documents.get(tenant.tenant_id, PLACEMENT_DOCUMENT, PlacementRecord)
        former = [] if record is None else [each.engine for each in record.former]
        for engine in dict.fromkeys([*tenant.placement, *former]):
            try:
                told = await self._engines.drain(engine, tenant.tenant_id, tenant.epoch)
            except EngineSilentError as error:
                return str(error)
            if told.known_version < tenant.version:
                return f"engine {engine} has not heard of the suspension"
            if told.open or told.outbox:
                return f"{told.open} payments under way and {told.outbox} callbacks at engine {engine}"
        return ""
