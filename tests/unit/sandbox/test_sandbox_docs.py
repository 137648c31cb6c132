"""docs/sandbox.md and the guide page print the tables of the code, and nothing else."""

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from payhub_sandbox.app import Sandbox
from payhub_sandbox.bank import cases
from payhub_sandbox.page import page
from payhub_sandbox.settings import SandboxSettings
from payhub_sandbox.switch import forced, rates

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
TABLES = {
    ("from", "to", "rate"): [(*pair, str(rate)) for pair, rate in rates.RATES.items()],
    ("resource", "amount ends in", "identifier begins", "behaviour", "error"): [
        (row.resource, row.amount, row.identifier, row.behaviour, row.error_code) for row in forced.TABLE
    ],
    ("operation", "amount ends in", "identifier begins", "behaviour"): [
        (row.operation, row.amount, row.identifier, row.behaviour) for row in cases.TABLE
    ],
}


def printed(heads):
    """Return the rows of a table of the document, without the marks of code."""
    lines = iter(DOCUMENT.splitlines())
    head = f"| {' | '.join(heads)} |"
    assert DOCUMENT.count(head) == 1
    for line in lines:
        if line == head:
            break
    assert next(lines).startswith("|---")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append(tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")))
    return rows


@pytest.mark.parametrize("heads", TABLES, ids=lambda heads: heads[0])
def test_the_document_prints_the_tables_of_the_code(heads):
    assert printed(heads) == TABLES[heads]


@pytest.mark.parametrize("behaviours", [forced.BEHAVIOURS, cases.BEHAVIOURS])
def test_the_document_explains_each_behaviour(behaviours):
    for name, meaning in behaviours.items():
        assert f"| `{name}` | {meaning} |" in DOCUMENT


def test_the_guide_page_prints_the_same():
    settings = SandboxSettings(residents=True, forced_cases=True)
    sandbox = Sandbox(settings, lambda: 1_790_000_000_000)
    text = page(sandbox.guide("http://127.0.0.1:1"))
    for rows in TABLES.values():
        for row in rows:
            assert "".join(f"<td>{escape(cell)}</td>" for cell in row) in text
    bare = Sandbox(SandboxSettings(), lambda: 1_790_000_000_000).guide("http://x")
    assert {"forcedCases", "counterparties"} & set(bare) == set()
    assert "Forced cases" not in page(bare)


def test_the_page_escapes_what_it_is_told():
    document = Sandbox(SandboxSettings(), lambda: 1_790_000_000_000).guide("http://<script>")
    assert "<script>" not in page(document)


def test_the_cases_to_certify_with_are_cases_of_the_table():
    named = re.findall(r"\| (\w+) (\d{3}) \((\w+)\) \|", DOCUMENT)
    rows = {(row.resource, row.amount, row.behaviour) for row in forced.TABLE}
    assert len(named) >= 10
    assert set(named) <= rows
    assert ("parties", "254993204") in {(row.resource, row.identifier) for row in forced.TABLE}
    assert max(int(row.amount) for row in forced.TABLE if row.amount) < 1_000
    smallest = min(int(row.amount) for row in (*forced.TABLE, *cases.TABLE) if row.amount)
    assert smallest >= 100, "any amount below 100 is paid"


class Tags(HTMLParser):
    """Checks that every element is closed in its turn."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the parser's own signature
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed():
    settings = SandboxSettings(residents=True, forced_cases=True)
    tags = Tags()
    tags.feed(page(Sandbox(settings, lambda: 1_790_000_000_000).guide("http://127.0.0.1:1")))
    tags.close()
    assert tags.open == []
