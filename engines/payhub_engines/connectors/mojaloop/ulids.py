"""Ids where contents are ISO 20022: there a ULID is written, the same 128 bits that a UUID holds.

payhub's own ids are UUIDs of version 5. Written as a ULID and read again one is the same UUID, so that
nothing but this edge knows of two forms. A ULID that a peer made stays as it is.
"""

import re
import uuid
from typing import Final

from payhub_platform import ids

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_CHARACTERS: Final = 26
_OWN_VERSION: Final = 5


def written(text: str) -> str:
    """Return an id as a ULID; what is no UUID stays as it is."""
    if _UUID.fullmatch(text) is None:
        return text
    number = uuid.UUID(text).int
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_CHARACTERS)))


def read(text: str) -> str:
    """Return an id as payhub keeps it: a UUID where it is one of its own in the form of a ULID."""
    if _ULID.fullmatch(text) is None:
        return text
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    found = uuid.UUID(int=number)
    return str(found) if found.variant == uuid.RFC_4122 and found.version == _OWN_VERSION else text


def derived(*parts: str) -> str:
    """Derive a ULID from what makes a message unique, so that the same message again has the same."""
    return written(ids.derive(*parts))
