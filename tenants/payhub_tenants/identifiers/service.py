"""Registers party identifiers at the tenant's core bank and at the scheme."""

import asyncio
import logging
from typing import Final

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_tenants.identifiers.access import Access
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.errors import (
    IdentifierBusyError,
    IdentifierNotFoundError,
    NotDoneError,
    RegistrationError,
)
from payhub_tenants.identifiers.model import (
    IdentifierKey,
    IdentifierView,
    PartyIdentifier,
    RegisterIdentifiers,
    identifier_view,
    pending_identifiers,
)
from payhub_tenants.identifiers.remote import AmsAccess, AmsParties, SchemeAccess, SchemeParticipants
from payhub_tenants.identifiers.withdrawal import Withdrawal
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantLeavingError, TenantNotFoundError
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
        access: Access,
        withdrawal: Withdrawal,
        book: IdentifierBook,
        clock: Clock,
        wait_s: float = REQUEST_WAIT_S,
    ) -> None:
        self._store = store
        self._ams = ams
        self._scheme = scheme
        self._access = access
        self._withdrawal = withdrawal
        self._book = book
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
        async with self._store.transaction(tenant_id) as transaction:
            # In the order of the keys, so that two requests never wait for each other in a circle.
            kept = await self._book.opened(transaction, tenant_id)
            for key in sorted(outcomes):
                await kept.record(outcomes[key])
        failed = sum(1 for outcome in outcomes.values() if outcome.state == "failed")
        _logger.info("tenant %s: %d identifiers tried, %d failed", tenant_id, len(outcomes), failed)
        return [
            identifier_view(outcomes.get(identifier.key) or _failed(identifier, _CLAIMED))
            for identifier in identifiers
        ]

    async def find(self, key: IdentifierKey) -> IdentifierView:
        """Return one identifier with the outcome of its registration.

        Raises:
            IdentifierNotFoundError: there is none.
        """
        async with self._store.transaction(key[0]) as transaction:
            kept = await self._book.readable(transaction, key[0])
            found = None if kept is None else await kept.get(key)
        if found is None:
            raise IdentifierNotFoundError
        return identifier_view(found)

    async def move(self, key: IdentifierKey, account_id: str, actor: str) -> IdentifierView:
        """Give an identifier to another account of the institution; the scheme need not know.

        Until the core bank has the new account, nobody is found by it: a payment is refused, never
        credited to the wrong account. What is cut off half-way goes on when the same is sent again.

        Raises:
            IdentifierNotFoundError: there is none.
            IdentifierBusyError: another request works on it.
            NotDoneError: the core bank did not do it.
        """
        now = self._clock()
        async with self._store.transaction(key[0]) as transaction:
            tenant = await _staying(transaction, key[0])
            kept = await self._book.opened(transaction, key[0])
            known = await kept.get(key)
            if known is None:
                raise IdentifierNotFoundError
            if (known.account_id, known.state) == (account_id, "registered"):
                return identifier_view(known)
            if known.state == "pending" and known.attempted_at_ms >= now - STALE_MS:
                raise IdentifierBusyError
            moved = replace(known, account_id=account_id, state="pending", reason="", attempted_at_ms=now)
            if not await kept.replace(known, moved):
                raise IdentifierBusyError
            await transaction.tenants.lock(key[0])
            await transaction.audit.append(key[0], now, actor, "identifier.moved", {"type": key[1]})
        try:
            ams = await self._access.ams(tenant)
            # Also one of a third account: an attempt that was cut off may have left it there.
            await self._ams.withdraw(ams, known, of_any_account=True)
            outcome = await self._register_one(ams, await self._access.scheme(tenant), moved)
        except RegistrationError as error:
            outcome = _failed(moved, error)
        async with self._store.transaction(key[0]) as transaction:
            await (await self._book.opened(transaction, key[0])).record(outcome)
        if outcome.state == "failed":
            raise NotDoneError(outcome.reason)
        return identifier_view(outcome)

    async def withdraw(self, key: IdentifierKey, actor: str) -> None:
        """Take an identifier from the scheme and the core bank; what is gone already is no error.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NotDoneError: one of them did not do it; the identifier is kept until both have.
        """
        async with self._store.transaction(key[0]) as transaction:
            tenant = await transaction.tenants.lock(key[0])
            if tenant is None:
                raise TenantNotFoundError
            kept = await self._book.readable(transaction, key[0])
            known = None if kept is None else await kept.get(key)
            if known is None:
                return
            detail = {"type": key[1]}
            await transaction.audit.append(key[0], self._clock(), actor, "identifier.withdrawn", detail)
        try:
            await self._withdrawal.one(tenant, known)
        except RegistrationError as error:
            raise NotDoneError(str(error)) from error

    async def _claim(
        self, tenant_id: str, identifiers: list[PartyIdentifier]
    ) -> tuple[Tenant, list[PartyIdentifier]]:
        stale_before_ms = self._clock() - STALE_MS
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await _staying(transaction, tenant_id)
            kept = await self._book.opened(transaction, tenant_id)
            claimed = [
                identifier
                for identifier in sorted(identifiers, key=lambda each: each.key)
                if await kept.claim(identifier, stale_before_ms)
            ]
        return tenant, claimed

    async def _register_all(
        self, tenant: Tenant, identifiers: list[PartyIdentifier]
    ) -> dict[tuple[str, str, str, str], PartyIdentifier]:
        ams, scheme = await self._access.ams(tenant), await self._access.scheme(tenant)
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


async def _staying(transaction: Transaction, tenant_id: str) -> Tenant:
    tenant = await transaction.tenants.get(tenant_id)
    if tenant is None:
        raise TenantNotFoundError
    if tenant.status in ("offboarding", "purged"):
        raise TenantLeavingError
    return tenant


def _failed(identifier: PartyIdentifier, error: RegistrationError) -> PartyIdentifier:
    return replace(identifier, state="failed", reason=str(error))
