"""docs/consensus.md names each gap of the audit with its tests, and each gap has one for either side."""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = Path(__file__).parents[5] / "docs" / "consensus.md"
CONSENSUS = Path(__file__).parents[5] / "engines" / "payhub_engines" / "consensus"
ROW = re.compile(r"\| G(\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \| `([a-z0-9_]+\.py)` \|")
ROWS = {int(number): (where, file) for number, where, file in ROW.findall(PAGE.read_text())}


def test_every_gap_has_its_row():
    assert list(ROWS) == list(range(1, 23))


@pytest.mark.parametrize("gap", range(1, 23))
def test_a_gap_is_shown_on_the_stock_package_and_absent_from_ours(gap):
    where, file = ROWS[gap]
    tree = ast.parse((FOLDER / file).read_text())
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    for side in ("stock", "ours"):
        assert [name for name in tests if name.startswith(f"test_g{gap:02}_{side}_")]
    assert [name for name in re.findall(r"`([^`]+)`", where) if not (CONSENSUS / name).exists()] == []
