"""The table of processes that were run to their end events, shown when the tests are over."""

import re
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Row:
    """One file: how much of it was reached, or the code with which it was refused."""

    file: str
    ends: tuple[int, int] = (0, 0)
    flows: tuple[int, int] = (0, 0)
    runs: int = 0
    refused: str = ""


ROWS = pytest.StashKey[list[Row]]()


def lines(rows):
    """Lay the table out: file -> end events reached, sequence flows taken, runs."""
    names = {row: re.sub(r"__.*?(feel|bpmns)_", "/", row.file.removesuffix(".bpmn")) for row in rows}
    width = max(map(len, names.values()))
    yield f"{'file':{width}}  end events    flows  runs"
    for row in sorted(rows, key=lambda row: (bool(row.refused), names[row])):
        if row.refused:
            yield f"{names[row]:{width}}  refused: {row.refused}"
        else:
            ends, flows = ("{}/{}".format(*pair) for pair in (row.ends, row.flows))
            yield f"{names[row]:{width}}  {ends:>10}  {flows:>7}  {row.runs:>4}"
    ran = [row for row in rows if not row.refused]
    reached, there = (sum(row.ends[side] for row in ran) for side in (0, 1))
    yield (
        f"{reached} of {there} end events of {len(ran)} processes reached;"
        f" {len(rows) - len(ran)} unfinished drafts refused"
    )
