"""Each flow with each trouble at each point: money is conserved, nothing is held, both sides agree, all ends.

What the flows come to is what docs/flows.md says. Run with ``PAYHUB_WRITE_FLOWS=1`` to write the page anew.
"""

import dataclasses
import itertools
import os
from pathlib import Path

import pytest
from unit.engines.connectors.flow_page import begins, ends, tables
from unit.engines.connectors.flow_troubles import points, run, troubles_of
from unit.engines.connectors.flows import FLOWS
from unit.engines.connectors.process_house import House, engine_with_processes

from payhub_platform import ids

PAGE = Path(__file__).parents[4] / "docs" / "flows.md"


@pytest.fixture(scope="module")
def make_house(tenants, secrets):
    engine, numbers = engine_with_processes(), itertools.count()
    return lambda: House(tenants, secrets, engine, ids.derive("run", str(next(numbers))))


@pytest.mark.parametrize("flow", FLOWS, ids=[flow.name for flow in FLOWS])
def test_whatever_happens_money_is_conserved_and_the_page_says_what_is_seen(flow, make_house):
    _, quiet = run(flow, make_house, None, "")
    assert quiet.wrong == []
    outcomes, wrong = {}, []
    for point in points(flow, make_house):
        for trouble in troubles_of(point):
            _, result = run(flow, make_house, point, trouble)
            outcomes[point, trouble] = result.outcome
            wrong += [f"{point.shown}, {trouble}: {text}" for text in result.wrong]
    assert wrong == []
    assert_page_says(flow, tables(flow, quiet.outcome, quiet.books, outcomes))


def test_a_bank_that_books_twice_is_found_out(make_house):
    def forgetting(house):
        house.banks["lion"].accounts["A2"].credits = _Nothing()
        house.banks["lion"].idempotent = False

    flow = dataclasses.replace(FLOWS[0], prepare=forgetting)
    [credit] = [one for one in points(FLOWS[0], make_house) if one.shown == "lion's bank: CREATE"]
    _, result = run(flow, make_house, credit, "answer lost")
    assert any("lion" in text and "instead of" in text for text in result.wrong)


def test_a_payment_that_hangs_is_found_out(make_house):
    def undecided():
        house = make_house()
        house.switch.decides = False
        return house

    _, result = run(FLOWS[0], undecided, None, "")
    assert any("still runs" in text for text in result.wrong)
    assert any("holds" in text for text in result.wrong)


class _Nothing(set):
    """What a bank has booked, forgotten at once."""

    def add(self, element):
        pass


def assert_page_says(flow, text):
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(begins(flow) + "\n")
    assert begin, f"docs/flows.md has no place for the flow {flow.name}"
    written, end, after = rest.partition("\n" + ends(flow))
    if os.environ.get("PAYHUB_WRITE_FLOWS"):
        PAGE.write_text(before + begin + text + end + after, encoding="utf-8")
        return
    assert written == text
