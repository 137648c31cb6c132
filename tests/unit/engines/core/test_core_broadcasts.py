"""Signals, and messages to all: each receiver once, however many there are and whoever leads meanwhile."""

from collections import Counter

import pytest
from unit.engines.core.state_checks import check_engine, replayed

from payhub_engines.core import broadcasts, events
from payhub_engines.core.commands import (
    BroadcastSignal,
    ContinueBroadcast,
    CorrelateMessage,
    PassBroadcastOver,
    ResolveIncident,
)
from payhub_engines.core.decision import STEPS_MAX
from payhub_engines.core.limits import INSTANCE_UNITS_MAX
from payhub_engines.core.processor import Accepted, Batch, Rejected
from payhub_platform.contracts.handover import Callback

MANY = 700
TENANT = "default"
SIGNAL = BroadcastSignal(tenant=TENANT, name="bell", variables={"x": 1})


def listening(engine, model, count=MANY, **awaited):
    """Start instances that wait once and then do a job."""
    awaited = awaited or {"signal": "bell"}
    engine.deploy(model().start().catch("c", **awaited).job("a").end().path("start", "c", "a", "end").xml())
    for _ in range(count):
        engine.start("p", {"key": "k"})


def reached(engine, more=()):
    """Count how often each instance went on to its job."""
    return Counter(
        event.instance
        for raw in [*engine.entries, *more]
        for event in events.decode_entry(raw).events
        if isinstance(event, events.JobCreated)
    )


def to_all(**more):
    return CorrelateMessage(
        callback=Callback(tenant=TENANT, name="m", correlation_key="k", broadcast=True, **more)
    )


def test_a_signal_reaches_all_who_wait_however_many(engine, model):
    listening(engine, model)
    before = len(engine.entries)
    assert engine.execute(SIGNAL) == Accepted(MANY)
    assert set(reached(engine).values()) == {1}
    assert len(reached(engine)) == MANY
    assert len(engine.entries) - before == 3
    assert all(
        document.variables == {"key": "k", "x": 1} for document in engine.state.instances._documents.values()
    )
    assert not list(engine.state.broadcasts())
    check_engine(engine)


def test_a_message_to_all_reaches_all_who_wait_however_many(engine, model):
    listening(engine, model, message="m")
    assert isinstance(engine.execute(to_all(variables={"x": 1}, message_id="one")), Accepted)
    assert engine.execute(to_all(variables={"x": 1}, message_id="one")).duplicate
    assert set(reached(engine).values()) == {1}
    assert len(reached(engine)) == MANY
    check_engine(engine)


def test_a_signal_that_a_process_throws_reaches_all(engine, model):
    listening(engine, model)
    engine.deploy(model("ring").start().throw("t", signal="bell").end().path("start", "t", "end").xml())
    thrower = engine.start("ring")
    assert engine.instance(thrower).state == "COMPLETED"
    assert set(reached(engine).values()) == {1}
    assert len(reached(engine)) == MANY
    check_engine(engine)


def test_another_leader_goes_on_where_the_last_one_was_cut_off(engine, model):
    listening(engine, model)
    batch = Batch(engine.state, engine.now_ms)
    batch.decide(SIGNAL)
    engine.entries.append(events.encode_entry(batch.seal()))
    assert len(reached(engine)) == broadcasts.RECEIVERS_A_COMMAND_MAX
    state, _ = replayed(engine.entries)
    [left] = state.broadcasts()
    more = []
    while list(state.broadcasts()):
        batch = Batch(state, engine.now_ms)
        for _ in range(2):  # an old leader's command may come as well
            batch.decide(ContinueBroadcast(broadcast=left.key))
        more.append(events.encode_entry(batch.seal()))
    batch = Batch(state, engine.now_ms)
    assert batch.decide(ContinueBroadcast(broadcast=left.key)).code == "broadcast-not-found"
    assert set(reached(engine, more).values()) == {1}
    assert len(reached(engine, more)) == MANY


def test_who_begins_to_wait_later_is_not_reached(engine, model, monkeypatch):
    monkeypatch.setattr(broadcasts, "RECEIVERS_A_COMMAND_MAX", 2)
    engine.deploy(
        model()
        .start()
        .catch("c", signal="bell")
        .catch("d", signal="bell")
        .end()
        .path("start", "c", "d", "end")
        .xml()
    )
    keys = [engine.start("p") for _ in range(5)]
    engine.execute(SIGNAL)
    assert [engine.instance(key).waiting_at for key in keys] == [("d",)] * 5
    engine.execute(SIGNAL)
    assert [engine.instance(key).state for key in keys] == ["COMPLETED"] * 5


def test_a_large_message_to_all_needs_more_commands_and_stops_nobody(engine, model):
    listening(engine, model, 20, message="m")
    engine.execute(to_all(variables={"x": "y" * 200_000}))
    assert not list(engine.state.incidents())
    assert len(reached(engine)) == 20
    assert max(map(len, engine.entries)) < 2_000_000


def test_long_ways_behind_a_signal_are_no_reason_to_stop(engine, model):
    names = [f"s{number}" for number in range(40)]
    process = model().start().catch("c", signal="bell").job("a").end()
    for name in names:
        process.node("task", name)
    engine.deploy(process.path("start", "c", *names, "a", "end").xml())
    count = 2 * STEPS_MAX // len(names)
    for _ in range(count):
        engine.start("p")
    engine.execute(SIGNAL)
    assert not list(engine.state.incidents())
    assert len(reached(engine)) == count


def test_only_so_many_broadcasts_are_on_their_way_at_once(engine, model, monkeypatch):
    monkeypatch.setattr(broadcasts, "RECEIVERS_A_COMMAND_MAX", 1)
    monkeypatch.setattr(broadcasts, "BROADCASTS_MAX", 2)
    boundary = model().start().job("a").boundary("b", "a", interrupting=False, signal="bell").end().end("o")
    engine.deploy(boundary.path("start", "a", "end").path("b", "o").xml())
    for _ in range(3):
        engine.start("p")
    batch = Batch(engine.state, engine.now_ms)
    replies = [batch.decide(SIGNAL) for _ in range(3)]
    assert [getattr(reply, "code", "") for reply in replies] == ["", "", "too-many-broadcasts"]
    engine.entries.append(events.encode_entry(batch.seal()))
    engine.on_job("none", dict)  # goes on with what is left
    assert isinstance(engine.execute(SIGNAL), Accepted)


def test_a_receiver_that_cannot_be_reached_holds_nobody_up_and_loses_nothing(engine, model, monkeypatch):
    monkeypatch.setattr(broadcasts, "RECEIVERS_A_COMMAND_MAX", 1)
    listening(engine, model, 3, message="m")
    batch = Batch(engine.state, engine.now_ms)
    batch.decide(to_all(variables={"x": 1}))
    [left] = engine.state.broadcasts()
    batch.decide(PassBroadcastOver(broadcast=left.key, code="command-failed", message="why"))
    engine.entries.append(events.encode_entry(batch.seal()))
    engine.on_job("none", dict)  # goes on with what is left
    assert len(reached(engine)) == 2
    [incident] = engine.state.incidents()
    assert (incident.code, incident.message, incident.element) == ("command-failed", "why", "c")
    check_engine(engine)
    engine.resolve_incident(incident.key)
    assert len(reached(engine)) == 3
    assert engine.instance(incident.instance).variables["x"] == 1
    check_engine(engine)


# What is too large for an instance.


def crowded(engine, model, **awaited):
    """Start an instance that has hardly any room left, and waits."""
    engine.deploy(model().start().catch("c", **awaited).job("a").end().path("start", "c", "a", "end").xml())
    key = engine.start("p", {"key": "k"})
    fill(engine, key, INSTANCE_UNITS_MAX - 50_000)
    return key


def fill(engine, key, size):
    """Let an instance hold so many bytes, more than one command may bring."""
    for number in range(5):
        assert isinstance(engine.set_variables(key, {f"bulk{number}": "x" * (size // 5)}), Accepted)


PAYLOAD = {"proof": "y" * 100_000}


@pytest.mark.parametrize("frees_it", ["with the resolution", "before"])
def test_a_message_that_is_too_large_is_kept_until_an_operator_makes_room(engine, model, frees_it):
    key = crowded(engine, model, message="m")
    engine.publish("m", "k", PAYLOAD)
    [incident] = engine.instance(key).incidents
    assert incident.code == "variables-too-large"
    check_engine(engine)
    engine.resolve_incident(incident.key)  # nothing has changed
    [incident] = engine.instance(key).incidents
    room = {"bulk0": None}
    if frees_it == "before":
        engine.set_variables(key, room)
        engine.resolve_incident(incident.key)
    else:
        engine.resolve_incident(incident.key, room)
    view = engine.instance(key)
    assert (view.waiting_at, view.variables["proof"]) == (("a",), PAYLOAD["proof"])
    assert not any(True for _ in engine.store.scan(b"i"))
    check_engine(engine)


def test_an_operator_may_give_something_else_in_its_place(engine, model):
    key = crowded(engine, model, message="m")
    engine.publish("m", "k", PAYLOAD | {"other": 1})
    [incident] = engine.instance(key).incidents
    engine.resolve_incident(incident.key, {"proof": "see the archive"})
    view = engine.instance(key)
    assert (view.waiting_at, view.variables["proof"], view.variables["other"]) == (
        ("a",),
        "see the archive",
        1,
    )


def test_a_second_message_does_not_take_the_place_of_one_that_is_kept(engine, model):
    key = crowded(engine, model, message="m")
    engine.publish("m", "k", PAYLOAD)
    engine.publish("m", "k", {"proof": "second"}, ttl=60)
    assert engine.state.counts().messages == 1
    [incident] = engine.instance(key).incidents
    engine.resolve_incident(incident.key, {"bulk0": None})
    assert engine.instance(key).variables["proof"] == PAYLOAD["proof"]


def test_what_is_kept_goes_with_its_instance_and_stays_in_the_log(engine, model):
    key = crowded(engine, model, message="m")
    engine.publish("m", "k", PAYLOAD)
    engine.cancel(key)
    assert not any(True for _ in engine.store.scan(b"i"))
    raised = [
        event
        for raw in engine.entries
        for event in events.decode_entry(raw).events
        if isinstance(event, events.IncidentRaised)
    ]
    assert [event.payload for event in raised] == [PAYLOAD]
    check_engine(engine)


def test_what_a_called_process_brings_is_kept_as_well(engine, model):
    engine.deploy(model("child").start().job("b").end().path("start", "b", "end").xml())
    engine.deploy(model().start().call("c", "child").job("a").end().path("start", "c", "a", "end").xml())
    key = engine.start("p")
    fill(engine, key, INSTANCE_UNITS_MAX - 50_000)
    engine.on_job("b", lambda _: {"proof": "y" * 100_000})
    [incident] = engine.instance(key).incidents
    engine.execute(ResolveIncident(incident=incident.key, variables={"bulk0": None}))
    assert engine.instance(key).waiting_at == ("a",)
    assert len(engine.instance(key).variables["proof"]) == 100_000


# Business keys.


def test_no_client_can_have_a_business_key_of_the_engine(engine, model):
    engine.deploy(
        model()
        .start()
        .start("m", message="go", key="")
        .job("a")
        .end()
        .path("start", "a", "end")
        .flow("m", "a")
        .xml()
    )
    with pytest.raises(Exception, match="reserved-key"):
        engine.start("p", payment=":signal-7@")
    for more in (
        {"payment": ":timer-1@"},
        {"correlation_key": ":message-1@"},
        {"payment": ":x", "start_process": "p"},
    ):
        named = {"correlation_key": ""} | more
        callback = Callback(tenant=TENANT, name="go", variables={}, **named)
        reply = engine.execute(CorrelateMessage(callback=callback))
        assert isinstance(reply, Rejected)
        assert reply.code == "reserved-key"
    assert engine.state.counts().instances == 0


def test_a_handed_over_message_with_such_a_key_is_reported_whole(engine, model):
    engine.deploy(
        model()
        .start()
        .start("m", message="go", key="")
        .job("a")
        .end()
        .path("start", "a", "end")
        .flow("m", "a")
        .xml()
    )
    callback = Callback(tenant=TENANT, name="go", correlation_key=":timer-1@", variables={"x": 1})
    reply = engine.execute(CorrelateMessage(callback=callback, origin="south/1", sequence=1, lowest_open=1))
    assert isinstance(reply, Accepted)
    last = events.decode_entry(engine.entries[-1]).events[-1]
    assert (last.reason, last.callback) == ("reserved-key", callback)


def test_what_the_engine_starts_has_a_key_of_its_own(engine, model):
    process = model().start().start("rung", signal="bell").start("m", message="go", key="")
    process.start("t", cycle="R1/PT5S").job("a").end().path("start", "a", "end")
    engine.deploy(process.flow("rung", "a").flow("m", "a").flow("t", "a").xml())
    for number in range(1, 60):
        for kind in ("signal", "timer", "message"):
            engine.start("p", payment=f"{kind}-{number}")
    engine.signal("bell")
    engine.publish("go", "")
    engine.advance(6)
    documents = engine.state.instances._documents.values()
    assert len({document.payment for document in documents}) == len(documents) == 3 * 59 + 3
    for document in documents:
        assert engine.state.find_key(document.tenant, "p", document.payment) == document.key
