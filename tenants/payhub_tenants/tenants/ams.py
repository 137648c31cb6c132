"""The connection to an institution's core bank: its credentials, and a live check."""

from payhub_platform.clock import Clock
from payhub_tenants.fields import View
from payhub_tenants.identifiers.access import Access
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.remote import AmsParties
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError

CHECK_DOCUMENT = "ams-check"


class AmsCheck(View, frozen=True, kw_only=True, omit_defaults=False):
    """What the core bank answered, as of ``at_ms``."""

    at_ms: int
    answered: bool
    reason: str = ""


class AmsService:
    """Checks by a look-up that finds nobody: it needs address, credentials and the interoperation API."""

    def __init__(self, store: Store, ams: AmsParties, access: Access, clock: Clock) -> None:
        self._store = store
        self._ams = ams
        self._access = access
        self._clock = clock

    async def check(self, tenant_id: str, actor: str) -> AmsCheck:
        """Ask the core bank now, and keep what became of it.

        Raises:
            TenantNotFoundError: there is no such tenant.
            KeyDestroyedError: its credentials can no longer be read.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
        if tenant is None:
            raise TenantNotFoundError
        try:
            await self._ams.check(await self._access.ams(tenant))
            reason = ""
        except RegistrationError as error:
            reason = str(error)
        now = self._clock()
        check = AmsCheck(at_ms=now, answered=not reason, reason=reason)
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.lock(tenant_id) is None:
                raise TenantNotFoundError
            await transaction.documents.put(tenant_id, CHECK_DOCUMENT, check, now)
            detail = {"answered": check.answered, "reason": reason.partition(":")[0]}
            await transaction.audit.append(tenant_id, now, actor, "ams.checked", detail)
        return check
