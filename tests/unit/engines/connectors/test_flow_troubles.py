"""Each flow with each trouble at each point: money is conserved, nothing is held, both sides agree, all ends.

What the flows come to is what docs/flows.md says. Run with ``PAYHUB_WRITE_FLOWS=1`` to write the page anew.
"""

import dataclasses
import itertools
from functools import cache

import msgspec
import pytest
from unit.engines.connectors.flow_page import assert_page_says, tables
from unit.engines.connectors.flow_troubles import points, run, troubles_of
from unit.engines.connectors.flows import FLOWS
from unit.engines.connectors.process_house import House, engine_with_processes

from payhub_engines.core import events
from payhub_engines.core.bpmn.check import parse_checked
from payhub_engines.processes import (
    PAYEE_QUOTE_TRANSFER,
    PAYEE_TRANSACTION_REQUEST,
    PAYER_FUND_TRANSFER,
    PAYER_TRANSACTION_REQUEST,
    load,
)
from payhub_platform import ids
from payhub_platform.contracts.tenant import PaymentLimits

PAYING = (
    PAYER_FUND_TRANSFER,
    PAYEE_QUOTE_TRANSFER,
    PAYER_TRANSACTION_REQUEST,
    PAYEE_TRANSACTION_REQUEST,
)
# No run meets them; that what counts is what was paid is looked at after each.
WIDE = PaymentLimits(
    per_payment_minor=10**9,
    per_day_minor=10**12,
    per_member_day_minor=10**12,
    velocity_payments=10_000,
    velocity_window_ms=60_000,
)
# Sequence flows that no trouble leads along, and the tests that do.
ELSEWHERE = {
    "test_limited_payments.py": {"limit-reached-to-payment-refused"},
    "test_member_processes.py": {
        "payee-elsewhere-to-amount-as-asked-a-loan",
        "pay-elsewhere-to-repay-loan-a-loan",
        "repay-loan-to-commit-funds",
        "loan-not-repaid-to-release-funds",
    },
    "test_payment_neighbours.py": {
        "party-found-to-await-party-not-believed",
        "quote-given-to-await-quote-not-the-payee",
        "settlement-outcome-to-await-settlement-not-known",
    },
    "test_payment_repeats.py": {
        "await-prepare-to-quote-queried",
        "quote-queried-to-answer-quote",
        "same-quote-to-refuse-other-quote-no",
        "refuse-other-quote-to-await-prepare",
        "await-settlement-to-prepared-again",
        "prepared-again-to-same-transfer",
        "same-transfer-to-reserve-at-scheme-yes",
        "same-transfer-to-refuse-other-transfer-no",
        "refuse-other-transfer-to-await-settlement",
        "await-settlement-to-transfer-queried",
        "transfer-queried-to-reserve-at-scheme",
    },
    "test_requests_to_pay.py": {
        "await-late-payment-to-paid-after-all",
        "paid-after-all-to-request-paid",
        "party-found-to-await-party-not-believed",
        "authorized-to-payment-refused-no",
        "authorized-to-await-authorization-not-the-payee",
        "request-not-accepted-to-refuse-request",
        "payer-unknown-to-refuse-request",
        "await-device-to-device-timed-out",
        "device-timed-out-to-answer-authorization",
    },
}


@pytest.fixture(scope="module")
def engine():
    return engine_with_processes()


@pytest.fixture(scope="module")
def make_house(tenants, secrets, engine):
    numbers = itertools.count()
    limited = {name: msgspec.structs.replace(one, limits=WIDE) for name, one in tenants.items()}
    return lambda: House(limited, secrets, engine, ids.derive("run", str(next(numbers))))


@pytest.fixture(scope="module")
def tried(make_house):
    """Run a flow with each trouble at each point, once."""

    @cache
    def of(name):
        flow = next(flow for flow in FLOWS if flow.name == name)
        return {
            (point, trouble): run(flow, make_house, point, trouble)[1]
            for point in points(flow, make_house)
            for trouble in troubles_of(point)
        }

    return of


@pytest.mark.parametrize("flow", FLOWS, ids=[flow.name for flow in FLOWS])
def test_whatever_happens_money_is_conserved_and_the_page_says_what_is_seen(flow, make_house, tried):
    _, quiet = run(flow, make_house, None, "")
    assert quiet.wrong == []
    results = tried(flow.name)
    assert [
        f"{point.shown}, {trouble}: {text}"
        for (point, trouble), result in results.items()
        for text in result.wrong
    ] == []
    outcomes = {tried_at: result.outcome for tried_at, result in results.items()}
    assert_page_says(flow, tables(flow, quiet.outcome, quiet.books, outcomes))


@pytest.mark.parametrize("process", PAYING)
def test_every_sequence_flow_is_taken(process, engine, tried):
    for flow in FLOWS:
        tried(flow.name)
    told = (event for raw in engine.entries for event in events.decode_entry(raw).events)
    taken = {flow for event in told if (flow := getattr(event, "flow", ""))}
    flows = set(parse_checked(dict(load())[process]).flow_targets)
    assert flows - taken == flows & set().union(*ELSEWHERE.values())


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


class _Nothing(dict):
    """What a bank has booked, forgotten at once."""

    def __setitem__(self, code, amount):
        pass
