"""Registers party identifiers at the tenant's core bank and at the scheme."""

import asyncio
import logging
from typing import Final

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.model import (
    IdentifierView,
    PartyIdentifier,
    RegisterIdentifiers,
    identifier_view,
    pending_identifiers,
)
from payhub_tenants.identifiers.remote import AmsAccess, AmsParties, SchemeAccess, SchemeParticipants
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant

_logger = logging.getLogger(__name__)

AT_ONCE_MAX: Final = 4  # calls in flight for one request; a core bank has members to serve as well
REQUEST_WAIT_S: Final = 30
STALE_MS: Final = 2 * REQUEST_WAIT_S * 1000  # an attempt this old was cut off

_CLAIMED: Final = RegistrationError("claimed", "The identifier is registered for another account.")
_TOO_LATE: Final = RegistrationError("deadline", "There was no time left for it; send it again.")


class IdentifierService:
    """Claims an identifier in the store, registers it outside, records the outcome.

    No transaction is open while others are called. What is cut off half-way is repeated by sending
    the same request again: every step is repeatable.
    """

    def __init__(
        self,
        store: Store,
        ams: AmsParties,
        scheme: SchemeParticipants,
        secrets: SecretBox,
        clock: Clock,
        wait_s: float = REQUEST_WAIT_S,
    ) -> None:
        self._store = store
        self._ams = ams
        self._scheme = scheme
        self._secrets = secrets
        self._clock = clock
        self._wait_s = wait_s

    async def register(self, tenant_id: str, request: RegisterIdentifiers) -> list[IdentifierView]:
        """Register identifiers and tell the outcome of each, in the order of the request.

        Raises:
            TenantNotFoundError: there is no such tenant; nothing was registered.
            InvalidInputError: the request is refused; see ``pending_identifiers``.
        """
        identifiers = pending_identifiers(tenant_id, request, self._clock())
        tenant, claimed = await self._claim(tenant_id, identifiers)
        outcomes = await self._register_all(tenant, claimed)
        async with self._store.transaction() as transaction:
            # In the order of the keys, so that two requests never wait for each other in a circle.
            for key in sorted(outcomes):
                await transaction.identifiers.record(outcomes[key])
        failed = sum(1 for outcome in outcomes.values() if outcome.state == "failed")
        _logger.info("tenant %s: %d identifiers tried, %d failed", tenant_id, len(outcomes), failed)
        return [
            identifier_view(outcomes.get(identifier.key) or _failed(identifier, _CLAIMED))
            for identifier in identifiers
        ]

    async def _claim(
        self, tenant_id: str, identifiers: list[PartyIdentifier]
    ) -> tuple[Tenant, list[PartyIdentifier]]:
        stale_before_ms = self._clock() - STALE_MS
        async with self._store.transaction() as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            claimed = [
                identifier
                for identifier in sorted(identifiers, key=lambda each: each.key)
                if await transaction.identifiers.claim(identifier, stale_before_ms)
            ]
        return tenant, claimed

    async def _register_all(
        self, tenant: Tenant, identifiers: list[PartyIdentifier]
    ) -> dict[tuple[str, str, str, str], PartyIdentifier]:
        ams, scheme = self._access(tenant)
        slots = asyncio.Semaphore(AT_ONCE_MAX)
        outcomes = {identifier.key: _failed(identifier, _TOO_LATE) for identifier in identifiers}

        async def register(identifier: PartyIdentifier) -> None:
            async with slots:
                outcomes[identifier.key] = await self._register_one(ams, scheme, identifier)

        try:
            async with asyncio.timeout(self._wait_s), asyncio.TaskGroup() as tasks:
                for identifier in identifiers:
                    tasks.create_task(register(identifier))
        except TimeoutError:
            _logger.warning("tenant %s: registration of identifiers cut off", tenant.tenant_id)
        return outcomes

    async def _register_one(
        self, ams: AmsAccess, scheme: SchemeAccess, identifier: PartyIdentifier
    ) -> PartyIdentifier:
        try:
            await self._ams.ensure(ams, identifier)
            await self._scheme.register(scheme, identifier)
        except RegistrationError as error:
            return _failed(identifier, error)
        return replace(identifier, state="registered")

    def _access(self, tenant: Tenant) -> tuple[AmsAccess, SchemeAccess]:
        ams = AmsAccess(
            base_url=tenant.ams_base_url,
            platform_tenant=tenant.ams_platform_tenant,
            username=tenant.ams_username,
            password=self._secrets.open(tenant.ams_password_sealed, f"ams:{tenant.tenant_id}"),
        )
        private_pem = self._secrets.open(tenant.private_key_sealed, f"jws:{tenant.tenant_id}")
        scheme = SchemeAccess(
            base_url=tenant.scheme_base_url,
            fsp_id=tenant.fsp_id,
            currency=tenant.currency,
            key=jws.load_private_key(private_pem),
        )
        return ams, scheme


def _failed(identifier: PartyIdentifier, error: RegistrationError) -> PartyIdentifier:
    return replace(identifier, state="failed", reason=str(error))
