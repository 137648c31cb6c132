"""Messages about an instance that does not wait for them, and the further keys that it is found under."""

import msgspec
import pytest

from payhub_engines.core.appliers import apply_entries, apply_entry
from payhub_engines.core.appliers.messages import KNOWN_AS_MAX
from payhub_engines.core.commands import CorrelateMessage, ForgetInstances
from payhub_engines.core.events import LogEntry, MessageCorrelated, decode_entry
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.state import State, digest
from payhub_platform.contracts.handover import Callback, Subject


@pytest.fixture
def house(engine, model):
    """An engine with a process that is quoted, then waits for an answer, and one that answers for it."""
    engine.deploy(model().start().job("a").receive("r", "answer").end().path("start", "a", "r", "end").xml())
    engine.deploy(model("again").start().job("tell").end().path("start", "tell", "end").xml())
    engine.on_job("tell", lambda _variables: {})
    return engine


def about(key, answer="q-1", **fields):
    subject = Subject(
        process="p",
        key=key,
        variables=["x", "none"],
        answer_process="again",
        answer_key=answer,
        given={"given": 1},
        or_unknown=fields.pop("or_unknown", False),
    )
    defaults = {"tenant": "default", "name": "answer", "correlation_key": "k", "variables": {"by": "lion"}}
    return CorrelateMessage(callback=Callback(**{**defaults, "subject": subject, **fields}))


def begin(engine, known_as="", payment="tx-1", tenant="default"):
    callback = Callback(
        tenant=tenant,
        name="ask",
        correlation_key=payment,
        variables={"key": "k", "x": 7, "y": 8},
        start_process="p",
        payment=payment,
        known_as=known_as,
    )
    return engine.execute(CorrelateMessage(callback=callback)).key


def answered(engine, answer="q-1", tenant="default"):
    found = engine.state.find_instance(tenant, "again", answer)
    return None if found is None else found.variables


def test_who_does_not_wait_is_answered_for_as_it_stands_and_as_it_has_ended(house):
    begin(house)
    house.execute(about("tx-1"))
    known = {"x": 7, "none": None, "startedAtMs": house.now_ms, "ended": False}
    assert answered(house) == {"by": "lion", "given": 1, "subject": known}
    house.on_job("a", lambda _variables: {"x": 9})
    house.execute(about("tx-1", "q-2"))
    assert answered(house, "q-2") is None  # it waits itself
    house.advance(1)
    house.execute(about("tx-1", "q-3"))
    assert answered(house, "q-3")["subject"] == {**known, "x": 9, "ended": True}


def test_a_message_that_is_kept_waits_for_who_still_runs(house):
    key = begin(house)
    assert isinstance(house.execute(about("tx-1", ttl_ms=9_000)), Accepted)
    assert answered(house) is None
    house.on_job("a", lambda _variables: {})
    assert house.instance(key).state == "COMPLETED"
    house.execute(about("tx-1", ttl_ms=9_000))
    assert answered(house)["subject"]["ended"]


def test_an_unknown_subject_makes_a_message_as_any_other_unless_it_is_answered_too(house):
    house.execute(about("tx-1"))
    assert answered(house) is None
    house.execute(about("tx-1", or_unknown=True))
    assert answered(house) == {"by": "lion", "given": 1, "subject": None}
    house.execute(about("tx-2", start_process="p", payment="tx-2"))
    assert house.state.find_instance("default", "p", "tx-2").variables == {"by": "lion"}


def test_an_answer_key_is_answered_once(house):
    begin(house)
    first = house.execute(about("tx-1"))
    assert house.execute(about("tx-1")) == Accepted(first.key, duplicate=True)


def test_a_further_key_is_the_first_ones_of_its_tenant_until_it_is_forgotten(house):
    house.on_job("a", lambda _variables: {})
    first = begin(house, ":quote/1")
    begin(house, ":quote/1", payment="tx-2")  # somebody else chose the same
    others = begin(house, ":quote/1", tenant="lion")
    assert house.state.find_key("default", "p", ":quote/1") == first
    assert house.state.find_key("lion", "p", ":quote/1") == others
    for _ in range(2):
        house.publish("answer", "k")
    house.advance(10)
    house.execute(about(":quote/1"))
    assert answered(house)["subject"]["ended"]
    assert State(house.store).find_key("default", "p", ":quote/1") == first
    assert house.execute(ForgetInstances(ended_before_ms=house.now_ms)).key == 2
    assert house.state.find_key("default", "p", ":quote/1") is None
    assert house.state.find_key("lion", "p", ":quote/1") == others
    assert begin(house, ":quote/1", payment="tx-3") == house.state.find_key("default", "p", ":quote/1")


def test_who_takes_a_kept_message_is_known_by_its_key_too(house):
    key = begin(house)
    house.execute(about("tx-1", ttl_ms=9_000, known_as=":transfer/1"))
    assert house.state.find_key("default", "p", ":transfer/1") is None
    house.on_job("a", lambda _variables: {})
    assert house.state.find_key("default", "p", ":transfer/1") == key


def test_an_instance_has_a_bounded_number_of_further_keys(engine, model):
    waits = [f"r{number}" for number in range(KNOWN_AS_MAX + 1)]
    chain = model().start()
    for wait in waits:
        chain = chain.receive(wait, "answer")
    engine.deploy(chain.end().path("start", *waits, "end").xml())
    key = engine.start("p", {"key": "k"})
    for number in range(KNOWN_AS_MAX + 1):
        callback = Callback(
            tenant="default", name="answer", correlation_key="k", variables={}, known_as=f":q/{number}"
        )
        engine.execute(CorrelateMessage(callback=callback))
    assert engine.instance(key).state == "COMPLETED"
    assert engine.state.find_key("default", "p", f":q/{KNOWN_AS_MAX - 1}") == key
    assert engine.state.find_key("default", "p", f":q/{KNOWN_AS_MAX}") is None


def test_what_is_passed_over_is_known_by_its_further_keys_too(house):
    """Who applies many entries at once passes over what began and ended in them; the state is the same."""
    house.on_job("a", lambda _variables: {})
    begin(house, ":quote/1")
    house.execute(about("tx-1", known_as=":transfer/1"))
    house.advance(10)
    begin(house, ":quote/2", payment="tx-2")
    at_once = MemoryStore()
    state = State(at_once)
    apply_entries([decode_entry(raw) for raw in house.entries], state)
    write(state, at_once)
    assert digest(at_once) == digest(house.store)
    assert state.find_key("default", "p", ":transfer/1") == state.find_key("default", "p", "tx-1")


def test_a_log_of_before_has_no_further_keys(house):
    """What an older release decided is applied as it applied it, whatever a later one would have done."""
    begin(house, ":quote/1")
    store = MemoryStore()
    state = State(store)
    for raw in house.entries:
        entry = decode_entry(raw)
        assert isinstance(entry, LogEntry)
        apply_entry(msgspec.structs.replace(entry, version=3), state)
    write(state, store)
    assert state.find_key("default", "p", "tx-1") is not None
    assert state.find_key("default", "p", ":quote/1") is None
    short = msgspec.msgpack.encode([19, 1, 0, "start", "ask", 0, ""])
    assert msgspec.msgpack.decode(short, type=MessageCorrelated).known_as == ""


@pytest.mark.parametrize(
    "change", [{"known_as": "k" * 600}, {"subject": "k" * 600}, {"given": {"a": object()}}]
)
def test_what_cannot_enter_the_log_is_refused(house, change):
    command = about("tx-1")
    callback, subject = command.callback, command.callback.subject
    if "known_as" in change:
        callback = msgspec.structs.replace(callback, **change)
    elif "subject" in change:
        subject = msgspec.structs.replace(subject, answer_key=change["subject"])
        callback = msgspec.structs.replace(callback, subject=subject)
    else:
        callback = msgspec.structs.replace(callback, subject=msgspec.structs.replace(subject, **change))
    assert isinstance(house.execute(CorrelateMessage(callback=callback)), Rejected)
