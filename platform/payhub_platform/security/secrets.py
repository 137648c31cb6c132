"""Secrets at rest and on the bus are sealed with AES-256-GCM, bound to what they are for."""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payhub_platform.errors import PayhubError

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32


class SealError(PayhubError):
    """A sealed secret cannot be opened: another key, another purpose, or damage."""


class SecretBox:
    """Seals and opens secrets with one installation key (base64url of 32 bytes)."""

    def __init__(self, key: str) -> None:
        try:
            raw = base64.urlsafe_b64decode(key)
        except ValueError as error:  # also binascii's; plain where the text is not ASCII
            raise SealError("invalid-secrets-key", "The secrets key is not base64url.") from error
        if len(raw) != KEY_BYTES:
            raise SealError("invalid-secrets-key", f"The secrets key must be {KEY_BYTES} bytes.")
        self._cipher = AESGCM(raw)

    @staticmethod
    def new_key() -> str:
        """Make a key for a new installation."""
        return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()

    def seal(self, secret: str, context: str) -> str:
        """Seal a secret for one purpose, such as ``ams:buffalo``."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), context.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, context: str) -> str:
        """Open what was sealed for the same purpose.

        Raises:
            SealError: it was sealed with another key or for another purpose, or is damaged.
        """
        try:
            raw = base64.urlsafe_b64decode(sealed)
            plain = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
            return plain.decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise SealError("sealed-secret", f"The secret for {context} cannot be opened.") from error
