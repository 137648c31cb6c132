"""The tables of docs/flows.md, from what the flows came to."""

import os
from collections.abc import Mapping
from pathlib import Path

from unit.engines.connectors.flow_troubles import (
    BANK_TROUBLES,
    MESSAGE_TROUBLES,
    NOTICE_TROUBLES,
    Flow,
    Point,
)

PAGE = Path(__file__).parents[4] / "docs" / "flows.md"
Outcomes = Mapping[tuple[Point, str], str]
MESSAGE_COLUMNS = (*MESSAGE_TROUBLES, "tampered", "not told")


def begins(flow: Flow) -> str:
    """Return the line that a flow's tables follow."""
    return f"<!-- {flow.name}: written by the tests -->"


def ends(flow: Flow) -> str:
    """Return the line that follows a flow's tables."""
    return f"<!-- {flow.name}: end -->"


def assert_page_says(flow: Flow, text: str) -> None:
    """Hold a flow's part of the page against the text, or write it where that is asked for."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(begins(flow) + "\n")
    assert begin, f"docs/flows.md has no place for the flow {flow.name}"
    written, end, after = rest.partition("\n" + ends(flow))
    if os.environ.get("PAYHUB_WRITE_FLOWS"):
        PAGE.write_text(before + begin + text + end + after, encoding="utf-8")
        return
    assert written == text


def tables(flow: Flow, quiet: str, books: list[str], outcomes: Outcomes) -> str:
    """Return a flow's part of the page."""
    payee = "lion" if flow.payer == "buffalo" else "buffalo"
    speakers = {flow.payer: "payer", payee: "payee"}
    lines = [f"Without trouble: **{quiet}**. {' '.join(books)}".strip(), ""]
    for kind, head, columns in (
        ("message", "message", MESSAGE_COLUMNS),
        ("notice", "notice of the switch", tuple(NOTICE_TROUBLES)),
        ("bank", "call to a bank", BANK_TROUBLES),
        ("job", "job whose result the engine loses", ("engine down",)),
    ):
        lines += _table(kind, head, columns, outcomes, speakers)
    return "\n".join(lines).rstrip()


def _table(
    kind: str, head: str, columns: tuple[str, ...], outcomes: Outcomes, speakers: dict[str, str]
) -> list[str]:
    points = list(dict.fromkeys(point for point, _ in outcomes if point.kind == kind))
    if not points:
        return []
    used = [column for column in columns if any((point, column) in outcomes for point in points)]
    lines = [f"| {head} | {' | '.join(used)} |", "|---|" + "---|" * len(used)]
    for point in points:
        cells = [outcomes.get((point, column), "") for column in used]
        lines.append(f"| {_named(point, speakers)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _named(point: Point, speakers: dict[str, str]) -> str:
    shown = point.shown
    for fsp, speaker in speakers.items():
        shown = shown.replace(fsp, speaker)
    return shown.removeprefix("notice ")
