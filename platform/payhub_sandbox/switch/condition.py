"""Conditions and fulfilments (FSPIOP 1.1 section 6.5.2.3)."""

import base64
import hashlib


def opens(condition: str, fulfilment: str) -> bool:
    """Tell whether SHA-256 of the fulfilment is the condition; both are base64url without padding."""
    return condition_of(base64.urlsafe_b64decode(fulfilment + "=")) == condition


def condition_of(preimage: bytes) -> str:
    """Return the condition that a fulfilment of 32 bytes opens."""
    return unpadded(hashlib.sha256(preimage).digest())


def unpadded(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
