"""Ids that leave payhub are derived, so that doing a thing again is the same act.

FSPIOP 1.0 and 1.1 accept only UUIDs of version 1 to 5 (section 7.3.8), so derived ids are version 5.
"""

import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("5d0a1e0c-6a0b-5c2e-9f6e-0f1a52a9c7d1")


def derive(*parts: str) -> str:
    """Derive a lower-case UUID version 5 from what makes the act unique, in order.

    Parts are length-prefixed, so that ("a", "bc") and ("ab", "c") never collide.
    """
    return str(uuid.uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def payment_id(tenant: str, client: str, idempotency_key: str) -> str:
    """Derive the id of the payment that a client asks for under one idempotency key."""
    return derive("payment", tenant, client, idempotency_key)


def is_uuid(text: str) -> bool:
    """Tell whether the text is a canonical lower-case UUID."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
