"""Keys for one purpose each, derived from the installation's key, so that none is used for two things."""

import hashlib
import hmac


def derived_key(secrets_key: str, *purpose: str) -> bytes:
    """Return 32 bytes that only this installation can derive for this purpose."""
    message = "".join(f"{len(part)}:{part}" for part in ("operations", *purpose))
    return hmac.new(secrets_key.encode(), message.encode(), hashlib.sha256).digest()
