"""A tenant's secrets: sealed under their own data keys, which the tenant's key wraps (envelope encryption).

Whoever destroys a tenant's key makes everything sealed under it unreadable, in backups as well. What
engines need is sealed anew for them when a configuration is published: see ``publisher``.
"""

import asyncio
import os
from pathlib import Path
from typing import Final, Protocol

from payhub_platform.errors import ConflictError
from payhub_platform.security.secrets import SealError, SecretBox

FORMAT: Final = "v1"
_DESTROYED: Final = "destroyed"


class KeyDestroyedError(ConflictError):
    """The tenant's key was destroyed; what was sealed under it can never be read again."""

    def __init__(self) -> None:
        super().__init__("key-destroyed", "The key of this tenant was destroyed; its data is gone for good.")


class KeyProvider(Protocol):
    """Keeps one key for each tenant and uses it: a file here, a cloud's key service elsewhere."""

    async def create(self, tenant_id: str) -> None:
        """Make a tenant's key, unless it is there.

        Raises:
            KeyDestroyedError: it was destroyed; it is not made anew.
        """
        ...

    async def wrap(self, tenant_id: str, data_key: str) -> str:
        """Seal a data key with the tenant's key.

        Raises:
            KeyDestroyedError: there is no such key.
        """
        ...

    async def unwrap(self, tenant_id: str, wrapped: str) -> str:
        """Open a data key.

        Raises:
            KeyDestroyedError: there is no such key.
            SealError: it was wrapped by another key.
        """
        ...

    async def destroy(self, tenant_id: str) -> None:
        """Destroy a tenant's key for good; repeatable."""
        ...


class FileKeyProvider:
    """One file for each tenant in a private folder, itself sealed with the installation's key.

    A destroyed key leaves a file that says so: a tenant's key must not come back as another key.
    """

    def __init__(self, folder: Path, installation: SecretBox) -> None:
        self._folder = folder
        self._installation = installation

    async def create(self, tenant_id: str) -> None:
        """Write a new key, unless a key or the mark of its destruction is there."""
        await asyncio.to_thread(self._create, tenant_id)

    async def wrap(self, tenant_id: str, data_key: str) -> str:
        """Seal with the key from the file."""
        return (await asyncio.to_thread(self._box, tenant_id)).seal(data_key, _context(tenant_id))

    async def unwrap(self, tenant_id: str, wrapped: str) -> str:
        """Open with the key from the file."""
        return (await asyncio.to_thread(self._box, tenant_id)).open(wrapped, _context(tenant_id))

    async def destroy(self, tenant_id: str) -> None:
        """Put the mark over the key; a file that is replaced at once is never half a key."""
        await asyncio.to_thread(self._write, tenant_id, _DESTROYED)

    async def is_destroyed(self, tenant_id: str) -> bool:
        """Tell whether the mark of destruction is there."""
        return await asyncio.to_thread(self._is_destroyed, tenant_id)

    def _is_destroyed(self, tenant_id: str) -> bool:
        file = self._file(tenant_id)
        return file.exists() and file.read_text(encoding="ascii") == _DESTROYED

    def _create(self, tenant_id: str) -> None:
        file = self._file(tenant_id)
        if not file.exists():
            self._write(
                tenant_id, self._installation.seal(SecretBox.new_key(), _context(tenant_id)), new=True
            )
        self._box(tenant_id)

    def _box(self, tenant_id: str) -> SecretBox:
        try:
            sealed = self._file(tenant_id).read_text(encoding="ascii")
        except FileNotFoundError:
            raise KeyDestroyedError from None
        if sealed == _DESTROYED:
            raise KeyDestroyedError
        return SecretBox(self._installation.open(sealed, _context(tenant_id)))

    def _write(self, tenant_id: str, content: str, *, new: bool = False) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._file(tenant_id)
        unfinished = file.with_suffix(f".{os.urandom(8).hex()}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            # Two processes may make the key of one tenant at once; a link never replaces the first one's.
            try:
                os.link(unfinished, file)
            except FileExistsError:
                pass
            finally:
                unfinished.unlink()
        else:
            unfinished.replace(file)
        _sync(self._folder)

    def _file(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}.key"


class Vault:
    """Seals and opens what belongs to a tenant, each thing for one purpose such as ``ams``."""

    def __init__(self, keys: KeyProvider, installation: SecretBox) -> None:
        self._keys = keys
        self._installation = installation

    async def create(self, tenant_id: str) -> None:
        """Make a tenant's key; repeatable.

        Raises:
            KeyDestroyedError: it was destroyed.
        """
        await self._keys.create(tenant_id)

    async def seal(self, tenant_id: str, secret: str, purpose: str) -> str:
        """Seal a secret under a data key of its own.

        Raises:
            KeyDestroyedError: the tenant has no key.
        """
        data_key = SecretBox.new_key()
        wrapped = await self._keys.wrap(tenant_id, data_key)
        return f"{FORMAT}.{wrapped}.{SecretBox(data_key).seal(secret, f'{purpose}:{tenant_id}')}"

    async def open(self, tenant_id: str, sealed: str, purpose: str) -> str:
        """Open what was sealed for the same tenant and purpose.

        Raises:
            KeyDestroyedError: the tenant's key is gone.
            SealError: it was sealed for another tenant or purpose, or is damaged.
        """
        if is_of_installation(sealed):
            return self._installation.open(sealed, f"{purpose}:{tenant_id}")
        parts = sealed.split(".")
        if len(parts) != 3 or parts[0] != FORMAT:  # noqa: PLR2004 - format, wrapped key, sealed secret
            raise SealError("sealed-secret", "The secret has a form that is not known.")
        data_key = await self._keys.unwrap(tenant_id, parts[1])
        return SecretBox(data_key).open(parts[2], f"{purpose}:{tenant_id}")

    async def for_engines(self, tenant_id: str, sealed: str, purpose: str) -> str:
        """Return a secret sealed with the installation's key, as engines open it; empty stays empty."""
        if not sealed:
            return ""
        return self._installation.seal(await self.open(tenant_id, sealed, purpose), f"{purpose}:{tenant_id}")

    async def destroy(self, tenant_id: str) -> None:
        """Destroy a tenant's key for good; repeatable."""
        await self._keys.destroy(tenant_id)

    async def is_readable(self, tenant_id: str, sealed: str, purpose: str) -> bool:
        """Tell whether a secret can still be read: the proof, where it must not be."""
        try:
            await self.open(tenant_id, sealed, purpose)
        except (KeyDestroyedError, SealError):
            return False
        return True


def is_of_installation(sealed: str) -> bool:
    """Tell whether a secret is from before tenants had keys: sealed with the installation's."""
    return bool(sealed) and "." not in sealed


def _context(tenant_id: str) -> str:
    return f"tenant-key:{tenant_id}"


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
