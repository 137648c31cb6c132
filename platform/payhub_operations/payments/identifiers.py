"""A member's identifier: never shown whole, and found again by a keyed hash of it."""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

Identify = Callable[[str, str], str]
"""Takes tenant and identifier, returns the hash to store or to look for; empty for no identifier."""

SHOWN_CHARACTERS: Final = 4
SHOWN_FROM_LENGTH: Final = 8  # in a shorter one the last four would be most of it
# What looks like an e-mail address, an IBAN, or a number of a telephone or an account; neither the parts of
# a UUID nor an amount.
_IDENTIFIER: Final = re.compile(
    r"[^\s@<>\"']+@[^\s@<>\"']+|\b[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}\b|(?<![\w.-])\+?[0-9]{7,}(?![\w-]|\.[0-9])"
)


def mask(id_type: str, identifier: str) -> str:
    """Write an identifier for people: ``MSISDN ...4321`` (with one ellipsis character)."""
    end = identifier[-SHOWN_CHARACTERS:] if len(identifier) >= SHOWN_FROM_LENGTH else ""
    return f"{id_type} \u2026{end}".strip() if identifier else id_type


def mask_in_text(text: str) -> str:
    """Mask what looks like an identifier inside a sentence that a switch or a core bank wrote."""
    return _IDENTIFIER.sub(_shortened, text)


def _shortened(found: re.Match[str]) -> str:
    return mask("", found[0]) if found[0].isalnum() or found[0].startswith("+") else "\u2026"


def identifier_hasher(key: bytes) -> Identify:
    """Return the function that hashes identifiers under this installation's key.

    The tenant is part of what is hashed, so that hashes tell nothing across tenants; without the key
    nobody can try all telephone numbers.
    """

    def identify(tenant: str, identifier: str) -> str:
        if not identifier:
            return ""
        message = f"{len(tenant)}:{tenant}{identifier.strip().lstrip('+').casefold()}"
        return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()

    return identify
