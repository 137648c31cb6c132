"""Defects that a review of the core looked for: crashes, endless commands, work left behind or left out."""

import msgspec
import pytest

from payhub_engines.core import broadcasts, decision
from payhub_engines.core.commands import (
    Activation,
    BroadcastSignal,
    CompleteJob,
    CorrelateMessage,
    FailJob,
    ForgetInstances,
    MigrateInstance,
    ThrowJobError,
)
from payhub_engines.core.events import CompensationHandled, SignalBroadcast, decode_entry
from payhub_engines.core.limits import INSTANCE_UNITS_MAX
from payhub_engines.core.processor import Accepted, Rejected
from payhub_engines.core.state import State
from payhub_engines.core.variables import VARIABLES_UNITS_MAX
from payhub_platform.contracts.handover import Callback

RECEIVERS = 5  # each takes as many steps as a command may


def all_events(engine):
    return [event for raw in engine.entries for event in decode_entry(raw).events]


def jobs_of(engine):
    return {job.element: job.key for job in engine.state.jobs()}


# --- a late error over an incident


def test_a_late_error_over_a_job_without_retries_does_not_skip_the_work(engine, model):
    engine.deploy(model().start().job("pay", retries="1").end().path("start", "pay", "end").xml())
    key = engine.start("p")
    job = next(engine.state.jobs()).key
    engine.execute(FailJob(job=job, message="down", retry_after_ms=0))
    engine.execute(ThrowJobError(job=job, code="nobody", description="", variables={}))
    (incident,) = engine.instance(key).incidents
    assert incident.code == "unhandled-error"
    engine.resolve_incident(incident.key)
    assert engine.instance(key).state == "ACTIVE"
    assert jobs_of(engine).keys() == {"pay"}


def test_an_output_mapping_that_fails_after_an_incident_is_told_as_such(engine, model):
    task = model().start().job("a", retries="1", outputs={"y": "= x + x"}).end()
    engine.deploy(task.path("start", "a", "end").xml())
    key = engine.start("p")
    job = next(engine.state.jobs()).key
    engine.execute(FailJob(job=job, message="down", retry_after_ms=0))
    engine.execute(CompleteJob(job=job, variables={"x": "y" * 60_000}))
    (incident,) = engine.instance(key).incidents
    assert incident.code == "expression-error"
    engine.resolve_incident(incident.key, {"x": 4})
    assert engine.instance(key).variables["y"] == 8


# --- endless or enormous commands


def test_a_cycle_of_empty_loops_ends(engine, model, loop):
    empty = loop("= []")
    cycle = model().start().script("a", "= 1", "x", empty).script("b", "= 1", "x", empty).end()
    cycle.exclusive("again", default="again-a").path("start", "a", "b", "again").flow("again", "a")
    engine.deploy(cycle.flow("again", "end", "= stop").xml())
    view = engine.instance(engine.start("p"))
    assert [incident.code for incident in view.incidents] == ["too-many-steps"]


def test_a_sequential_loop_over_scripts_needs_no_stack(engine, model, loop):
    over = loop("= items", "item", "results", "= square", sequential=True)
    engine.deploy(
        model().start().script("s", "= item * item", "square", over).end().path("start", "s", "end").xml()
    )
    view = engine.instance(engine.start("p", {"items": list(range(900))}))
    assert view.state == "COMPLETED"
    assert view.variables["results"] == [item * item for item in range(900)]


def test_a_long_compensation_by_scripts_needs_no_stack(engine, model):
    undoing = model().start().job("do").script("undo", '= "x"', "undone").exclusive("more", default="more-do")
    undoing._parts[-2] = undoing._parts[-2].replace('id="undo"', 'id="undo" isForCompensation="true"')
    undoing.undo("do", "undo").throw("revert", compensate="").end()
    undoing.path("start", "do", "more").flow("more", "do").flow("more", "revert", "= count = 0")
    engine.deploy(undoing.path("revert", "end").xml())
    left = [400]

    def do(_):
        left[0] -= 1
        return {"count": left[0]}

    engine.on_job("do", do)
    view = engine.instance(engine.start("p"))
    assert view.state == "COMPLETED"
    assert view.path.count("undo") == 400


def test_nested_parallel_loops_are_bounded_in_one_command(engine, model, loop):
    inner = model().start("i").job("j", loop=loop("= items")).end("o").path("i", "j", "o")
    outer = model().start().sub("s", inner, loop("= items")).end().path("start", "s", "end")
    engine.deploy(outer.xml())
    engine.start("p", {"items": list(range(300))})
    assert len(all_events(engine)) < 20 * decision.STEPS_MAX


def test_a_fan_out_of_flows_is_bounded_in_one_command(engine, model):
    wide = model().start().parallel("split").node("task", "again").end()
    wide.path("start", "again", "split")
    for number in range(60):
        wide.node("task", f"t{number}").flow("split", f"t{number}").flow(f"t{number}", "again")
    wide.flow("split", "end")
    engine.deploy(wide.xml())
    engine.start("p")
    assert len(all_events(engine)) < 20 * decision.STEPS_MAX


def test_signals_that_throw_signals_are_bounded_in_one_command(engine, model):
    echo = (
        model().start("e", interrupting=False, signal="s").throw("t", signal="s").end("o").path("e", "t", "o")
    )
    ringing = model().start().job("a").end().sub("echo", echo, by_event=True).path("start", "a", "end")
    engine.deploy(ringing.xml())
    for _ in range(RECEIVERS):
        engine.start("p")
    before = len(engine.entries)
    engine.execute(BroadcastSignal(tenant="default", name="s", variables={}))
    caused = [decode_entry(raw) for raw in engine.entries[before:]]
    assert max(len(entry.events) for entry in caused) < 20 * decision.STEPS_MAX
    assert len(caused) <= RECEIVERS  # a receiver, a command
    assert not list(engine.state.broadcasts())
    assert {one.code for one in engine.state.incidents()} == {"too-many-steps"}


def test_signals_to_many_that_throw_signals_to_many_come_to_an_end(engine, model):
    echo = (
        model().start("e", interrupting=False, signal="s").throw("t", signal="s").end("o").path("e", "t", "o")
    )
    ringing = model().start().job("a").end().sub("echo", echo, by_event=True).path("start", "a", "end")
    engine.deploy(ringing.xml())
    count = broadcasts.RECEIVERS_INSIDE_MAX + 1
    for _ in range(count):
        engine.start("p")
    engine.execute(BroadcastSignal(tenant="default", name="s", variables={}))
    assert not list(engine.state.broadcasts())
    assert {one.code for one in engine.state.incidents()} == {"signals-too-deep"}
    thrown = [one for one in all_events(engine) if isinstance(one, SignalBroadcast)]
    assert len(thrown) == count + 1


def test_the_output_collection_is_as_bounded_as_any_variable(engine, model, loop):
    over = loop("= items", "item", "results", "= text")
    engine.deploy(model().start().job("a", loop=over).end().path("start", "a", "end").xml())
    engine.on_job("a", lambda _: {"text": "x" * 60_000})
    view = engine.instance(engine.start("p", {"items": list(range(100))}))
    assert {incident.code for incident in view.incidents} == {"variables-too-large"}
    assert len(msgspec.msgpack.encode(engine.state.document(view.key))) < 2 * INSTANCE_UNITS_MAX


# --- what was sent before it was waited for


def early(model):
    """Return a process whose sub-process has a job, and an interrupting event sub-process for a message."""
    inside = model().start("e", message="stop").job("clean").end("o").path("e", "clean", "o")
    around = (
        model().start("i").job("work").end("w").path("i", "work", "w").sub("catch", inside, by_event=True)
    )
    return model().start().sub("s", around).end().path("start", "s", "end")


def test_an_early_message_for_an_event_sub_process_keeps_the_flow_from_beginning(engine, model):
    engine.deploy(early(model).xml())
    engine.publish("stop", "k", ttl=10)
    engine.start("p", {"key": "k"})
    assert jobs_of(engine).keys() == {"clean"}


def test_an_early_message_for_an_event_sub_process_of_the_process_too(engine, model):
    inside = model().start("e", message="stop").job("clean").end("o").path("e", "clean", "o")
    whole = model().start().job("work").end().path("start", "work", "end").sub("catch", inside, by_event=True)
    engine.deploy(whole.xml())
    engine.publish("stop", "k", ttl=10)
    engine.start("p", {"key": "k"})
    assert jobs_of(engine).keys() == {"clean"}


def test_all_early_messages_reach_an_event_that_does_not_interrupt(engine, model):
    task = (
        model().start().job("a").boundary("note", "a", interrupting=False, message="note").end().end("noted")
    )
    engine.deploy(task.path("start", "a", "end").path("note", "noted").xml())
    for _ in range(3):
        engine.publish("note", "k", ttl=10)
    view = engine.instance(engine.start("p", {"key": "k"}))
    assert view.path.count("note") == 3
    assert engine.state.counts().messages == 0


# --- what an operator does


def test_modification_into_a_sub_process_that_a_kept_message_ends_at_once(engine, model):
    inside = model().start("i").job("work").job("more").end("w").path("i", "work", "more", "w")
    around = (
        model().start().job("first").sub("s", inside).boundary("stop", "s", message="stop").end().end("x")
    )
    engine.deploy(around.path("start", "first", "s", "end").path("stop", "x").xml())
    key = engine.start("p", {"key": "k"})
    engine.publish("stop", "k", ttl=10)
    reply = engine.modify(key, (Activation(element="work"), Activation(element="more")))
    assert isinstance(reply, Accepted)
    assert "first" in engine.instance(key).waiting_at


def test_modification_of_a_called_instance_that_ends_on_the_way(engine, model):
    called = model("called").start().job("a").job("b").end("bad", error="E").end("e")
    engine.deploy(
        called.exclusive("x", default="x-e").path("start", "a", "b", "x", "e").flow("x", "bad", "= bad").xml()
    )
    caller = model().start().call("c", "called").boundary("caught", "c", error="E").job("after").end()
    engine.deploy(caller.path("start", "c", "end").path("caught", "after", "end").xml())
    engine.start("p")
    child = next(engine.state.jobs()).instance
    engine.modify(child, (Activation(element="bad"), Activation(element="b")))
    assert engine.instance(child).state == "TERMINATED"
    assert jobs_of(engine).keys() == {"after"}


def test_an_item_of_a_loop_that_is_interrupted_by_hand_leaves_no_loop_that_never_ends(engine, model, loop):
    engine.deploy(model().start().job("a", loop=loop("= [1]")).end().path("start", "a", "end").xml())
    key = engine.start("p")
    item = next(at for at, one in engine.state.document(key).elements.items() if one.index)
    assert engine.modify(key, terminate=(item,)).code == "element-in-loop"


def test_a_start_that_failed_is_done_again_at_the_start_event_that_it_began_with(engine, model):
    inside = model().start("e", interrupting=False, timer="= wait").end("o").path("e", "o")
    whole = model().start("m", message="go", key="").job("a").end().path("m", "a", "end")
    engine.deploy(whole.sub("late", inside, by_event=True).xml())
    engine.execute(
        CorrelateMessage(callback=Callback(tenant="default", name="go", correlation_key="k", variables={}))
    )
    (incident,) = engine.state.incidents()
    engine.resolve_incident(incident.key, {"wait": "PT5S"})
    assert jobs_of(engine).keys() == {"a"}
    assert engine.state.counts().timers == 1


def versions(engine, first, second):
    old = engine.deploy(first.xml())
    key = engine.start("p", {"key": "k"})
    return key, old, engine.deploy(second.xml())


def test_migration_keeps_tokens_that_wait_at_a_join(engine, model):
    def forked(prefix):
        whole = model().start().parallel("fork").job("a").job("b").parallel("join").job(prefix).end()
        whole.path("start", "fork").flow("fork", "a").flow("fork", "b")
        for name in ("a", "b"):
            inner = {"sourceRef": name, "targetRef": "join"}
            whole.node("sequenceFlow", f"{prefix}-{name}", **inner)
        return whole.path("join", prefix, "end")

    old = engine.deploy(forked("one").xml())
    key = engine.start("p")
    engine.execute(CompleteJob(job=jobs_of(engine)["a"], variables={}))
    new = engine.deploy(forked("two").xml())
    reply = engine.migrate(key, new.version)
    assert isinstance(reply, Rejected), (old, new)
    assert reply.code == "migration-impossible"


def test_migration_refuses_events_that_are_no_longer_behind_their_gateway(engine, model):
    gate = model().start().events("g").catch("yes", message="yes").catch("late", timer="PT5S").end()
    gate.path("start", "g", "yes", "end").path("g", "late", "end")
    other = model().start().events("g").catch("no", message="no").catch("late", timer="PT5S").end()
    other.parallel("f").catch("yes", message="yes").path("start", "f", "g", "no", "end").path(
        "g", "late", "end"
    )
    key, _, new = versions(engine, gate, other.path("f", "yes", "end"))
    reply = engine.migrate(key, new.version)
    assert isinstance(reply, Rejected)
    engine.publish("yes", "k")
    assert engine.instance(key).state == "COMPLETED"


def test_migration_refuses_a_loop_of_the_other_order(engine, model, loop):
    def looped(*, sequential):
        return (
            model()
            .start()
            .job("a", loop=loop("= [1, 2]", sequential=sequential))
            .end()
            .path("start", "a", "end")
        )

    key, _, new = versions(engine, looped(sequential=True), looped(sequential=False))
    assert isinstance(engine.migrate(key, new.version), Rejected)


@pytest.mark.parametrize("mapping", [{"\ud800": "a"}, {"a": "\ud800"}, {"x" * 600: "y"}])
def test_a_mapping_that_cannot_be_logged_is_refused(engine, model, mapping):
    first = model().start().job("a").end().path("start", "a", "end")
    key, _, new = versions(engine, first, model().start().job("a").end("done").path("start", "a", "done"))
    reply = engine.execute(MigrateInstance(instance=key, version=new.version, mapping=mapping))
    assert isinstance(reply, Rejected)


# --- compensation


def undoable(model, name="do", undo="undo"):
    return model().job(name).job(undo, isForCompensation="true").undo(name, undo)


def test_an_event_sub_process_compensates_what_the_scope_around_it_has_completed(engine, model):
    inside = model().start("e", error="").end("revert", compensate="").path("e", "revert")
    whole = undoable(model).start().job("fail").end().path("start", "do", "fail", "end")
    engine.deploy(whole.sub("on-error", inside, by_event=True).xml())
    engine.on_job("do", lambda _: {})
    key = engine.start("p")
    engine.execute(ThrowJobError(job=jobs_of(engine)["fail"], code="x", description="", variables={}))
    assert jobs_of(engine).keys() == {"undo"}
    engine.on_job("undo", lambda _: {})
    assert engine.instance(key).state == "COMPLETED"


def test_what_was_completed_inside_the_items_of_a_loop_can_be_undone(engine, model, loop):
    inside = undoable(model).start("i").end("o").path("i", "do", "o")
    whole = model().start().sub("s", inside, loop("= [1, 2]", "item")).throw("revert", compensate="").end()
    engine.deploy(whole.path("start", "s", "revert", "end").xml())
    engine.on_job("do", lambda _: {})
    undone = []
    engine.on_job("undo", lambda variables: undone.append(variables["item"]))
    assert engine.instance(engine.start("p")).state == "COMPLETED"
    assert undone == [2, 1]


def test_a_handler_that_is_interrupted_at_its_boundary_does_not_hold_the_compensation_up(engine, model):
    whole = undoable(model).boundary("gave-up", "undo", error="gave-up").end("noted").start()
    whole.throw("revert", compensate="").end().path("start", "do", "revert", "end").path("gave-up", "noted")
    engine.deploy(whole.xml())
    engine.on_job("do", lambda _: {})
    key = engine.start("p")
    engine.execute(ThrowJobError(job=jobs_of(engine)["undo"], code="gave-up", description="", variables={}))
    assert engine.instance(key).state == "COMPLETED"


def test_a_loop_as_handler_runs_for_each_item(engine, model, loop):
    whole = model().start().job("do").job("undo", loop=loop("= [1, 2, 3]", "item"), isForCompensation="true")
    whole.undo("do", "undo").throw("revert", compensate="").end().path("start", "do", "revert", "end")
    engine.deploy(whole.xml())
    engine.on_job("do", lambda _: {})
    undone = []
    engine.on_job("undo", lambda variables: undone.append(variables["item"]))
    assert engine.instance(engine.start("p")).state == "COMPLETED"
    assert undone == [1, 2, 3]


def test_a_cancellation_in_the_middle_of_a_compensation_undoes_the_rest(engine, model):
    whole = undoable(model, "one", "undo-one").start()
    whole.job("two").job("undo-two", isForCompensation="true").undo("two", "undo-two")
    whole.throw("revert", compensate="").end().path("start", "one", "two", "revert", "end")
    engine.deploy(whole.xml())
    for name in ("one", "two"):
        engine.on_job(name, lambda _: {})
    key = engine.start("p")
    assert jobs_of(engine).keys() == {"undo-two"}
    engine.cancel(key, compensate=True)
    undone = []
    for name in ("undo-two", "undo-one"):
        engine.on_job(name, lambda _, name=name: undone.append(name))
    assert undone == ["undo-two", "undo-one"]
    assert engine.instance(key).state == "TERMINATED"


def test_an_error_during_a_cancellation_is_caught_and_the_cancellation_goes_on(engine, model):
    inside = model().start("e", error="").job("clean").end("o").path("e", "clean", "o")
    whole = undoable(model, "one", "undo-one").start()
    whole.job("two").job("undo-two", isForCompensation="true").undo("two", "undo-two")
    whole.job("wait").end().path("start", "one", "two", "wait", "end").sub("on-error", inside, by_event=True)
    engine.deploy(whole.xml())
    for name in ("one", "two"):
        engine.on_job(name, lambda _: {})
    key = engine.start("p")
    engine.cancel(key, compensate=True)
    engine.execute(ThrowJobError(job=jobs_of(engine)["undo-two"], code="x", description="", variables={}))
    done = []
    for name in ("clean", "undo-two", "undo-one"):
        engine.on_job(name, lambda _, name=name: done.append(name))
    for incident in engine.instance(key).incidents:
        engine.resolve_incident(incident.key)
    assert engine.instance(key).state == "TERMINATED"
    assert "undo-one" in done
    assert CompensationHandled in {type(event) for event in all_events(engine)}


# --- state


def test_an_instance_that_ended_and_was_forgotten_between_two_writes_stays_forgotten(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    key = engine.start("p", payment="tx")
    assert engine.store.get(b"r" + key.to_bytes(8, "big")) is not None
    engine.execute(CompleteJob(job=next(engine.state.jobs()).key, variables={}))
    engine.advance(1)
    assert engine.execute(ForgetInstances(ended_before_ms=engine.now_ms)).key == 1
    assert engine.state.instance(key) is None
    assert State(engine.store).instance(key) is None
    assert State(engine.store).counts().instances == 0
    assert engine.start("p", payment="tx") != key


def test_an_id_that_is_taken_again_after_its_time_is_not_forgotten_with_its_first_time(engine):
    def send(message_id):
        message = Callback(
            tenant="default",
            name="n",
            correlation_key="k",
            variables={},
            message_id=message_id,
            ttl_ms=60_000,
        )
        return engine.execute(CorrelateMessage(callback=message))

    for number in range(12):
        send(f"m{number}")
    engine.advance(61)
    again = send("m11")
    assert not again.duplicate
    for number in range(100, 103):
        send(f"m{number}")
    assert send("m11").duplicate


def test_consumed_messages_leave_nothing_in_memory(engine, model):
    engine.deploy(model().start().receive("r", "answer").end().path("start", "r", "end").xml())
    for number in range(1000):
        engine.publish("answer", f"k{number}", ttl=86_400)
        engine.start("p", {"key": f"k{number}"})
    assert len(engine.state.index._expiring) < 200


def test_a_connector_that_changes_what_it_was_given_changes_nothing(engine, model):
    engine.deploy(model().start().job("a").job("b").end().path("start", "a", "b", "end").xml())

    def meddle(variables):
        variables["list"].append(2)
        variables["map"]["inner"]["x"] = 9

    engine.on_job("a", meddle)
    key = engine.start("p", {"list": [1], "map": {"inner": {}}})
    assert engine.instance(key).variables == {"list": [1], "map": {"inner": {}}}


def test_the_caller_keeps_its_own_variables(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    given = {"list": [1], "flat": 1}
    key = engine.start("p", given)
    given["list"].append(2)
    given["flat"] = 2
    assert engine.instance(key).variables == {"list": [1], "flat": 1}


def test_a_variable_cannot_grow_without_end_over_many_commands(engine, model):
    engine.deploy(
        model()
        .start()
        .job("a")
        .exclusive("x", default="x-a")
        .end()
        .path("start", "a", "x")
        .flow("x", "a")
        .flow("x", "end", "= stop")
        .xml()
    )
    key = engine.start("p")
    for number in range(20):
        jobs = jobs_of(engine)
        if not jobs:
            break
        engine.execute(CompleteJob(job=jobs["a"], variables={f"v{number}": "x" * (VARIABLES_UNITS_MAX // 2)}))
    size = len(msgspec.msgpack.encode(engine.state.document(key).variables))
    assert size < 4 * VARIABLES_UNITS_MAX
