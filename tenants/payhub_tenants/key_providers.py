"""Which key provider an installation has: files, Vault's Transit engine, or both while it moves there."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from payhub_platform.errors import InvalidInputError
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.settings import Settings
from payhub_tenants.transit import PREFIX, TransitKeyProvider, transit_session
from payhub_tenants.vault import FileKeyProvider, KeyDestroyedError, KeyProvider


class MovingKeyProvider:
    """New secrets are wrapped in Transit; what was wrapped with a key of a file is opened with that file."""

    def __init__(self, transit: TransitKeyProvider, files: FileKeyProvider) -> None:
        self._transit = transit
        self._files = files

    async def create(self, tenant_id: str) -> None:
        """Make the key in Transit; a tenant whose file says destroyed gets none."""
        if await self._files.is_destroyed(tenant_id):
            await self._transit.destroy(tenant_id)
        await self._transit.create(tenant_id)

    async def wrap(self, tenant_id: str, data_key: str) -> str:
        """Seal in Transit; a tenant that has only its file yet gets its key there now."""
        try:
            return await self._transit.wrap(tenant_id, data_key)
        except KeyDestroyedError:
            await self.create(tenant_id)  # raises, where it was destroyed
            return await self._transit.wrap(tenant_id, data_key)

    async def unwrap(self, tenant_id: str, wrapped: str) -> str:
        """Open where it was sealed."""
        provider: KeyProvider = self._transit if wrapped.startswith(PREFIX) else self._files
        return await provider.unwrap(tenant_id, wrapped)

    async def destroy(self, tenant_id: str) -> None:
        """Destroy both keys."""
        await self._transit.destroy(tenant_id)
        await self._files.destroy(tenant_id)


@contextlib.asynccontextmanager
async def key_provider(settings: Settings, installation: SecretBox) -> AsyncIterator[KeyProvider]:
    """Open the key provider that the settings name.

    Raises:
        InvalidInputError: ``invalid-settings``, they name none, or a file that cannot be read.
    """
    files = FileKeyProvider(Path(settings.keys_folder), installation) if settings.keys_folder else None
    if not settings.vault_url:
        if files is None:
            raise _invalid("PAYHUB_KEYS_FOLDER or PAYHUB_VAULT_URL must say where tenants' keys are.")
        yield files
        return
    ca_pem = _readable(settings)
    async with transit_session() as session:
        token_file, mount = Path(settings.vault_token_file), settings.vault_mount
        transit = TransitKeyProvider(session, settings.vault_url, token_file, mount, ca_pem)
        yield transit if files is None else MovingKeyProvider(transit, files)


def _readable(settings: Settings) -> str:
    """Return the authority's PEM; both files must be there now, and not only at the first call."""
    try:
        Path(settings.vault_token_file).read_text(encoding="ascii")
        return Path(settings.vault_ca_file).read_text(encoding="ascii") if settings.vault_ca_file else ""
    except (OSError, ValueError) as error:
        text = "PAYHUB_VAULT_TOKEN_FILE and PAYHUB_VAULT_CA_FILE must be files that can be read."
        raise _invalid(text) from error


def _invalid(text: str) -> InvalidInputError:
    return InvalidInputError("invalid-settings", text)
