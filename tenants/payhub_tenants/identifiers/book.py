"""A tenant's party identifiers within a transaction, opened with the tenant's key."""

import logging
from typing import Final

from msgspec import Struct

from payhub_platform.clock import Clock
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.identifiers.cipher import IdentifierCipher
from payhub_tenants.identifiers.model import IdentifierKey, PartyIdentifier
from payhub_tenants.identifiers.repository import IdentifierRepository
from payhub_tenants.store import Store, Transaction
from payhub_tenants.vault import KeyDestroyedError, Vault

_logger = logging.getLogger(__name__)

DOCUMENT: Final = "identifier-key"
PURPOSE: Final = "identifiers"
SEALED_AT_ONCE: Final = 500
TENANTS_READ: Final = 500


class IdentifierKeyDocument(Struct, frozen=True, kw_only=True):
    """The data key of a tenant's identifiers, sealed under the tenant's key."""

    key_sealed: str


class OpenedIdentifiers:
    """The repository of one tenant in one transaction, as if nothing were sealed."""

    def __init__(self, repository: IdentifierRepository, cipher: IdentifierCipher, tenant_id: str) -> None:
        self._repository = repository
        self._cipher = cipher
        self._tenant_id = tenant_id

    async def claim(self, identifier: PartyIdentifier, stale_before_ms: int) -> bool:
        """Take an identifier for an account before it is registered; see ``IdentifierRepository``."""
        return await self._repository.claim(self._cipher.seal(identifier), stale_before_ms)

    async def record(self, identifier: PartyIdentifier) -> None:
        """Keep the outcome of an attempt, unless the identifier went to another account meanwhile."""
        await self._repository.record(self._cipher.seal(identifier))

    async def page(self, after: PartyIdentifier | None, limit: int) -> list[PartyIdentifier]:
        """Return up to ``limit`` identifiers after one, in an order that tells nothing."""
        lookup = "" if after is None else self._cipher.lookup(after.key)
        rows = await self._repository.page(self._tenant_id, lookup, limit)
        return [self._cipher.open(row) for row in rows]

    async def get(self, key: IdentifierKey) -> PartyIdentifier | None:
        """Return one identifier."""
        row = await self._repository.get(self._tenant_id, self._cipher.lookup(key))
        return None if row is None else self._cipher.open(row)

    async def replace(self, known: PartyIdentifier, after: PartyIdentifier) -> bool:
        """Keep an identifier as ``after``, where it still is as it was seen; False where it is not."""
        return await self._repository.replace(self._cipher.seal(known), self._cipher.seal(after))

    async def remove(self, identifier: PartyIdentifier) -> None:
        """Forget an identifier, unless it went to another account meanwhile."""
        await self._repository.remove(self._cipher.seal(identifier))

    async def seal_some(self) -> bool:
        """Seal some rows that are from before identifiers were sealed; False where none is left."""
        rows = await self._repository.clear_rows(self._tenant_id, SEALED_AT_ONCE)
        for row in rows:
            await self._repository.seal_row(row, self._cipher.seal(row))
        return bool(rows)


class IdentifierBook:
    """Opens the identifiers of tenants, whose data key is made at the first use."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    async def opened(self, transaction: Transaction, tenant_id: str) -> OpenedIdentifiers:
        """Return a tenant's identifiers.

        Raises:
            KeyDestroyedError: they can no longer be read.
        """
        document = await transaction.documents.get(tenant_id, DOCUMENT, IdentifierKeyDocument)
        if document is None:
            # Two at once must not make two keys: what one has sealed the other's could not open.
            await transaction.tenants.lock(tenant_id)
            document = await transaction.documents.get(tenant_id, DOCUMENT, IdentifierKeyDocument)
        if document is None:
            sealed = await self._vault.seal(tenant_id, SecretBox.new_key(), PURPOSE)
            document = IdentifierKeyDocument(key_sealed=sealed)
            await transaction.documents.put(tenant_id, DOCUMENT, document, self._clock())
        data_key = await self._vault.open(tenant_id, document.key_sealed, PURPOSE)
        return OpenedIdentifiers(transaction.identifiers, IdentifierCipher(tenant_id, data_key), tenant_id)

    async def readable(self, transaction: Transaction, tenant_id: str) -> OpenedIdentifiers | None:
        """Return a tenant's identifiers to look at; None where it never had any, or its key was destroyed."""
        if await transaction.documents.get(tenant_id, DOCUMENT, IdentifierKeyDocument) is None:
            return None
        try:
            return await self.opened(transaction, tenant_id)
        except KeyDestroyedError:
            return None


async def seal_identifiers(store: Store, book: IdentifierBook) -> None:
    """Seal what is from before identifiers were sealed; repeatable, and cut off it goes on.

    Raises:
        UnavailableError: the store or the key service cannot be reached now.
    """
    after = ""
    while True:
        async with store.registry() as registry:
            page = await registry.tenants.page(after, TENANTS_READ)
        if not page:
            return
        for tenant in page:
            try:
                while await _sealed_some(store, book, tenant.tenant_id):
                    pass
            except KeyDestroyedError:  # one tenant's rows must not hold up the others'
                _logger.error("tenant %s: its identifiers cannot be sealed", tenant.tenant_id)  # noqa: TRY400
        after = page[-1].tenant_id


async def _sealed_some(store: Store, book: IdentifierBook, tenant_id: str) -> bool:
    async with store.transaction(tenant_id) as transaction:
        await transaction.tenants.lock(tenant_id)
        if not await transaction.identifiers.clear_rows(tenant_id, 1):
            return False
        return await (await book.opened(transaction, tenant_id)).seal_some()
