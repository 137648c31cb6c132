"""The one-time password with which a payer authorizes a payment at the payee's device.

FSPIOP 1.1 section 6.6. It is derived from the tenant's secret and the transaction: no log holds it before it
is entered, and a retry expects the same.
"""

import hashlib
import hmac
from typing import Final

DIGITS: Final = 6


def password_of(transaction_id: str, secret: str) -> str:
    """Return the password of a payment, which its payer's own channel tells the payer."""
    digest = hmac.new(secret.encode(), b"payhub otp 1:" + transaction_id.encode(), hashlib.sha256).digest()
    return str(int.from_bytes(digest[:8], "big") % 10**DIGITS).zfill(DIGITS)


def is_right(entered: str, transaction_id: str, secret: str) -> bool:
    """Compare what was entered without telling by the time how much of it is right."""
    return hmac.compare_digest(entered.encode(), password_of(transaction_id, secret).encode())
