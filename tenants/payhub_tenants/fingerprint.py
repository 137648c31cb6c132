"""Tells whether a request is the same as before without keeping the request, which holds secrets."""

import base64
import hashlib
import hmac
from typing import Final

import msgspec

# Requests hold passwords, so a plain hash would let a reader of the database guess them offline.
# The key is derived from the installation's key: it is not the one that seals secrets.
_PURPOSE: Final = b"payhub tenants request fingerprint 1"


class Fingerprints:
    """Keyed hashes of request bodies."""

    def __init__(self, secrets_key: str) -> None:
        self._key = hmac.digest(base64.urlsafe_b64decode(secrets_key), _PURPOSE, hashlib.sha256)

    def of(self, body: msgspec.Struct) -> str:
        """Return the hash of a decoded body: equal for equal bodies, whatever their key order was."""
        return hmac.digest(self._key, msgspec.json.encode(body, order="sorted"), hashlib.sha256).hex()
