"""The key under which a client asks for one act, however often it sends the request.

draft-ietf-httpapi-idempotency-key-header-07, and Payment Hub EE's ``X-CorrelationID`` with the same meaning.
The record of a key is the payment itself, in the engine's replicated state: its id is derived from tenant,
client and key, and it holds the fingerprint of the request. Here is only what is true for a moment in one
copy of the gateway: which requests are at work.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from litestar.datastructures import Headers

from payhub_platform.errors import ConflictError, InvalidInputError, UnprocessableError

HEADER_KEY: Final = "Idempotency-Key"
HEADER_CORRELATION: Final = "X-CorrelationID"
HEADERS: Final = (HEADER_KEY, "X-Idempotency-Key", HEADER_CORRELATION)
KEY_CHARS_MAX: Final = 64
RETRY_AFTER_S: Final = 1

_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
# A string of RFC 9651 section 3.3.3; the draft wants one, most clients send the bare text.
_QUOTED: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")


def idempotency_key(headers: Headers, wanted: str) -> str:
    """Return the key that a request carries in one of ``HEADERS``, or the same in several.

    Args:
        headers: of the request.
        wanted: which header to name where there is none.

    Raises:
        InvalidInputError: ``missing-idempotency-key`` or ``invalid-idempotency-key``.
    """
    sent = [(name, value) for name in HEADERS for value in headers.getall(name, []) if value]
    if not sent:
        raise InvalidInputError(
            "missing-idempotency-key",
            f"{wanted} is required; send the same one to retry.",
            f"header:{wanted}",
        )
    keys = {checked_key(f"header:{name}", value) for name, value in sent}
    name = sent[-1][0]
    if len(keys) > 1 or len({name for name, _ in sent}) < len(sent):
        raise _invalid(f"header:{name}", "The key must be one value, the same wherever it is sent.")
    return keys.pop()


class AtWork:
    """Requests that wait for their engine now; as many as requests are let in, so it needs no bound."""

    def __init__(self) -> None:
        self._fingerprints: dict[str, str] = {}

    @contextlib.contextmanager
    def mark(self, act: str, fingerprint: str) -> Iterator[None]:
        """Mark an act as at work while the block runs.

        Raises:
            ConflictError: 409 ``request-in-progress``; the same request waits for its answer already.
            UnprocessableError: 422 ``key-reused``; another request under the same key does.
        """
        known = self._fingerprints.get(act)
        if known is not None and known != fingerprint:
            raise UnprocessableError("key-reused", "The key is in use for another request.")
        if known is not None:
            raise ConflictError(
                "request-in-progress",
                "The same request waits for its answer; send it again to read that.",
                retry_after_s=RETRY_AFTER_S,
            )
        self._fingerprints[act] = fingerprint
        try:
            yield
        finally:
            del self._fingerprints[act]


def checked_key(where: str, value: str) -> str:
    """Return the key that a value spells.

    Raises:
        InvalidInputError: ``invalid-idempotency-key``.
    """
    quoted = _QUOTED.fullmatch(value)
    if value.startswith('"') and quoted is None:
        raise _invalid(where, "The key begins with a quote, but is no string of RFC 9651.")
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    if len(key) > KEY_CHARS_MAX or not _VISIBLE_ASCII.fullmatch(key):
        raise _invalid(where, f"The key must have 1 to {KEY_CHARS_MAX} visible ASCII characters.")
    return key


def _invalid(where: str, detail: str) -> InvalidInputError:
    return InvalidInputError("invalid-idempotency-key", detail, where)
