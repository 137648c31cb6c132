"""Ids that leave payhub are derived, so that doing a thing again is the same act.

FSPIOP 1.0 and 1.1 accept only UUIDs of version 1 to 5 (section 7.3.8), so derived ids are version 5.
"""

import hashlib
import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("5d0a1e0c-6a0b-5c2e-9f6e-0f1a52a9c7d1").bytes
_FIXED_BITS: Final = 0xF000_C000_0000_0000_0000  # version and variant
_VERSION_5: Final = 0x5000_8000_0000_0000_0000


def derive(*parts: str) -> str:
    """Derive a lower-case UUID version 5 from what makes the act unique, in order.

    Parts are length-prefixed, so that ("a", "bc") and ("ab", "c") never collide.
    """
    name = "".join([f"{len(part)}:{part}" for part in parts])
    # What uuid.uuid5 does (RFC 9562 section 5.5), without an object in between.
    digest = hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16]) & ~_FIXED_BITS | _VERSION_5
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def payment_id(tenant: str, client: str, idempotency_key: str) -> str:
    """Derive the id of the payment that a client asks for under one idempotency key."""
    return derive("payment", tenant, client, idempotency_key)


def is_uuid(text: str) -> bool:
    """Tell whether the text is a canonical lower-case UUID."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
