"""Starts runs of the payment suite, works on them in the background, and tells how far they are."""

import asyncio
import logging
from secrets import token_hex
from typing import Final

import msgspec
from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_tenants.certification.cases import Case
from payhub_tenants.certification.errors import NoCertificationError, NoMemberError, OutsideError
from payhub_tenants.certification.model import (
    DOCUMENT,
    PURPOSE,
    CertificationRun,
    CertificationView,
    CertifyMember,
    Found,
    OpenCase,
    amount_of,
    certification_view,
    claimed,
    new_run,
    result_of,
    with_result,
)
from payhub_tenants.certification.suite import Suite
from payhub_tenants.identifiers.book import IdentifierBook, OpenedIdentifiers
from payhub_tenants.lifecycle.model import is_same
from payhub_tenants.lifecycle.service import LifecycleService, locked
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant
from payhub_tenants.vault import Vault

_logger = logging.getLogger(__name__)

POLL_S: Final = 0.5
RUN_MS_MAX: Final = 10 * 60_000  # a case that has begun is finished
AT_ONCE_MAX: Final = 4  # tenants whose suites run at the same time
_MEMBERS_READ: Final = 100


class CertificationService:
    """A case is claimed in the store, done without a transaction, and its result kept in another one.

    A run that is cut off goes on with the case that was under way: payments have derived ids, and those
    of the test DFSP are looked for before they are ordered.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        book: IdentifierBook,
        lifecycle: LifecycleService,
        suite: Suite,
        clock: Clock,
    ) -> None:
        self._store = store
        self._book = book
        self._vault = vault
        self._lifecycle = lifecycle
        self._suite = suite
        self._clock = clock
        self._name = token_hex(8)  # of this copy of the process

    async def start(self, tenant_id: str, member: CertifyMember | None, actor: str) -> CertificationView:
        """Start the suite; asked again while it runs, tell how far it is. A run that failed is begun anew.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NoSandboxError: there is no sandbox, or it lacks what the suite needs.
            CertificationUnavailableError: the sandbox does not answer now.
            NotAtSandboxError: the tenant is connected to another switch.
            NoMemberError: no such member is registered.
            ConflictError: see ``LifecycleService.start``.
        """
        async with self._store.transaction(tenant_id) as transaction:
            present = await transaction.tenants.get(tenant_id)
        if present is None:
            raise TenantNotFoundError
        await self._suite.check(present)
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await locked(transaction, tenant_id)
            if not is_same("certify", tenant.status, await transaction.lifecycle.last(tenant_id)):
                job = await self._lifecycle.begin(transaction, tenant, "certify", actor)
                kept = await self._book.opened(transaction, tenant_id)
                party = msgspec.json.encode(await _member(kept, tenant_id, member)).decode()
                run = new_run(job.number, await self._vault.seal(tenant_id, party, PURPOSE), self._clock())
                await transaction.documents.put(tenant_id, DOCUMENT, run, self._clock())
        await self._lifecycle.run(tenant_id)
        return await self.view(tenant_id)

    async def view(self, tenant_id: str) -> CertificationView:
        """Return the newest run, as far as it is.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NoCertificationError: the suite was never run.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            run = await transaction.documents.get(tenant_id, DOCUMENT, CertificationRun)
        if run is None:
            raise NoCertificationError
        return certification_view(run)

    async def keep_running(self) -> None:
        """Work on runs until cancelled."""
        while True:
            try:
                await self.work()
            except UnavailableError as error:
                _logger.warning("certifications wait: %s", error.code)
            await asyncio.sleep(POLL_S)

    async def work(self) -> None:
        """Work on all open runs that no other copy of the process works on, to their ends."""
        async with self._store.registry() as registry:
            waiting = await registry.documents.tenants_with_open(DOCUMENT)
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def work_on(tenant_id: str) -> None:
            async with slots:
                try:
                    while await self._one(tenant_id):
                        pass
                except PayhubError as error:  # one tenant's run must not hold up the others'
                    _logger.warning("tenant %s: its certification waits: %s", tenant_id, error.code)

        async with asyncio.TaskGroup() as tasks:
            for tenant_id in waiting:
                tasks.create_task(work_on(tenant_id))

    async def _one(self, tenant_id: str) -> bool:
        """Do the next case; False where none is left, or another copy of the process has the run."""
        claim = await self._claim(tenant_id)
        if claim is None:
            return False
        tenant, run = claim
        case = run.next_case
        assert case is not None  # noqa: S101 - a run without a next case is done, and none of the open ones
        opened = run.open_case
        member = msgspec.json.decode(
            await self._vault.open(tenant_id, run.member_sealed, PURPOSE), type=PartyIdInfo
        )
        if opened is None or opened.case_id != case.case_id:
            try:
                opened = await self._begin(tenant, member, case, run)
            except OutsideError as error:
                return await self._end(tenant, run, error.what)
            run = replace(run, open_case=opened, first=run.first or opened.before)
            if not await self._keep(tenant_id, run):
                return False
        result = await self._suite.finish(tenant, member, case, run, opened)
        _logger.info("tenant %s: case %s passed: %s", tenant_id, case.case_id, result.passed)
        after = with_result(run, result, self._clock())
        if await self._keep(tenant_id, after) and after.is_done:
            await self._lifecycle.run(tenant_id)
        return not after.is_done

    async def _begin(
        self, tenant: Tenant, member: PartyIdInfo, case: Case, run: CertificationRun
    ) -> OpenCase:
        if self._clock() - run.started_at_ms > RUN_MS_MAX:
            raise OutsideError("the run took too long")
        return await self._suite.begin(tenant, member, case)

    async def _end(self, tenant: Tenant, run: CertificationRun, what: str) -> bool:
        """End a run that cannot go on: the cases that are left have failed for the same reason."""
        while (case := run.next_case) is not None:
            found = Found(state="NOT BEGUN", note=what)
            result = result_of(case, found, amount_of(case, tenant.currency), "", 0)
            run = with_result(run, result, self._clock())
        if await self._keep(tenant.tenant_id, run):
            await self._lifecycle.run(tenant.tenant_id)
        return False

    async def _claim(self, tenant_id: str) -> tuple[Tenant, CertificationRun] | None:
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await locked(transaction, tenant_id)
            run = await transaction.documents.get(tenant_id, DOCUMENT, CertificationRun)
            now = self._clock()
            mine = None if run is None or run.is_done else claimed(run, self._name, now)
            if mine is None:
                return None
            await transaction.documents.put(tenant_id, DOCUMENT, mine, now)
        return tenant, mine

    async def _keep(self, tenant_id: str, run: CertificationRun) -> bool:
        """Keep a run that is still this copy's; False where another has taken it over."""
        async with self._store.transaction(tenant_id) as transaction:
            await locked(transaction, tenant_id)
            known = await transaction.documents.get(tenant_id, DOCUMENT, CertificationRun)
            if known is None or (known.job, known.claimed_by) != (run.job, self._name):
                return False
            await transaction.documents.put(tenant_id, DOCUMENT, run, self._clock())
        return True


async def _member(kept: OpenedIdentifiers, tenant_id: str, member: CertifyMember | None) -> PartyIdInfo:
    if member is None:
        found = sorted(await kept.page(None, _MEMBERS_READ), key=lambda each: each.key)
        known = next((each for each in found if each.state == "registered"), None)
    else:
        known = await kept.get((tenant_id, member.type, member.value, member.sub_id or ""))
    if known is None or known.state != "registered":
        raise NoMemberError
    return PartyIdInfo(
        party_id_type=known.type,
        party_identifier=known.value,
        party_sub_id_or_type=known.sub_id or None,
    )
