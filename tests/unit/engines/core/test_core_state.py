"""Store, keys, log entries, audit records, appliers."""

import random

import msgspec
import pytest

from payhub_engines.core import events, tables
from payhub_engines.core.appliers import APPLIERS, CURRENT_VERSION, apply_entry
from payhub_engines.core.audit import audit_records
from payhub_engines.core.commands import AcknowledgeHandover, CorrelateMessage, QueueHandover
from payhub_engines.core.errors import ReplayError, StateFormatError
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.state import State, digest
from payhub_platform.contracts.handover import Callback


def test_memory_store_scans_like_a_sorted_dict():
    chance, store, truth = random.Random(7), MemoryStore(), {}
    for _ in range(2000):
        key = bytes(chance.choices(b"ab\x00\xff", k=chance.randint(0, 3)))
        if chance.random() < 0.6:
            truth[key] = value = chance.randbytes(2)
            store.put(key, value)
        else:
            truth.pop(key, None)
            store.delete(key)
        prefix = key[:1]
        assert store.get(key) == truth.get(key)
        expected = [(found, truth[found]) for found in sorted(truth) if found.startswith(prefix)]
        assert list(store.scan(prefix)) == expected


def test_memory_store_scan_is_stable_while_the_store_changes():
    store = MemoryStore()
    for letter in b"abc":
        store.put(bytes([letter]), b"1")
    seen = []
    for key, _ in store.scan(b""):
        seen.append(key)
        store.delete(key)
        store.put(b"z" + key, b"2")
    assert seen == [b"a", b"b", b"c"]


def test_texts_in_keys_never_reach_into_each_other():
    assert tables.texts("a", "bc") != tables.texts("ab", "c")
    assert not tables.texts("ab").startswith(tables.texts("a"))


def test_digest_tells_stores_apart():
    one, two = MemoryStore(), MemoryStore()
    one.put(b"a", b"bc")
    two.put(b"ab", b"c")
    assert digest(one) != digest(two)


def test_every_event_has_an_applier_a_tag_of_its_own_and_survives_encoding():
    kinds = events.AnyEvent.__args__
    assert set(kinds) == set(APPLIERS)
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert sorted(tags) == list(range(1, len(tags) + 1))


def test_replay_refuses_a_gap_and_a_log_of_another_release(engine, model):
    engine.deploy(model().start().end().path("start", "end").xml())
    entry = events.decode_entry(engine.entries[0])
    state = State(MemoryStore())
    for version in (CURRENT_VERSION + 1, 1):
        with pytest.raises(ReplayError, match="log-version"):
            apply_entry(msgspec.structs.replace(entry, version=version), state)
    apply_entry(entry, state)
    with pytest.raises(ReplayError, match="position-gap"):
        apply_entry(entry, state)


def test_an_entry_is_applied_as_the_release_did_that_decided_it(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    key = engine.start("p")
    raised = events.IncidentRaised(key, 99, 0, "a", "c", "m", 1, "leave", {"x": 1})
    for version, payload in ((2, {}), (3, {"x": 1})):
        state = State(MemoryStore())
        for raw in engine.entries:
            apply_entry(events.decode_entry(raw), state)
        entry = events.LogEntry(state.next_position, 0, [raised], {}, 100, version)
        apply_entry(entry, state)
        assert state.incident(99).code == "c"
        assert state.incident_payload(99) == payload


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (events.ElementCompleted(1, 9, "a"), "unknown-instance"),
        (events.JobCompleted(1, 9, "a"), "unknown-job"),
        (events.TimerTriggered(1, 9, "a"), "unknown-timer"),
        (events.SubscriptionClosed(1, 9, "a", 3), "unknown-instance"),
        (events.IncidentResolved(1, 9, "a"), "unknown-incident"),
        (events.VariablesMerged(1, {}), "unknown-instance"),
        (events.InstancesForgotten([1]), "unknown-instance"),
    ],
)
def test_replay_stops_at_an_event_that_does_not_fit_the_state(event, code):
    entry = events.LogEntry(1, 0, [event], {}, 2, CURRENT_VERSION)
    with pytest.raises(ReplayError, match=code):
        apply_entry(entry, State(MemoryStore()))


def test_a_state_of_another_format_is_refused():
    store = MemoryStore()
    store.put(tables.META_NEXT_POSITION, tables.number(5))
    with pytest.raises(StateFormatError, match="state-format"):
        State(store)


def test_changes_are_taken_once(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    key = engine.start("p")
    assert State(engine.store).instance(key).active_elements == ("a",)
    assert set(engine.state.take_changes()) == {
        tables.META_FORMAT,
        tables.META_NEXT_KEY,
        tables.META_NEXT_POSITION,
    }


def test_audit_records_are_the_log_with_contiguous_positions_and_json_data(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    engine.on_job("a", lambda _: {"x": [1, {"y": None}]})
    engine.start("p", {"amount": {"minor": 5, "currency": "KES"}}, tenant="lion", payment="tx")
    records = [record for raw in engine.entries for record in audit_records(events.decode_entry(raw))]
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    assert State(engine.store).next_position == len(records) + 1
    deployed, *records = records
    assert deployed.type == "ProcessDeployed"
    assert {(record.tenant, record.process, record.payment) for record in records} == {("lion", "p", "tx")}
    first = records[0]
    assert (first.type, first.instance, first.at_ms) == ("InstanceStarted", 1, engine.now_ms)
    assert first.data["variables"] == {"amount": {"minor": 5, "currency": "KES"}}
    (created,) = (record for record in records if record.type == "JobCreated")
    assert (created.element, created.data["job_type"]) == ("a", "a")
    assert "instance" not in created.data
    msgspec.json.encode(records)


def test_audit_records_of_messages_and_hand_overs_belong_to_the_tenant(engine):
    callback = Callback(
        tenant="lion", name="n", correlation_key="k", variables={"x": 1}, payment="tx", trace="00-trace"
    )
    engine.execute(QueueHandover(owner="north", callback=callback))
    engine.execute(AcknowledgeHandover(owner="north", sequence=1))
    engine.execute(CorrelateMessage(callback=callback, origin="south", sequence=1))
    records = [record for raw in engine.entries for record in audit_records(events.decode_entry(raw))]
    assert [record.type for record in records] == [
        "HandoverQueued",
        "HandoverAcknowledged",
        "HandoverReceived",
        "MessageExpired",
    ]
    assert {(record.tenant, record.payment, record.trace) for record in records} == {
        ("lion", "tx", "00-trace")
    }
    assert records[0].data["callback"]["variables"] == {"x": 1}
