"""One line for each request: who asked for what, and what was decided. Nothing personal is in it.

Paths hold identifiers, so the route's template is written instead. What changed something, or was refused
because of who asked, goes to ``payhub.audit``; everything else to ``payhub.access``.
"""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from payhub_platform.errors import PROBLEM_MEDIA_TYPE, Problem

CALLER: Final = "payhub-caller"
"""In a request's state: tenant and client, once they are known."""

_access = logging.getLogger("payhub.access")
_audit = logging.getLogger("payhub.audit")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_WHO: Final = frozenset({401, 403})
_REFUSED_FROM: Final = 400
_FAILED_FROM: Final = 500
_PROBLEM: Final = msgspec.json.Decoder(Problem)
_PROBLEM_TYPE: Final = (b"content-type", PROBLEM_MEDIA_TYPE.encode())
_ENCODER: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, omit_defaults=True):
    """What is written of a request."""

    event: str
    method: str
    route: str
    status: int
    decision: str
    ms: float
    tenant: str = ""
    client: str = ""
    code: str = ""
    trace: str = ""


def write(line: Line) -> None:
    """Write a line."""
    is_audited = line.method not in _READING or line.status in _WHO
    (_audit if is_audited else _access).info("%s", _ENCODER.encode(line).decode())


def decision(status: int) -> str:
    """Say what a status means for who asked."""
    if status >= _FAILED_FROM:
        return "unavailable"
    return "refused" if status >= _REFUSED_FROM else "allowed"


def code(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> str:
    """Return the code of the problem that an answer is; empty where it is none."""
    if _PROBLEM_TYPE not in headers:
        return ""
    try:
        return _PROBLEM.decode(body).code
    except msgspec.MsgspecError:
        return ""  # an answer without its body, to HEAD
