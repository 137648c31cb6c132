"""Signs what is sent (Standard Webhooks 1.0.0, symmetric scheme). Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the standard's mark of a secret


def signed_headers(message: str, at_s: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers of one attempt, with a signature for each secret.

    Args:
        message: the webhook-id, without a full stop.
        at_s: when this attempt is made, in seconds since the Unix epoch.
        body: what is sent, byte for byte.
        secrets: each ``whsec_`` and base64.

    Raises:
        ValueError: a secret is no base64.
    """
    signed = f"{message}.{at_s}.".encode() + body
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
