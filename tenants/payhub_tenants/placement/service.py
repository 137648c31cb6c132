"""Places tenants, and follows a move until the engines before have ended what they began."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.lifecycle.model import published_status
from payhub_tenants.operators.model import AGGREGATOR
from payhub_tenants.placement.engines import Engines, EngineSilentError
from payhub_tenants.placement.load import observed
from payhub_tenants.placement.model import (
    PLACEMENT_DOCUMENT,
    ChangePlacement,
    EngineLoad,
    Former,
    PlacementRecord,
    PlacementView,
    begins,
    checked_change,
    choose,
    drained,
    formers_after,
    loads_of,
    placement_view,
)
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantLeavingError, TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, TenantView, changed, check_placement, with_placement
from payhub_tenants.tenants.service import view_of

_logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
LOOKS_TO_FORGET: Final = 3_600  # about once an hour; engines keep keys for 90 days
TENANTS_READ: Final = 500
ACTOR: Final = "payhub"  # who ends a move, in the audit
UNPLACED: Final = PlacementRecord(is_pinned=True, weights=[])


class PlacementService:
    """A change is one transaction; what follows from it is found again by whichever copy looks next."""

    def __init__(
        self,
        store: Store,
        book: IdentifierBook,
        engines: Engines,
        capacities: dict[str, int],
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._book = book
        self._engines = engines
        self._capacities = capacities
        self._clock = clock
        self._on_change = on_change

    async def view(self, tenant_id: str) -> PlacementView:
        """Return a tenant's placement, and how far a move is.

        Raises:
            TenantNotFoundError: there is none of this id.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            record = await _record(transaction, tenant_id)
        return placement_view(tenant_id, tenant.placement, tenant.epoch, record)

    async def place(
        self, tenant_id: str, change: ChangePlacement, actor: str = AGGREGATOR.operator_id
    ) -> TenantView:
        """Have other engines serve a tenant; those before end what they have begun, and are asked about it.

        Raises:
            TenantNotFoundError: there is none of this id.
            TenantLeavingError: it was purged.
            NoHeadroomError: no engine has room for what is expected.
            PayhubError: the placement is refused; see ``checked_change`` and ``check_placement``.
        """
        checked_change(change)
        if change.placement is not None:
            check_placement(change.placement, frozenset(self._capacities))
        loads = await self._loads(tenant_id) if change.automatic is not None else []
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            if tenant.status == "purged":
                raise TenantLeavingError
            known = await _record(transaction, tenant_id)
            placement, record = _placed(tenant, change, loads)
            after = with_placement(tenant, placement, now, reweighted=known.weights != record.weights)
            former = known.former
            if after is not tenant:
                former = formers_after(known.former, begins(tenant.placement, known.weights), after.epoch)
                await transaction.tenants.save(after)
                detail = {"placement": placement, "epoch": after.epoch, "pinned": record.is_pinned}
                await transaction.audit.append(tenant_id, now, actor, "tenant.placed", detail)
            record = replace(record, former=former, is_done=_is_done(former))
            await transaction.documents.put(tenant_id, PLACEMENT_DOCUMENT, record, now)
            view = await view_of(transaction, self._book, after)
        self._on_change()
        return view

    async def keep_running(self) -> None:
        """Follow moves until cancelled; another copy of the process may have begun them."""
        for look in itertools.count(1):
            try:
                await self.run_waiting()
                if look % LOOKS_TO_FORGET == 0:
                    await self.forget()
            except UnavailableError as error:
                _logger.warning("moves of tenants wait: %s", error)
            await asyncio.sleep(POLL_S)

    async def run_waiting(self) -> None:
        """Look how far all moves are."""
        async with self._store.registry() as registry:
            moving = await registry.documents.tenants_with_open(PLACEMENT_DOCUMENT)
        await self._follow_all(moving)

    async def forget(self) -> None:
        """Forget the former engines that know no payment of before any more, by their own word."""
        async with self._store.registry() as registry:
            records = await registry.documents.of_kind(PLACEMENT_DOCUMENT, PlacementRecord)
        moved = [tenant_id for tenant_id, record in records.items() if record.former]
        await self._follow_all(moved, is_forgetting=True)

    async def _follow_all(self, tenants: list[str], *, is_forgetting: bool = False) -> None:
        for tenant_id in tenants:
            try:
                await self._follow(tenant_id, is_forgetting=is_forgetting)
            except UnavailableError:
                raise
            except PayhubError as error:  # one tenant's move must not hold up the others'
                _logger.exception("tenant %s: its move cannot be followed: %s", tenant_id, error.code)

    async def _follow(self, tenant_id: str, *, is_forgetting: bool) -> None:
        """Ask the former engines of one tenant what is open, and note what they say."""
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            record = await _record(transaction, tenant_id)
        if tenant is None:
            return
        former = [
            await self._asked(tenant, each) if is_forgetting or each.drained_at_ms is None else each
            for each in record.former
        ]
        noted = replace(record, former=[each for each in former if each is not None])
        noted = replace(noted, is_done=_is_done(noted.former))
        if noted == record:
            return
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            present = await transaction.tenants.lock(tenant_id)
            if present is None or present.epoch != tenant.epoch:
                return  # it was moved again meanwhile; what was asked says nothing of that
            if await _record(transaction, tenant_id) != record:
                return  # another copy of the process has noted it
            await transaction.documents.put(tenant_id, PLACEMENT_DOCUMENT, noted, now)
            if _published(noted) != _published(record):
                await transaction.tenants.save(changed(present, now))
            if noted.is_done and not record.is_done:
                detail = {"epoch": present.epoch, "drained": [each.engine for each in record.former]}
                await transaction.audit.append(tenant_id, now, ACTOR, "tenant.moved", detail)
                _logger.info("tenant %s: its move to epoch %d is done", tenant_id, present.epoch)
        self._on_change()

    async def _asked(self, tenant: Tenant, former: Former) -> Former | None:
        if published_status(tenant.status) and tenant.published_version < tenant.version:
            # Fenced before gateways hear of it, payments would be refused for nothing.
            return _waiting(former, "publication to gateways and engines")
        try:
            told = await self._engines.drain(former.engine, tenant.tenant_id, tenant.epoch)
        except EngineSilentError as error:
            return _waiting(former, str(error))
        return drained(former, told, tenant.epoch, self._clock())

    async def _loads(self, but: str) -> list[EngineLoad]:
        """Return what all other tenants ask of the engines; two placed at once may not see each other."""
        placements: list[tuple[list[str], PlacementRecord]] = []
        own: dict[str, int] = {}
        async with self._store.registry() as registry:
            records = await registry.documents.of_kind(PLACEMENT_DOCUMENT, PlacementRecord)
            after = ""
            while page := await registry.tenants.page(after, TENANTS_READ):
                for tenant in page:
                    record = records.get(tenant.tenant_id)
                    if record is None or tenant.status == "purged":
                        continue
                    if tenant.tenant_id == but:
                        own[tenant.placement[0]] = record.expected_per_s
                    else:
                        placements.append((tenant.placement, record))
                after = page[-1].tenant_id
        booked = loads_of(self._capacities, placements)
        return list(await asyncio.gather(*(self._observed(load, own.get(load.engine, 0)) for load in booked)))

    async def _observed(self, load: EngineLoad, own_per_s: int) -> EngineLoad:
        try:
            return observed(load, await self._engines.overview(load.engine), own_per_s)
        except EngineSilentError as error:
            _logger.warning("no tenant is placed there: %s", error)
            return replace(load, is_fit=False)


async def _record(transaction: Transaction, tenant_id: str) -> PlacementRecord:
    return await transaction.documents.get(tenant_id, PLACEMENT_DOCUMENT, PlacementRecord) or UNPLACED


def _waiting(former: Former, what: str) -> Former:
    return former if former.drained_at_ms is not None else replace(former, waits_for=what)


def _is_done(former: list[Former]) -> bool:
    return all(each.drained_at_ms is not None for each in former)


def _published(record: PlacementRecord) -> list[tuple[str, bool]]:
    return [(former.engine, former.drained_at_ms is not None) for former in record.former]


def _placed(
    tenant: Tenant, change: ChangePlacement, loads: list[EngineLoad]
) -> tuple[list[str], PlacementRecord]:
    if change.automatic is not None:
        placement = choose(loads, change.automatic, tenant.placement[0])
        expected = change.automatic.expected_per_s
        return placement, PlacementRecord(is_pinned=False, weights=[], expected_per_s=expected)
    return change.placement or [], PlacementRecord(is_pinned=True, weights=list(change.weights or []))
