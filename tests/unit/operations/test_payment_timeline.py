"""A payment in business words, and events without personal data."""

from datetime import UTC, datetime
from typing import Any

from support.operations_records import outgoing, record

from payhub_operations.audit.model import moment
from payhub_operations.payments.identifiers import identifier_hasher
from payhub_operations.payments.model import PaymentRow, StoredEvent
from payhub_operations.payments.projection import project
from payhub_operations.payments.timeline import event_view, timeline
from payhub_operations.payments.views import elapsed_text, iso_of, payment_view
from payhub_platform.contracts.audit import AuditRecord


def _stored(item: AuditRecord) -> StoredEvent:
    return StoredEvent(
        engine="north",
        position=item.position,
        at=moment(item.at_ms),
        type=item.type,
        element=item.element,
        data=item.data,
    )


def _row(records: list[AuditRecord]) -> PaymentRow:
    (row,) = project({}, "north", records, identifier_hasher(b"k" * 32))
    return row


def _texts(*records: AuditRecord) -> list[str]:
    return [step.text for step in timeline(_row(list(records)), [_stored(item) for item in records])]


def test_a_payment_is_told_in_business_words_with_elapsed_times():
    records = outgoing(1)
    steps = timeline(_row(records), [_stored(item) for item in records])
    assert [(step.elapsed_ms, step.kind, step.text) for step in steps] == [
        (0, "step", "Payment accepted"),
        (10, "step", "Money reserved on the payer's account"),
        (20, "step", "The answer about the payee arrived, handed over by engine south"),
        (50, "end", "Payment completed"),
    ]


def test_problems_say_what_is_wrong():
    refused = record(
        1, "JobErrorThrown", element="check-quote", data={"code": "3302", "description": "Quote expired"}
    )
    failed = record(2, "JobFailed", element="commit-funds", data={"message": "HTTP 503"})
    late = record(3, "TimerTriggered", element="party-timeout")
    stuck = record(4, "IncidentRaised", element="commit-funds", data={"code": "job-failed", "message": "no"})
    over = record(5, "AllowanceRefused", element="take-allowance", data={"limit": "day", "retry_at_ms": 9})
    assert _texts(refused, failed, late, stuck, over) == [
        "Check quote: refused: 3302 Quote expired",
        "Commit funds: did not work this time: HTTP 503",
        "Party timeout: the time to wait is over",
        "Needs attention: job-failed no",
        "Take allowance: a limit is reached: day",
    ]


def test_unknown_elements_are_named_and_unknown_events_are_left_out():
    assert _texts(record(1, "JobCompleted", element="tell-the_member")) == ["Tell the member: done"]
    assert _texts(record(1, "SomethingNew"), record(2, "SequenceFlowTaken")) == []


def test_a_payment_without_events_has_an_empty_timeline():
    assert timeline(_row(outgoing(1)), []) == []


def test_events_show_no_variables_and_no_correlation_keys():
    data: dict[str, Any] = {
        "variables": {"payer": "254712345678"},
        "correlation_key": "MSISDN/254712345678",
        "name": "party-response",
        "via": "south",
        "message": 4,
    }
    view = event_view(_stored(record(1, "MessageCorrelated", data=data)))
    assert view.note == "name: party-response; message: 4; via: south"


def test_views_write_times_and_money_for_people():
    view = payment_view(_row(outgoing(1)))
    assert view.amount is not None
    assert (view.amount.text, view.amount.minor) == ("10.50", 1050)
    assert view.duration_ms == 50
    assert iso_of(datetime(2026, 1, 31, 9, 5, 0, 7000, tzinfo=UTC)) == "2026-01-31T09:05:00.007Z"
    assert [elapsed_text(ms) for ms in (0, 999, 3210, 245_000)] == ["0 ms", "999 ms", "3.2 s", "4 min 05 s"]


def test_the_words_of_others_name_no_member():
    failed = record(2, "JobFailed", element="quote-payer", data={"message": "No account of 254712345678"})
    assert "254712345678" not in event_view(_stored(failed)).note
    assert all("254712345678" not in text for text in _texts(record(1, "InstanceStarted"), failed))
