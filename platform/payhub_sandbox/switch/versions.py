"""Versions of the API and who negotiates which (FSPIOP 1.1 section 3.3.4)."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from payhub_sandbox.switch.refusal import MALFORMED_SYNTAX, UNACCEPTABLE_VERSION, FspiopRefusalError

Version = Literal["1.0", "1.1", "2.0"]
VERSIONS: Final[tuple[Version, ...]] = ("1.0", "1.1", "2.0")
ASKING: Final = frozenset({"GET", "POST", "DELETE"})
"""Methods that are answered 202 and ask for a callback."""
FX_RESOURCES: Final = frozenset({"fxQuotes", "fxTransfers", "services"})
"""Resources that came with version 2.0."""

_NOT_ACCEPTABLE: Final = 406
_SEEN_MAX: Final = 256  # header values that are remembered: a DFSP sends the same ones all day
_BLANK_MAX: Final = " ?"  # Mojaloop's own services allow one space round the semicolon, no more
_MEDIA: Final = re.compile(
    rf"application/vnd\.interoperability\.(\w+)\+json(?:{_BLANK_MAX};{_BLANK_MAX}version=(\d+)(?:\.(\d+))?)?"
)


def media_type(resource: str, version: Version = "1.1") -> str:
    """Return the Content-Type of a resource's body."""
    return f"application/vnd.interoperability.{resource}+json;version={version}"


def spoken(resource: str) -> tuple[Version, ...]:
    """Return the versions that the switch speaks of a resource, oldest first."""
    return VERSIONS[-1:] if resource in FX_RESOURCES else VERSIONS


def body_version(headers: Mapping[str, str], resource: str) -> Version:
    """Return the version of a message's body, from its Content-Type.

    Args:
        headers: by lower-case name.
        resource: first segment of the path.

    Raises:
        FspiopRefusalError: 3101 malformed, or 3001 (HTTP 406) with the versions that are spoken.
    """
    return _version_of_body(headers["content-type"], resource)


@lru_cache(_SEEN_MAX)
def _version_of_body(content_type: str, resource: str) -> Version:
    found = _MEDIA.fullmatch(content_type.strip())
    if found is None or found[1] != resource:
        raise FspiopRefusalError(MALFORMED_SYNTAX, f"The header Content-Type does not name {resource}.")
    if found[3] is None:
        raise FspiopRefusalError(MALFORMED_SYNTAX, "Content-Type needs a version such as 1.1.")
    version = _best(resource, [(found[2], found[3])])
    if version is None:
        raise _unacceptable(resource)
    return version


def answer_version(method: str, headers: Mapping[str, str], resource: str) -> Version:
    """Return the version in which the sender of a message wants to be answered.

    A major version alone means any minor one of it, no version means the latest. On a callback Accept means
    nothing, although HTTP clients add one: there it is the version that the sender speaks itself.

    Raises:
        FspiopRefusalError: 3101 malformed, or 3001 (HTTP 406) with the versions that are spoken.
    """
    if method not in ASKING:
        return body_version(headers, resource)
    return _version_to_answer(headers["accept"], resource)


@lru_cache(_SEEN_MAX)
def _version_to_answer(accept: str, resource: str) -> Version:
    matches = [_MEDIA.fullmatch(value.strip()) for value in accept.split(",")]
    fitting = [found for found in matches if found is not None and found[1] == resource]
    if not fitting:
        raise FspiopRefusalError(MALFORMED_SYNTAX, f"The header Accept does not name {resource}.")
    version = _best(resource, [(found[2], found[3]) for found in fitting])
    if version is None:
        raise _unacceptable(resource)
    return version


def _best(resource: str, asked: Iterable[tuple[str | None, str | None]]) -> Version | None:
    """Return the latest version that fits one of (major or None, minor or None)."""
    wanted = list(asked)
    for version in reversed(spoken(resource)):
        major, minor = version.split(".")
        if any(one in (None, major) and two in (None, minor) for one, two in wanted):
            return version
    return None


def _unacceptable(resource: str) -> FspiopRefusalError:
    extensions: list[dict[str, Any]] = []
    for version in spoken(resource):
        major, minor = version.split(".")
        extensions += [{"key": "major", "value": major}, {"key": "minor", "value": minor}]
    return FspiopRefusalError(
        UNACCEPTABLE_VERSION,
        f"The switch speaks {', '.join(spoken(resource))} of {resource}.",
        _NOT_ACCEPTABLE,
        extensions,
    )
