"""Which resource a request is about (FSPIOP 1.1 section 6)."""

from typing import Final
from urllib.parse import unquote

import msgspec

from payhub_sandbox.switch.refusal import UNKNOWN_URI, FspiopRefusalError

PARTY_TYPES: Final = frozenset("MSISDN EMAIL PERSONAL_ID BUSINESS DEVICE ACCOUNT_ID IBAN ALIAS".split())

_NOT_FOUND: Final = 404
_PARTY_IDS: Final = (2, 3)  # Type and ID, with or without SubId

# (resource, method, is an /error form) -> how many ids the path has.
_SHAPES: Final[dict[tuple[str, str, bool], tuple[int, ...]]] = {
    ("participants", "POST", False): _PARTY_IDS,
    ("parties", "GET", False): _PARTY_IDS,
    ("parties", "PUT", False): _PARTY_IDS,
    ("parties", "PUT", True): _PARTY_IDS,
    ("quotes", "POST", False): (0,),
    ("quotes", "GET", False): (1,),
    ("quotes", "PUT", False): (1,),
    ("quotes", "PUT", True): (1,),
    ("transfers", "POST", False): (0,),
    ("transfers", "GET", False): (1,),
    ("transfers", "PUT", False): (1,),
    ("transfers", "PUT", True): (1,),
}


class Target(msgspec.Struct, frozen=True):
    """A resource with its ids, and whether the path is its /error form."""

    resource: str
    ids: tuple[str, ...]
    error: bool

    @property
    def key(self) -> str:
        """The ids as one text: the quote's or transfer's id, or Type/ID."""
        return "/".join(self.ids)


def resource_of(path: str) -> str:
    """Return the first segment of a path."""
    return path.lstrip("/").partition("/")[0]


def parse_target(method: str, path: str) -> Target:
    """Read a path that starts at the resource name.

    Raises:
        FspiopRefusalError: 3002 where the switch has no such operation.
    """
    resource, *ids = [unquote(part) for part in path.strip("/").split("/")]
    error = bool(ids) and ids[-1] == "error"
    if error:
        ids.pop()
    counts = _SHAPES.get((resource, method, error), ())
    unknown_type = len(ids) in _PARTY_IDS and ids[0] not in PARTY_TYPES
    if len(ids) not in counts or not all(ids) or unknown_type:
        raise FspiopRefusalError(UNKNOWN_URI, "The switch has no such operation.", _NOT_FOUND)
    return Target(resource, tuple(ids), error)
