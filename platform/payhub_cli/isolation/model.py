"""What is tried and what is found. Pure."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final, Literal

import msgspec

Api = Literal["gateway", "tenants"]
Flaw = Literal["answered", "told", "untried", "slower"]

HIDDEN: Final = (403, 404)
NOTHING_LEFT: Final = (204, "DELETE")  # what is not there is as good as deleted; theirs must still be there
_METHODS: Final = ("get", "put", "post", "delete", "patch")
# Answers to what is there and to what is not may differ by this much and more in time only by chance.
SLOWER_MS: Final = 5.0
SLOWER_TIMES: Final = 2.0


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of an OpenAPI document."""

    api: Api
    method: str
    path: str
    parameters: tuple[str, ...]  # those of the path
    takes_body: bool

    @property
    def name(self) -> str:
        """How it is called in the report."""
        return f"{self.api} {self.method} {self.path}"

    def at(self, names: Mapping[str, str]) -> str:
        """Return the path with its parameters filled in."""
        path = self.path
        for parameter in self.parameters:
            path = path.replace(f"{{{parameter}}}", names[parameter])
        return path


class Answer(msgspec.Struct, frozen=True):
    """What a stranger was told: the status, and the body without what the stranger itself has sent."""

    status: int
    body: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one operation, asked about one thing of another institution.

    ``theirs`` is about what the other institution has, ``nobodys`` about what nobody has; times are medians.
    """

    operation: str
    about: str
    status: int
    theirs_ms: float
    nobodys_ms: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be.

    ``answered``: neither 403 nor 404. ``told``: the answer differs from that about what nobody has.
    ``untried``: the suite knows nothing to put in. ``slower``: so does the time, beyond chance.
    """

    operation: str
    flaw: Flaw
    detail: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was tried; ``unharmed``: the other institution's books and data are as they were."""

    operations: int
    rows: list[Row]
    findings: list[Finding]
    unharmed: bool = True

    def holds(self) -> bool:
        """Tell whether nothing was found."""
        return self.unharmed and not self.findings


def operations(api: Api, document: Mapping[str, Any]) -> list[Operation]:
    """Return the operations of an OpenAPI 3.1 document, in its order."""
    return [
        Operation(
            api=api,
            method=method.upper(),
            path=path,
            parameters=tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"),
            takes_body="requestBody" in operation,
        )
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]


def without(text: str, names: Iterable[str]) -> str:
    """Return an answer's text without what was sent: it is told back, and is no secret."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "*")
    return text


def judged(
    operation: str,
    about: str,
    theirs: list[tuple[Answer, float]],
    nobodys: list[tuple[Answer, float]],
) -> tuple[Row, list[Finding]]:
    """Compare answers (and their times in ms) about another's things with those about nobody's."""
    told, untold = {answer for answer, _ in theirs}, {answer for answer, _ in nobodys}
    row = Row(
        operation=operation,
        about=about,
        status=theirs[0][0].status,
        theirs_ms=round(median(ms for _, ms in theirs), 2),
        nobodys_ms=round(median(ms for _, ms in nobodys), 2),
    )
    found: list[tuple[Flaw, str]] = [
        ("answered", f"{about}: {answer.status} {answer.body[:200]}")
        for answer in told
        if answer.status not in HIDDEN and (answer.status, row.operation.split()[1]) != NOTHING_LEFT
    ]
    if told != untold:
        found.append(("told", f"{about}: {sorted(map(str, told ^ untold))}"))
    apart_ms = abs(row.theirs_ms - row.nobodys_ms)
    if apart_ms > SLOWER_MS and apart_ms > (SLOWER_TIMES - 1) * min(row.theirs_ms, row.nobodys_ms):
        found.append(
            ("slower", f"{about}: {row.theirs_ms} ms where it is there, {row.nobodys_ms} ms where not")
        )
    return row, [Finding(operation=operation, flaw=flaw, detail=detail) for flaw, detail in found]
