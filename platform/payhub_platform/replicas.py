"""Addresses of an engine's replicas as settings write them: ``1=http://one:8080,2=http://two:8080``."""

import re
from typing import Final
from urllib.parse import urlsplit

from payhub_platform.errors import InvalidInputError

REPLICAS_MAX: Final = 5
ENGINES_VARIABLE: Final = "PAYHUB_ENGINES"  # engine id -> its addresses; of whoever asks engines
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")


def read_replicas(text: str, variable: str) -> dict[str, str]:
    """Return the addresses by replica id, in the order in which they stand.

    Args:
        text: ``id=address`` pairs, separated by commas or blanks.
        variable: the setting that holds the text, for the message.

    Raises:
        InvalidInputError: code ``invalid-settings``.
    """
    found: dict[str, str] = {}
    for pair in text.replace(",", " ").split():
        replica, equals, address = pair.partition("=")
        if not equals or not address or not _ID.fullmatch(replica):
            raise _invalid(
                variable,
                f"{pair!r} is no pair such as 1=address; an id has 1 to 32 letters, digits and hyphens.",
            )
        if replica in found or address in found.values():
            raise _invalid(variable, f"{pair!r}: each replica is named once and has an address of its own.")
        found[replica] = address
    if len(found) > REPLICAS_MAX:
        raise _invalid(variable, f"{len(found)} replicas are named; an engine has {REPLICAS_MAX} at most.")
    return found


def engine_addresses(text: str, variable: str) -> dict[str, str]:
    """Return base URLs by replica id: of ``1=URL,2=URL,3=URL``, or of one URL alone under the id "".

    Args:
        text: an engine's part of the setting.
        variable: the setting, for the message.

    Raises:
        InvalidInputError: code ``invalid-settings``.
    """
    if text.startswith(("http://", "https://")):
        return {"": text.rstrip("/")}
    found = {replica: base_url(url, variable) for replica, url in read_replicas(text, variable).items()}
    if not found:
        raise _invalid(variable, "an engine has no address.")
    return found


def base_url(text: str, variable: str) -> str:
    """Return a base URL without a trailing slash.

    Raises:
        InvalidInputError: code ``invalid-settings``; it is no http(s) address of a host and nothing more.
    """
    parts = urlsplit(text.rstrip("/"))
    try:
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port = False
    more = parts.path or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port or more:
        raise _invalid(variable, f"{text!r} is no address such as http://host:8080, without a path.")
    return parts.geturl()


def _invalid(variable: str, text: str) -> InvalidInputError:
    return InvalidInputError("invalid-settings", f"{variable}: {text}", variable)
