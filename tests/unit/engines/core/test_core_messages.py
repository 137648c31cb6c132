"""Correlation, buffering, messages that start, hand-over."""

import msgspec
import pytest

from payhub_engines.core import correlation
from payhub_engines.core.audit import audit_records
from payhub_engines.core.commands import (
    AcknowledgeHandover,
    CorrelateMessage,
    ExpireMessage,
    QueueHandover,
)
from payhub_engines.core.events import MessageCorrelated, MessageExpired, decode_entry
from payhub_engines.core.processor import Accepted, Rejected
from payhub_engines.core.variables import VARIABLES_UNITS_MAX
from payhub_platform.bus.streams import AUDIT_BATCH_BYTES
from payhub_platform.contracts.handover import Callback


def callback(**fields):
    defaults = {"tenant": "default", "name": "answer", "correlation_key": "k", "variables": {"x": 1}}
    return Callback(**{**defaults, **fields})


def logged(engine, event_type):
    return [
        event for raw in engine.entries for event in decode_entry(raw).events if isinstance(event, event_type)
    ]


@pytest.fixture
def waiting(engine, model):
    engine.deploy(model().start().receive("r", "answer").end().path("start", "r", "end").xml())
    return engine


@pytest.fixture
def starting(engine, model):
    engine.deploy(model("payee").start().job("a").end().path("start", "a", "end").xml())
    return engine


def test_a_message_goes_to_one_waiting_instance_or_with_broadcast_to_all(waiting):
    keys = [waiting.start("p", {"key": "k"}) for _ in range(3)]
    waiting.publish("answer", "k")
    assert [waiting.instance(key).state for key in keys] == ["COMPLETED", "ACTIVE", "ACTIVE"]
    waiting.execute(CorrelateMessage(callback=callback(broadcast=True)))
    assert [waiting.instance(key).state for key in keys] == ["COMPLETED"] * 3


def test_a_message_never_crosses_tenants_names_or_keys(waiting):
    key = waiting.start("p", {"key": "k"}, tenant="lion")
    for fields in ({"tenant": "rhino"}, {"name": "answers"}, {"correlation_key": "kk"}):
        waiting.execute(CorrelateMessage(callback=callback(**{"tenant": "lion", **fields})))
    assert waiting.instance(key).state == "ACTIVE"
    assert waiting.state.has_subscription("lion", "answer", "k")
    assert not waiting.state.has_subscription("rhino", "answer", "k")


def test_an_early_message_is_kept_and_consumed_when_the_subscription_opens(waiting):
    waiting.publish("answer", "k", {"x": 5}, ttl=10)
    waiting.advance(9)
    key = waiting.start("p", {"key": "k"})
    view = waiting.instance(key)
    assert (view.state, view.variables["x"]) == ("COMPLETED", 5)
    assert waiting.state.counts().messages == 0


def test_kept_messages_are_consumed_in_their_order(waiting):
    for x in range(3):
        waiting.publish("answer", "k", {"x": x}, ttl=10)
    got = [waiting.instance(waiting.start("p", {"key": "k"})).variables["x"] for _ in range(3)]
    assert got == [0, 1, 2]


def test_a_kept_message_that_nothing_wants_is_reported_when_its_time_is_over(waiting):
    reply = waiting.publish("answer", "k", {"x": 5}, ttl=10)
    assert waiting.state.next_message_expiry_ms() == waiting.now_ms + 10_000
    early = waiting.execute(ExpireMessage(message=reply.key))
    assert isinstance(early, Rejected)
    waiting.advance(10)
    (expired,) = logged(waiting, MessageExpired)
    assert (expired.reason, expired.callback.variables) == ("expired", {"x": 5})
    again = waiting.execute(ExpireMessage(message=reply.key))
    assert isinstance(again, Rejected)
    assert again.code == "message-not-found"


def test_an_unmatched_message_without_time_to_live_is_reported_at_once(waiting):
    waiting.publish("answer", "nobody")
    (expired,) = logged(waiting, MessageExpired)
    assert (expired.reason, expired.callback.correlation_key) == ("unmatched", "nobody")
    assert waiting.state.counts().messages == 0


def test_the_buffer_of_a_key_is_bounded_and_what_is_too_much_is_reported(waiting):
    for _ in range(correlation.BUFFERED_PER_KEY_MAX + 1):
        waiting.publish("answer", "k", ttl=10)
    assert waiting.state.counts().messages == correlation.BUFFERED_PER_KEY_MAX
    assert [event.reason for event in logged(waiting, MessageExpired)] == ["buffer-full"]


def test_an_early_message_decides_an_event_gateway(engine, model):
    gate = model().start().events("g").catch("yes", message="yes").catch("late", timer="PT1S")
    engine.deploy(gate.end("a").end("b").path("start", "g", "yes", "a").path("g", "late", "b").xml())
    engine.publish("yes", "k", ttl=10)
    view = engine.instance(engine.start("p", {"key": "k"}))
    assert view.path == ["start", "g", "yes", "a"]
    assert engine.state.counts().timers == 0


def test_an_early_message_interrupts_at_the_boundary_as_soon_as_it_opens(engine, model):
    task = model().start().job("a").boundary("stop", "a", message="cancel").end().end("stopped")
    engine.deploy(task.path("start", "a", "end").path("stop", "stopped").xml())
    engine.publish("cancel", "k", ttl=10)
    view = engine.instance(engine.start("p", {"key": "k"}))
    assert view.path == ["start", "a", "stop", "stopped"]
    assert engine.state.counts().jobs == 0


def start_callback(**fields):
    return callback(start_process="payee", payment="tx", fingerprint="f", name="quote-request", **fields)


def test_a_message_starts_an_instance_once(starting):
    first = starting.execute(CorrelateMessage(callback=start_callback()))
    again = starting.execute(CorrelateMessage(callback=start_callback()))
    assert again == Accepted(first.key, duplicate=True)
    found = starting.state.find_instance("default", "payee", "tx")
    assert found is not None
    assert (found.key, found.variables, found.handed_over) == (first.key, {"x": 1}, False)


def test_a_message_that_starts_with_other_content_is_refused(starting):
    starting.execute(CorrelateMessage(callback=start_callback()))
    changed = msgspec.structs.replace(start_callback(), fingerprint="other")
    reply = starting.execute(CorrelateMessage(callback=changed))
    assert isinstance(reply, Rejected)
    assert reply.code == "key-reused"
    handed = starting.execute(CorrelateMessage(callback=changed, origin="south", sequence=1))
    assert isinstance(handed, Accepted)
    assert [event.reason for event in logged(starting, MessageExpired)] == ["key-reused"]


def test_a_message_that_starts_an_unknown_process_is_refused_and_not_taken_as_received(waiting):
    command = CorrelateMessage(callback=start_callback(), origin="south", sequence=1)
    reply = waiting.execute(command)
    assert isinstance(reply, Rejected)
    assert reply.code == "unknown-process"
    assert not waiting.state.was_received("south", 1)


def test_a_hand_over_takes_effect_once_and_marks_the_instance(waiting):
    keys = [waiting.start("p", {"key": "k"}) for _ in range(2)]
    command = CorrelateMessage(callback=callback(), origin="south", sequence=1, lowest_open=1)
    assert not waiting.execute(command).duplicate
    assert waiting.execute(command) == Accepted(1, duplicate=True)
    assert [waiting.instance(key).handed_over for key in keys] == [True, False]
    assert [waiting.instance(key).state for key in keys] == ["COMPLETED", "ACTIVE"]
    assert [event.via for event in logged(waiting, MessageCorrelated)] == ["south"]


def test_a_hand_over_that_starts_or_is_kept_marks_the_instance_too(waiting, model):
    waiting.deploy(model("payee").start().end().path("start", "end").xml())
    started = waiting.execute(CorrelateMessage(callback=start_callback(), origin="south", sequence=1))
    assert waiting.instance(started.key).handed_over
    waiting.execute(CorrelateMessage(callback=callback(ttl_ms=1000), origin="south", sequence=2))
    assert waiting.instance(waiting.start("p", {"key": "k"})).handed_over


def test_received_sequences_are_forgotten_below_the_lowest_open_and_stay_duplicates(waiting):
    for sequence in (1, 3, 2, 4):
        waiting.execute(
            CorrelateMessage(callback=callback(), origin="south", sequence=sequence, lowest_open=1)
        )
    waiting.execute(CorrelateMessage(callback=callback(), origin="south", sequence=6, lowest_open=4))
    remembered = [key for key, _ in waiting.store.scan(b"h")]
    assert len(remembered) == 2  # 4 and 6
    received = [waiting.state.was_received("south", sequence) for sequence in range(1, 8)]
    assert received == [True, True, True, True, False, True, False]
    assert not waiting.state.was_received("west", 1)


@pytest.mark.parametrize(("sequence", "lowest_open"), [(0, 0), (-1, 0), (3, 4), (2**64, 0)])
def test_an_unsound_hand_over_is_refused(waiting, sequence, lowest_open):
    command = CorrelateMessage(
        callback=callback(), origin="south", sequence=sequence, lowest_open=lowest_open
    )
    reply = waiting.execute(command)
    assert isinstance(reply, Rejected)
    assert reply.code == "invalid-handover"


def test_the_outbox_gives_sequences_by_owner_and_forgets_what_is_acknowledged(engine):
    replies = [engine.execute(QueueHandover(owner=owner, callback=callback())) for owner in ("n", "n", "s")]
    assert [reply.key for reply in replies] == [1, 2, 1]
    assert [(record.owner, record.sequence) for record in engine.state.outbox()] == [
        ("n", 1),
        ("n", 2),
        ("s", 1),
    ]
    assert engine.execute(AcknowledgeHandover(owner="n", sequence=1)) == Accepted(1)
    assert engine.execute(AcknowledgeHandover(owner="n", sequence=1)) == Accepted(1, duplicate=True)
    assert [record.sequence for record in engine.state.outbox("n")] == [2]
    unknown = engine.execute(AcknowledgeHandover(owner="n", sequence=9))
    assert isinstance(unknown, Rejected)
    assert engine.execute(QueueHandover(owner="n", callback=callback())).key == 3


def test_the_outbox_is_bounded(engine, monkeypatch):
    monkeypatch.setattr(correlation, "OUTBOX_PER_OWNER_MAX", 2)
    for _ in range(2):
        engine.execute(QueueHandover(owner="n", callback=callback()))
    full = engine.execute(QueueHandover(owner="n", callback=callback()))
    assert isinstance(full, Rejected)
    assert full.code == "handover-full"


@pytest.mark.parametrize("variables", [{"x": 2**64}, {"x": float("nan")}, {"x": b"raw"}, {"x": "\ud800"}])
def test_a_message_whose_variables_are_no_json_is_refused(waiting, variables):
    reply = waiting.execute(CorrelateMessage(callback=callback(variables=variables)))
    assert isinstance(reply, Rejected)
    assert reply.code == "invalid-variables"


def test_a_message_with_an_endless_key_is_refused(waiting):
    reply = waiting.publish("answer", "k" * 600)
    assert isinstance(reply, Rejected)
    assert reply.code == "invalid-key"


@pytest.mark.parametrize("variables", [{}, {"key": None}, {"key": ""}, {"key": [1]}, {"key": "k" * 600}])
def test_an_unusable_correlation_key_is_an_incident_at_the_element(waiting, variables):
    view = waiting.instance(waiting.start("p", variables))
    assert [incident.code for incident in view.incidents] == ["expression-error"]
    assert view.waiting_at == ("r",)


def test_a_kept_message_whose_time_is_over_is_not_consumed_before_it_is_reported(waiting):
    waiting.publish("answer", "k", {"x": 5}, ttl=10)
    waiting.now_ms += 10_000  # as after a restart: nobody has reported it yet
    view = waiting.instance(waiting.start("p", {"key": "k"}))
    assert view.state == "ACTIVE"
    assert [event.reason for event in logged(waiting, MessageExpired)] == ["expired"]


def test_the_largest_hand_over_and_its_audit_record_fit_into_a_message_of_nats(engine):
    text = "\U0001f600" * (VARIABLES_UNITS_MAX // 4)  # four bytes each
    too_large = engine.execute(QueueHandover(owner="n", callback=callback(variables={"x": text})))
    assert isinstance(too_large, Rejected)
    engine.execute(QueueHandover(owner="n", callback=callback(variables={"x": text[:-10]})))
    (record,) = audit_records(decode_entry(engine.entries[-1]))
    assert len(msgspec.msgpack.encode(record)) < AUDIT_BATCH_BYTES
