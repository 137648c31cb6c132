"""Sessions live in a signed cookie: nothing is stored, and they end by themselves."""

import hashlib
import hmac
from typing import Final

SESSION_MS: Final = 8 * 3600 * 1000
_DIGITS_MAX: Final = 16


def issue(key: bytes, now_ms: int) -> str:
    """Return the value of a session's cookie: when it ends, and our signature of that."""
    ends = str(now_ms + SESSION_MS)
    return f"{ends}.{_signature(key, ends)}"


def is_valid(cookie: str, key: bytes, now_ms: int) -> bool:
    """Tell whether we signed the cookie and its time is not over."""
    ends, _, signature = cookie.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, ends).encode()):
        return False
    return len(ends) <= _DIGITS_MAX and now_ms < int(ends)


def safe_next(wanted: str) -> str:
    """Return where to go after the login: a page of ours, never another site."""
    ours = wanted == "/payments" or wanted.startswith(("/payments?", "/payments/", "/audit", "/webhooks"))
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if ours and plain else "/payments"


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
