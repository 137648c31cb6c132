"""A bulk with each trouble at each point: money is conserved, nothing is held, all sides agree, all ends.

What it comes to is what docs/flows.md says. Run with ``PAYHUB_WRITE_FLOWS=1`` to write the page anew.
"""

import dataclasses
import itertools
import re

import pytest
from unit.engines.connectors.bulk_flows import BULK_FLOWS, bulk_house
from unit.engines.connectors.flow_page import assert_page_says, tables
from unit.engines.connectors.flow_troubles import points, run, troubles_of
from unit.engines.connectors.process_house import engine_with_processes

from payhub_engines.core import events
from payhub_engines.core.bpmn.check import parse_checked
from payhub_engines.processes import (
    PAYEE_BULK_QUOTE_TRANSFER,
    PAYER_BULK_LOOKUP,
    PAYER_BULK_ON_US,
    PAYER_BULK_PAYMENT,
    PAYER_BULK_TRANSFER,
    load,
)
from payhub_platform import ids

# The second payee is looked up as the first is.
_LOOKED_UP_AGAIN = re.compile(r"(parties|party) \(2\)$")
PROCESSES = (
    PAYER_BULK_PAYMENT,
    PAYER_BULK_LOOKUP,
    PAYER_BULK_TRANSFER,
    PAYER_BULK_ON_US,
    PAYEE_BULK_QUOTE_TRANSFER,
)
# Sequence flows that no trouble leads along; test_bulk_flows.py does.
ELSEWHERE = {
    "quotes-given-to-await-bulk-quote-not-the-payee",
    "quotes-given-to-bulk-refused-no",
    "same-quote-to-refuse-other-quote-no",
    "refuse-other-quote-to-await-prepare",
    "await-prepare-to-quote-queried",
    "quote-queried-to-answer-bulk-quote",
    "await-settlement-to-settlement-received",
    "settlement-received-to-check-settlement",
    "await-settlement-to-prepared-again",
    "prepared-again-to-same-bulk",
    "same-bulk-to-fulfil-bulk-yes",
    "same-bulk-to-refuse-other-bulk-no",
    "refuse-other-bulk-to-await-settlement",
    "await-settlement-to-bulk-queried",
    "bulk-queried-to-fulfil-bulk",
    "settlement-outcome-to-await-settlement-not-known",
}


@pytest.fixture(scope="module")
def engine():
    return engine_with_processes()


@pytest.fixture(scope="module")
def make_house(tenants, secrets, engine):
    numbers = itertools.count()
    return lambda: bulk_house(tenants, secrets, engine, ids.derive("run", str(next(numbers))))


@pytest.fixture(scope="module")
def tried(make_house):
    """Run each flow with each trouble at each point, once."""
    return {
        flow.name: {
            (point, trouble): run(flow, make_house, point, trouble)[1]
            for point in points(flow, make_house)
            if not _LOOKED_UP_AGAIN.search(point.shown)
            for trouble in troubles_of(point)
        }
        for flow in BULK_FLOWS
    }


@pytest.mark.parametrize("flow", BULK_FLOWS, ids=[flow.name for flow in BULK_FLOWS])
def test_whatever_happens_money_is_conserved_and_the_page_says_what_is_seen(flow, make_house, tried):
    _, quiet = run(flow, make_house, None, "")
    assert quiet.wrong == []
    results = tried[flow.name]
    assert [
        f"{point.shown}, {trouble}: {text}"
        for (point, trouble), result in results.items()
        for text in result.wrong
    ] == []
    outcomes = {tried_at: result.outcome for tried_at, result in results.items()}
    assert_page_says(flow, tables(flow, quiet.outcome, quiet.books, outcomes))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.usefixtures("tried")
def test_every_sequence_flow_is_taken(process, engine):
    told = (event for raw in engine.entries for event in events.decode_entry(raw).events)
    taken = {flow for event in told if (flow := getattr(event, "flow", ""))}
    flows = set(parse_checked(dict(load())[process]).flow_targets)
    assert flows - taken == flows & ELSEWHERE


def test_a_bank_that_books_one_of_many_twice_is_found_out(make_house):
    def forgetting(house):
        house.banks["lion"].accounts["A2"].credits = _Nothing()
        house.banks["lion"].idempotent = False

    flow = dataclasses.replace(BULK_FLOWS[0], prepare=forgetting)
    [credit] = [one for one in points(BULK_FLOWS[0], make_house) if one.shown == "lion's bank: CREATE (2)"]
    _, result = run(flow, make_house, credit, "answer lost")
    assert any("lion" in text and "instead of" in text for text in result.wrong)


class _Nothing(dict):
    """What a bank has booked, forgotten at once."""

    def __setitem__(self, code, amount):
        pass
