"""Which resource a request is about (FSPIOP 1.1 section 6, 2.0 for currency conversion)."""

from typing import Final
from urllib.parse import unquote

import msgspec

from payhub_sandbox.switch.refusal import UNKNOWN_URI, FspiopRefusalError

PARTY_TYPES: Final = frozenset("MSISDN EMAIL PERSONAL_ID BUSINESS DEVICE ACCOUNT_ID IBAN ALIAS".split())

_NOT_FOUND: Final = 404
_PARTY_IDS: Final = (2, 3)  # Type and ID, with or without SubId
_FXP_IDS: Final = (1, 3)  # FXP, with or without both currencies
_FXP: Final = "FXP"

OperationKey = tuple[str, str, bool]
"""Resource, method, and whether it is the /error form."""


def _exchanged(resource: str) -> dict[OperationKey, tuple[int, ...]]:
    """Return the shapes of a resource that is created with an id, read, and answered."""
    return {
        (resource, "POST", False): (0,),
        (resource, "GET", False): (1,),
        (resource, "PUT", False): (1,),
        (resource, "PUT", True): (1,),
    }


# (resource, method, is an /error form) -> how many ids the path has.
SHAPES: Final[dict[OperationKey, tuple[int, ...]]] = {
    ("participants", "POST", False): (0, *_PARTY_IDS),
    ("participants", "GET", False): _PARTY_IDS,
    ("participants", "DELETE", False): _PARTY_IDS,
    ("parties", "GET", False): _PARTY_IDS,
    ("parties", "PUT", False): _PARTY_IDS,
    ("parties", "PUT", True): _PARTY_IDS,
    ("authorizations", "GET", False): (1,),
    ("authorizations", "PUT", False): (1,),
    ("authorizations", "PUT", True): (1,),
    ("transactions", "GET", False): (1,),
    ("transactions", "PUT", False): (1,),
    ("transactions", "PUT", True): (1,),
    ("services", "GET", False): _FXP_IDS,
    **_exchanged("transactionRequests"),
    **_exchanged("quotes"),
    **_exchanged("transfers"),
    **_exchanged("bulkQuotes"),
    **_exchanged("bulkTransfers"),
    **_exchanged("fxQuotes"),
    **_exchanged("fxTransfers"),
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
    counts = SHAPES.get((resource, method, error), ())
    if len(ids) not in counts or not all(ids) or _names_unknown_kind(resource, ids):
        raise FspiopRefusalError(UNKNOWN_URI, "The switch has no such operation.", _NOT_FOUND)
    return Target(resource, tuple(ids), error)


def _names_unknown_kind(resource: str, ids: list[str]) -> bool:
    """Tell whether the first id is no type of a party, or no kind of service."""
    if resource == "services":
        return ids[0] != _FXP
    return len(ids) in _PARTY_IDS and ids[0] not in PARTY_TYPES
