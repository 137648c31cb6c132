"""Checks and changes how a tenant reaches its core bank and its scheme; what did not answer is not kept."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_tenants.identifiers.access import Access
from payhub_tenants.identifiers.errors import NotDoneError, RegistrationError
from payhub_tenants.identifiers.remote import AmsParties, SchemeParticipants
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.ams import CHECK_DOCUMENT, AmsBody, AmsCheck, ams_changes, checked_ams
from payhub_tenants.tenants.errors import TenantLeavingError, TenantNotFoundError
from payhub_tenants.tenants.login import OAuthBody, TlsBody
from payhub_tenants.tenants.model import Tenant, changed
from payhub_tenants.tenants.scheme import ChangeScheme, scheme_changes
from payhub_tenants.vault import Vault


class ConnectionService:
    """A change is sealed, tried and only then kept; between trying and keeping no transaction is open.

    The core bank is checked by a look-up that finds nobody, the switch by a question for nobody: both need
    the address, the credentials and the API.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        access: Access,
        ams: AmsParties,
        scheme: SchemeParticipants,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._vault = vault
        self._access = access
        self._ams = ams
        self._scheme = scheme
        self._clock = clock
        self._on_change = on_change

    async def check_ams(self, tenant_id: str, actor: str) -> AmsCheck:
        """Ask the core bank now, and keep what became of it.

        Raises:
            TenantNotFoundError: there is no such tenant.
            KeyDestroyedError: its credentials can no longer be read.
        """
        tenant = await self._staying(tenant_id)
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

    async def change_ams(self, tenant_id: str, body: AmsBody, actor: str) -> None:
        """Reach the core bank otherwise from now on, if it answers there.

        Raises:
            TenantNotFoundError: there is no such tenant.
            TenantLeavingError: it was purged.
            InvalidInputError: the connection is refused; see ``checked_ams``.
            NotDoneError: the core bank does not answer there; nothing was changed.
        """
        checked_ams(body, "")
        tenant = await self._staying(tenant_id)
        changes = await sealed_ams(self._vault, tenant_id, body)
        try:
            await self._ams.check(await self._access.ams(replace(tenant, **changes)))
        except RegistrationError as error:
            raise NotDoneError(str(error)) from error
        check = AmsCheck(at_ms=self._clock(), answered=True)
        detail = {"baseUrl": changes["ams_base_url"], "kind": body.kind}
        async with self._store.transaction(tenant_id) as transaction:
            await self._keep(transaction, tenant_id, changes, actor, "ams.changed", detail)
            await transaction.documents.put(tenant_id, CHECK_DOCUMENT, check, check.at_ms)
        self._on_change()

    async def change_scheme(self, tenant_id: str, request: ChangeScheme, actor: str) -> None:
        """Change how a tenant speaks at its scheme, and whose signatures are believed there.

        Where address or credentials change, the switch must answer. A key of others that must go is
        taken away also while it does not.

        Raises:
            TenantNotFoundError: there is none of this id.
            TenantLeavingError: it was purged.
            InvalidInputError: the settings are refused; see ``scheme_changes``.
            NotDoneError: the switch does not answer there; nothing was changed.
        """
        tenant = await self._staying(tenant_id)
        key, secret = await _sealed(self._vault, tenant_id, "scheme", request.tls, request.oauth)
        changes = scheme_changes(request, tenant.fsp_id, key, secret)
        tried = replace(tenant, **changes)
        if not await self._is_same_scheme(tenant, tried):
            try:
                await self._scheme.check(await self._access.scheme(tried))
            except RegistrationError as error:
                raise NotDoneError(str(error)) from error
        detail = {"baseUrl": tried.scheme_base_url, "versions": list(request.versions)}
        async with self._store.transaction(tenant_id) as transaction:
            await self._keep(transaction, tenant_id, changes, actor, "scheme.changed", detail)
        self._on_change()

    async def _is_same_scheme(self, tenant: Tenant, tried: Tenant) -> bool:
        before, after = await self._access.scheme(tenant), await self._access.scheme(tried)
        return (before.base_url, before.login) == (after.base_url, after.login)

    async def _keep(
        self,
        transaction: Transaction,
        tenant_id: str,
        changes: dict[str, Any],
        actor: str,
        action: str,
        detail: dict[str, Any],
    ) -> None:
        tenant, now = await transaction.tenants.lock(tenant_id), self._clock()
        if tenant is None or tenant.status == "purged":  # meanwhile
            raise TenantLeavingError
        await transaction.tenants.save(changed(replace(tenant, **changes), now))
        await transaction.audit.append(tenant_id, now, actor, action, detail)

    async def _staying(self, tenant_id: str) -> Tenant:
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
        if tenant is None:
            raise TenantNotFoundError
        if tenant.status == "purged":
            raise TenantLeavingError
        return tenant


async def sealed_ams(vault: Vault, tenant_id: str, body: AmsBody) -> dict[str, Any]:
    """Return what a tenant with this connection to its core bank has, secrets sealed under its key."""
    password = await vault.seal(tenant_id, body.password, "ams") if body.password else ""
    key, secret = await _sealed(vault, tenant_id, "ams", body.tls, body.oauth)
    return ams_changes(body, password, key, secret)


async def _sealed(
    vault: Vault, tenant_id: str, side: str, tls: TlsBody | None, oauth: OAuthBody | None
) -> tuple[str, str]:
    key = tls.private_key_pem if tls is not None else None
    return (
        await vault.seal(tenant_id, key, f"{side}-tls") if key else "",
        await vault.seal(tenant_id, oauth.client_secret, f"{side}-oauth") if oauth is not None else "",
    )
