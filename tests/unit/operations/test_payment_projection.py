"""From events to payments: what operators see, whatever the events hold."""

from typing import Any

import pytest
from support.operations_records import PAYEE, PAYER, STARTED_MS, TRACE_ID, outgoing, record

from payhub_operations.audit.model import moment
from payhub_operations.payments.identifiers import identifier_hasher
from payhub_operations.payments.model import PaymentRow
from payhub_operations.payments.projection import NO_RESULT_CODE, project
from payhub_platform.contracts.audit import AuditRecord

identify = identifier_hasher(b"k" * 32)


def _one(records: list[AuditRecord]) -> PaymentRow:
    (row,) = project({}, "north", records, identify)
    return row


def _with_variables(**variables: Any) -> PaymentRow:
    return _one([record(1, "VariablesMerged", data={"variables": variables, "scope": 0})])


def test_a_completed_outgoing_payment():
    row = _one(outgoing(1))
    assert row == PaymentRow(
        tenant="buffalo",
        payment="pay-1",
        direction="outgoing",
        engine="north",
        started_at=moment(STARTED_MS + 10),
        trace=TRACE_ID,
        payer="MSISDN …5678",
        payer_hash=identify("buffalo", "254712345678"),
        payer_fsp="buffalo",
        payee="MSISDN …5432",
        payee_hash=identify("buffalo", "254798765432"),
        payee_fsp="lion",
        amount_minor=1050,
        currency="KES",
        state="COMPLETED",
        handed_over=True,
        ended_at=moment(STARTED_MS + 60),
    )


def test_batches_cut_anywhere_give_the_same_row():
    whole = _one(outgoing(1))
    for cut in range(1, 6):
        before = _one(outgoing(1)[:cut])
        (after,) = project({before.key: before}, "north", outgoing(1)[cut:], identify)
        assert after == whole


def test_an_incoming_payment_is_known_by_the_quote():
    quote = {
        "payer": {"partyIdInfo": PAYER},
        "payee": {"partyIdInfo": {**PAYEE, "fspId": "lion"}},
        "amount": {"amount": "7", "currency": "UGX"},
    }
    data = {"variables": {"quote": quote, "requesterFsp": "buffalo"}}
    row = _one([record(1, "InstanceStarted", tenant="lion", process="payee-quote-transfer", data=data)])
    assert (row.direction, row.payer_fsp, row.payee_fsp) == ("incoming", "buffalo", "lion")
    assert (row.amount_minor, row.currency, row.state) == (7, "UGX", "PENDING")


def test_a_failed_payment_says_why():
    row = _with_variables(error={"code": 4001, "description": "Not enough money"}, paymentState="FAILED")
    assert (row.state, row.error_code, row.error_description) == ("FAILED", "4001", "Not enough money")


def test_the_words_of_others_name_no_member():
    row = _with_variables(error={"code": "3204", "description": "No party 254712345678."})
    assert row.error_description == "No party …5678."


def test_an_error_that_was_got_over_is_not_shown():
    failed = record(1, "VariablesMerged", data={"variables": {"error": {"code": "x", "description": "y"}}})
    over = record(2, "VariablesMerged", data={"variables": {"error": None}})
    assert _one([failed, over]).error_code == ""
    completed = record(2, "VariablesMerged", data={"variables": {"paymentState": "COMPLETED"}})
    assert _one([failed, completed]).error_code == ""


def test_a_process_that_ends_without_a_result_has_failed():
    row = _one([record(1, "InstanceStarted"), record(2, "InstanceCompleted")])
    assert (row.state, row.error_code) == ("FAILED", NO_RESULT_CODE)
    assert row.ended_at == moment(STARTED_MS + 20)


def test_other_processes_and_events_of_no_payment_are_no_payments():
    lookup = record(1, "InstanceStarted", process="payee-party-lookup")
    queued = record(2, "HandoverQueued", process="", payment="")
    nameless = record(3, "InstanceStarted", payment="")
    assert project({}, "north", [lookup, queued, nameless], identify) == []


def test_both_sides_inside_one_institution_are_two_rows():
    mine = record(1, "InstanceStarted")
    theirs = record(2, "InstanceStarted", process="payee-quote-transfer")
    assert [row.direction for row in project({}, "north", [mine, theirs], identify)] == [
        "outgoing",
        "incoming",
    ]


def test_variables_of_one_element_only_say_nothing_of_the_payment():
    data = {"variables": {"paymentState": "FAILED"}, "scope": 12}
    assert _one([record(1, "VariablesMerged", data=data)]).state == "PENDING"


@pytest.mark.parametrize("kind", ["JobCompleted", "ElementCompleted", "ElementPassed"])
def test_what_a_token_brings_as_it_leaves_an_element_is_the_payments(kind):
    brought = record(1, kind, data={"variables": {"paymentState": "COMPLETED"}, "scope": 4})
    assert _one([brought]).state == "COMPLETED"


@pytest.mark.parametrize(
    "amount",
    [
        None,
        5,
        "5",
        {"currency": "KES"},
        {"minor": True, "currency": "KES"},
        {"minor": 2**63, "currency": "KES"},
        {"amount": "1e3", "currency": "KES"},
        {"amount": "99999999999999999999", "currency": "KES"},
        {"amount": "999999999999999999", "currency": "KES"},
        {"minor": 5, "currency": 4},
    ],
)
def test_an_amount_that_is_none_leaves_the_field_empty(amount: Any):
    assert _with_variables(amount=amount).amount_minor is None


@pytest.mark.parametrize(
    "variables",
    [
        None,
        [],
        {"payer": 4, "payee": "x", "quote": [], "error": 7, "paymentState": ["COMPLETED"]},
        {"payer": {"partyIdInfo": None}, "payee": {"partyIdentifier": None, "fspId": {}}},
        {"payer": {}, "paymentState": "SOMETHING", "error": {"code": None}},
    ],
)
def test_misshapen_variables_break_nothing(variables: Any):
    row = _one([record(1, "InstanceStarted", trace="odd", data={"variables": variables})])
    assert (row.state, row.payer, row.payee, row.payee_fsp, row.trace) == ("PENDING", "", "", "", "")


def test_minor_units_are_taken_as_they_are():
    row = _with_variables(amount={"minor": 1050, "currency": "KES"})
    assert (row.amount_minor, row.currency) == (1050, "KES")


def test_texts_are_bounded_and_hold_no_nul():
    row = _with_variables(error={"code": "a\0", "description": "d" * 5000})
    assert row.error_code == "a\ufffd"
    assert len(row.error_description) == 500
