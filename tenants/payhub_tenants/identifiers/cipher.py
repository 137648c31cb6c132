"""Party identifiers as they are kept: sealed, and found by a keyed hash. Pure, but for seals' randomness.

Both keys come from one data key of the tenant. Without it nobody can read a row, nor find out by trying all
telephone numbers whose it is.
"""

import base64
import hashlib
import hmac
from typing import Final

import msgspec
from msgspec import Struct

from payhub_platform.contracts.channel import PartyIdType
from payhub_platform.security.secrets import SealError, SecretBox
from payhub_tenants.identifiers.model import IdentifierKey, IdentifierState, PartyIdentifier

_LOOKUP: Final = b"payhub party identifiers look-up 1"
_CONTENT: Final = b"payhub party identifiers content 1"


class SealedIdentifier(Struct, frozen=True, kw_only=True):
    """A row: what it is about stands in ``content_sealed`` alone.

    Attributes:
        lookup: keyed hash of type, value and sub id.
        account_lookup: keyed hash of the account id, to compare it.
    """

    tenant_id: str
    lookup: str
    account_lookup: str
    content_sealed: str
    state: IdentifierState
    reason: str
    attempted_at_ms: int


class _Content(Struct, frozen=True):
    type: PartyIdType
    value: str
    sub_id: str
    account_id: str


class IdentifierCipher:
    """Seals and opens one tenant's identifiers."""

    def __init__(self, tenant_id: str, data_key: str) -> None:
        raw = base64.urlsafe_b64decode(data_key)
        self._tenant_id = tenant_id
        self._lookup_key = hmac.digest(raw, _LOOKUP, hashlib.sha256)
        content_key = hmac.digest(raw, _CONTENT, hashlib.sha256)
        self._box = SecretBox(base64.urlsafe_b64encode(content_key).decode())

    def lookup(self, key: IdentifierKey) -> str:
        """Return by what an identifier is found."""
        return self._hash(*key[1:])

    def seal(self, identifier: PartyIdentifier) -> SealedIdentifier:
        """Return an identifier as it is kept."""
        lookup = self.lookup(identifier.key)
        content = _Content(identifier.type, identifier.value, identifier.sub_id, identifier.account_id)
        return SealedIdentifier(
            tenant_id=identifier.tenant_id,
            lookup=lookup,
            account_lookup=self._hash("account", identifier.account_id),
            content_sealed=self._box.seal(msgspec.json.encode(content).decode(), self._context(lookup)),
            state=identifier.state,
            reason=identifier.reason,
            attempted_at_ms=identifier.attempted_at_ms,
        )

    def open(self, row: SealedIdentifier) -> PartyIdentifier:
        """Return what a row is about.

        Raises:
            SealError: it was sealed with another key, or is another tenant's or another row's content.
        """
        try:
            text = self._box.open(row.content_sealed, self._context(row.lookup))
            content = msgspec.json.decode(text, type=_Content)
        except msgspec.MsgspecError as error:
            raise SealError("sealed-secret", "The identifier has a form that is not known.") from error
        return PartyIdentifier(
            tenant_id=row.tenant_id,
            type=content.type,
            value=content.value,
            sub_id=content.sub_id,
            account_id=content.account_id,
            state=row.state,
            reason=row.reason,
            attempted_at_ms=row.attempted_at_ms,
        )

    def _hash(self, *parts: str) -> str:
        # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") differ.
        return hmac.digest(self._lookup_key, msgspec.json.encode(parts), hashlib.sha256).hex()

    def _context(self, lookup: str) -> str:
        return f"identifier:{self._tenant_id}:{lookup}"
