"""What a request must look like before anything costly is done with it. Pure."""

import re
from collections.abc import Iterable
from typing import ClassVar, Final

from payhub_platform.errors import InvalidInputError, PayhubError

HEAD_BYTES_MAX: Final = 16 * 1024  # a token, a proof of possession and a certificate fit
HEADERS_MAX: Final = 64
PATH_BYTES_MAX: Final = 1024
QUERY_BYTES_MAX: Final = 8 * 1024  # an authorization request fits
BODY_BYTES_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 16

_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_Header = tuple[bytes, bytes]


class HeadTooLargeError(PayhubError):
    """The headers, or one of them, are larger than any honest client's (RFC 6585 section 5)."""

    status: ClassVar[int] = 431
    title: ClassVar[str] = "The request's head is too large"


class AddressTooLongError(PayhubError):
    """The path or the query is longer than any that is served here."""

    status: ClassVar[int] = 414
    title: ClassVar[str] = "The address is too long"


class BodyTooLargeError(PayhubError):
    """The body is announced to be larger than any that is taken."""

    status: ClassVar[int] = 413
    title: ClassVar[str] = "The body is too large"


class MediaTypeError(PayhubError):
    """The body is compressed, or its text is not written in UTF-8."""

    status: ClassVar[int] = 415
    title: ClassVar[str] = "The body cannot be read"


def check_head(raw_path: bytes, query: bytes, headers: Iterable[_Header]) -> None:
    """Check everything that is known before the body.

    Raises:
        AddressTooLongError: 414 ``address-too-long``.
        HeadTooLargeError: 431 ``head-too-large``.
        BodyTooLargeError: 413 ``body-too-large``.
        MediaTypeError: 415 ``unreadable-body``.
    """
    if len(raw_path) > PATH_BYTES_MAX or len(query) > QUERY_BYTES_MAX:
        raise AddressTooLongError(
            "address-too-long",
            f"A path has at most {PATH_BYTES_MAX} bytes, and a query {QUERY_BYTES_MAX}.",
        )
    count = size = 0
    for name, value in headers:
        count += 1
        size += len(name) + len(value)
        if name == b"content-length" and int(value) > BODY_BYTES_MAX:
            raise BodyTooLargeError(
                "body-too-large", f"A body has at most {BODY_BYTES_MAX} bytes.", "header:Content-Length"
            )
        if name == b"content-encoding" and value.lower() != b"identity":
            raise MediaTypeError("unreadable-body", "Send the body uncompressed.", "header:Content-Encoding")
        if name == b"content-type" and not _is_utf8(value.decode("latin-1")):
            raise MediaTypeError("unreadable-body", "Send text in UTF-8.", "header:Content-Type")
    if count > HEADERS_MAX or size > HEAD_BYTES_MAX:
        raise HeadTooLargeError(
            "head-too-large",
            f"A request has at most {HEADERS_MAX} headers with {HEAD_BYTES_MAX} bytes together.",
        )


def check_depth(body: bytes) -> None:
    """Check that a JSON body is not nested deeply.

    Raises:
        InvalidInputError: 400 ``malformed-json``.
    """
    # Nearly always too few are opened at all, and counting them costs nothing.
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and depth(body) > DEPTH_MAX:
        raise InvalidInputError(
            "malformed-json", f"The body is nested too deeply; at most {DEPTH_MAX} levels are read.", "/"
        )


def depth(body: bytes) -> int:
    """Return how many objects and lists are open at once, at most; of what is no JSON, a guess."""
    deepest = level = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", body)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _is_utf8(media_type: str) -> bool:
    charset = _CHARSET.search(media_type)
    return charset is None or charset[1].lower() in _UTF8
