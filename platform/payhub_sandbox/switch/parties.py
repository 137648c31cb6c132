"""The account look-up service: which DFSP answers for a party identifier."""

from typing import Final

from payhub_platform.errors import UnavailableError

PARTIES_MAX: Final = 500_000


class PartyDirectory:
    """Party identifiers (Type/ID or Type/ID/SubId) and the FSP id that registered each."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def register(self, key: str, fsp_id: str) -> bool:
        """Record who answers for an identifier; False when another DFSP already does.

        Raises:
            UnavailableError: the directory is full.
        """
        owner = self._owners.get(key)
        if owner is None:
            if len(self._owners) >= PARTIES_MAX:
                raise UnavailableError("directory-full", f"At most {PARTIES_MAX} party identifiers.")
            self._owners[key] = fsp_id
        return owner in (None, fsp_id)

    def remove(self, key: str) -> None:
        """Forget an identifier."""
        self._owners.pop(key, None)

    def owner(self, key: str) -> str | None:
        """Return the FSP id that answers for an identifier, or None."""
        return self._owners.get(key)
