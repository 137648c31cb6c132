"""What operators do: incidents, modification, migration, forgetting; and how processes start and change."""

import pytest

from payhub_engines.core import operator
from payhub_engines.core.commands import (
    Activation,
    CompleteJob,
    CorrelateMessage,
    DeployProcess,
    FailJob,
    ForgetInstances,
    FoundEngine,
    StartInstance,
)
from payhub_engines.core.processor import Accepted, Rejected
from payhub_platform.contracts.handover import Callback


def jobs_of(engine):
    return {job.element: job.key for job in engine.state.jobs()}


def complete(engine, element, **variables):
    engine.execute(CompleteJob(job=jobs_of(engine)[element], variables=variables))


def only_incident(engine):
    (incident,) = engine.state.incidents()
    return incident


def line(model, process="p"):
    return model(process).start().job("a").end().path("start", "a", "end")


@pytest.mark.parametrize(
    ("build", "variables"),
    [
        (lambda m: m().start().job("t", inputs={"y": "= assert(x, x != null)"}), {"x": 1}),
        (lambda m: m().start().script("t", "= assert(x, x != null)", "y"), {"x": 1}),
        (lambda m: m().start().catch("t", timer="= x"), {"x": "PT1S"}),
        (lambda m: m().start().receive("t", "m", key="= x"), {"x": "k"}),
        (lambda m: m().start().throw("t", signal="s", outputs={"y": "= assert(x, x != null)"}), {"x": 1}),
        (
            lambda m: m().start().job("t").boundary("b", "t", timer="= x").end("b-end").flow("b", "b-end"),
            {"x": "PT1S"},
        ),
        (lambda m: m().start().call("t", "= x"), {"x": "other"}),
    ],
)
def test_a_step_that_failed_is_done_again_with_the_variables_that_were_wrong(engine, model, build, variables):
    engine.deploy(line(model, "other").xml())
    engine.deploy(build(model).end().path("start", "t", "end").xml())
    engine.on_job("t", lambda _: {})
    engine.on_job("a", lambda _: {})
    key = engine.start("p")
    incident = only_incident(engine)
    assert incident.element == "t"
    engine.resolve_incident(incident.key)  # nothing has changed: it fails again
    again = only_incident(engine)
    assert again.key != incident.key
    engine.resolve_incident(again.key, variables)
    engine.publish("m", "k")
    engine.advance(2)
    assert engine.instance(key).state == "COMPLETED"


def test_a_gateway_without_a_way_is_asked_again(engine, model):
    gate = model().start().exclusive("x").end("a").end("b").flow("start", "x")
    engine.deploy(gate.flow("x", "a", "= v = 1").flow("x", "b", "= v = 2").xml())
    key = engine.start("p")
    engine.resolve_incident(only_incident(engine).key, {"v": 2})
    assert engine.instance(key).path[-1] == "b"


def test_a_failed_job_gets_the_retries_that_the_operator_gives(engine, model):
    engine.deploy(line(model).xml())
    engine.start("p")
    for _ in range(3):
        engine.execute(FailJob(job=jobs_of(engine)["a"], message="down", retry_after_ms=0))
    incident = only_incident(engine).key
    for retries in (0, -1, operator.RETRIES_MAX + 1):
        assert engine.resolve_incident(incident, retries=retries).code == "invalid-retries"
    assert engine.resolve_incident(incident, {"x": object()}).code == "invalid-variables"
    assert list(engine.state.jobs()) == []
    engine.resolve_incident(incident, retries=5)
    assert next(engine.state.jobs()).retries_left == 5
    assert engine.resolve_incident(incident).code == "incident-not-found"


# --- modification


def test_a_modification_moves_a_token(engine, model):
    engine.deploy(model().start().job("a").job("b").end().path("start", "a", "b", "end").xml())
    key = engine.start("p")
    (old,) = (at for at in engine.state.document(key).elements if at)
    engine.modify(key, (Activation(element="b", variables={"x": 1}),), (old,))
    assert jobs_of(engine).keys() == {"b"}
    assert engine.state.job_variables(next(engine.state.jobs())) == {"x": 1}
    complete(engine, "b")
    assert engine.instance(key).state == "COMPLETED"


def test_a_modification_enters_the_scopes_around_what_it_activates(engine, model):
    inner = model().start("i").job("b").end("o").path("i", "b", "o")
    whole = model().start().job("a").sub("s", inner).boundary("t", "s", timer="PT5S").end().end("late")
    engine.deploy(whole.path("start", "a", "s", "end").path("t", "late").xml())
    key = engine.start("p")
    (old,) = (at for at in engine.state.document(key).elements if at)
    engine.modify(key, (Activation(element="b"), Activation(element="b")), (old,))
    assert engine.instance(key).waiting_at == ("s", "b", "b")
    assert engine.state.counts().timers == 1
    engine.on_job("b", lambda _: {})
    assert engine.instance(key).state == "COMPLETED"


def test_to_interrupt_the_last_element_ends_the_instance(engine, model):
    engine.deploy(line(model).xml())
    key = engine.start("p")
    (old,) = (at for at in engine.state.document(key).elements if at)
    engine.modify(key, terminate=(old,))
    assert engine.instance(key).state == "COMPLETED"
    assert engine.modify(key).code == "instance-not-running"


@pytest.mark.parametrize("element", ["nothing", "late", "handler", "e"])
def test_what_only_events_enter_is_not_activated_by_hand(engine, model, element):
    handler = model().start("e", message="m").end("o").path("e", "o")
    whole = (
        line(model)
        .boundary("late", "a", timer="PT5S")
        .flow("late", "end")
        .sub("handler", handler, by_event=True)
    )
    engine.deploy(whole.xml())
    key = engine.start("p", {"key": "k"})
    before = len(engine.entries)
    assert engine.modify(key, (Activation(element=element),)).code == "element-not-activatable"
    assert engine.modify(key, terminate=(0,)).code == "element-not-active"
    assert len(engine.entries) == before


# --- migration and versions


def test_a_running_instance_keeps_its_version_and_new_ones_take_the_newest(engine, model):
    engine.deploy(line(model).xml())
    old = engine.start("p")
    engine.deploy(model().start().job("b").end().path("start", "b", "end").xml())
    engine.start("p")
    assert jobs_of(engine).keys() == {"a", "b"}
    complete(engine, "a")
    assert engine.instance(old).state == "COMPLETED"


def test_the_same_file_is_a_duplicate_and_an_older_one_becomes_the_newest_again(engine, model):
    first, second = line(model).xml(), model().start().end().path("start", "end").xml()
    numbers = [engine.execute(DeployProcess(xml=xml)) for xml in (first, first, second, first)]
    assert numbers == [Accepted(1), Accepted(1, duplicate=True), Accepted(2), Accepted(3)]
    engine.start("p")
    assert jobs_of(engine).keys() == {"a"}


def test_a_faulty_file_is_refused_and_changes_nothing(engine, model):
    for xml in (b"", b"<a/>", line(model).job("lost").xml()):
        assert isinstance(engine.execute(DeployProcess(xml=xml)), Rejected)
    assert engine.entries == []


def test_a_migrated_instance_goes_on_in_the_new_version_with_what_it_waits_for(engine, model):
    def versioned(task, after):
        whole = model().start().job(task, job_type="t").boundary("late", task, timer="PT5S").end().job(after)
        return whole.path("start", task, after, "end").flow("late", after).xml()

    engine.deploy(versioned("a", "x"))
    key = engine.start("p")
    new = engine.deploy(versioned("b", "y"))
    assert engine.migrate(key, new.version).code == "migration-impossible"
    assert engine.migrate(key, "nothing", {"a": "b"}).code == "unknown-version"
    assert isinstance(engine.migrate(key, new.version, {"a": "b"}), Accepted)
    assert engine.instance(key).waiting_at == ("b",)
    engine.advance(5)
    assert jobs_of(engine).keys() == {"y"}


@pytest.mark.parametrize("other", ["receive", "sub", "boundary"])
def test_a_migration_to_another_kind_of_element_is_refused(engine, model, other):
    engine.deploy(line(model).boundary("late", "a", timer="PT5S").flow("late", "end").xml())
    key = engine.start("p", {"key": "k"})
    whole = model().start().end()
    if other == "receive":
        whole.receive("a", "m").boundary("late", "a", timer="PT5S").path("start", "a", "end").flow(
            "late", "end"
        )
    elif other == "sub":
        inner = model().start("i").job("a").boundary("late", "a", timer="PT5S").end("o").path("i", "a", "o")
        whole.sub("s", inner.flow("late", "o")).path("start", "s", "end")
    else:
        whole.job("a").job("b").boundary("late", "b", timer="PT5S").path("start", "a", "b", "end").flow(
            "late", "end"
        )
    new = engine.deploy(whole.xml())
    assert engine.migrate(key, new.version).code == "migration-impossible"
    complete(engine, "a")
    assert engine.instance(key).state == "COMPLETED"


# --- forgetting


def test_what_ended_long_ago_is_forgotten_and_its_key_is_free(engine, model):
    engine.deploy(line(model).xml())
    old = engine.start("p", payment="tx-1")
    complete(engine, "a")
    engine.advance(10)
    running = engine.start("p", payment="tx-2")
    young_at_ms = engine.now_ms
    young = engine.start("p", payment="tx-3")
    engine.execute(CompleteJob(job=max(jobs_of(engine).values()), variables={}))
    assert engine.execute(ForgetInstances(ended_before_ms=engine.now_ms + 1)).code == "invalid-time"
    assert engine.execute(ForgetInstances(ended_before_ms=young_at_ms)).key == 1
    assert engine.state.instance(old) is None
    assert [engine.instance(key).state for key in (running, young)] == ["ACTIVE", "COMPLETED"]
    assert engine.state.find_instance("default", "p", "tx-1") is None
    assert engine.start("p", payment="tx-1") > young


# --- starts


def test_a_timer_start_event_starts_as_often_as_it_says_and_the_newest_version_only(engine, model):
    def ticking(job):
        return model().start("tick", cycle="R2/PT10S").job(job).end().path("tick", job, "end").xml()

    engine.deploy(ticking("a"), tenant="lion")
    engine.advance(10)
    engine.deploy(ticking("b"), tenant="lion")
    engine.advance(100)
    started = [(job.element, job.tenant) for job in engine.state.jobs()]
    assert started == [("a", "lion"), ("b", "lion"), ("b", "lion")]
    assert engine.state.counts().timers == 0


def test_a_message_start_event_starts_one_instance_a_key(engine, model):
    engine.deploy(model().start("told", message="m", key="").job("a").end().path("told", "a", "end").xml())
    first = engine.publish("m", "k1", {"x": 1})
    assert engine.publish("m", "k1") == Accepted(first.key, duplicate=True)
    engine.publish("m", "k2")
    assert [job.payment for job in engine.state.jobs()] == ["k1", "k2"]
    refused = engine.execute(
        StartInstance(process="p", tenant="t", payment="x", fingerprint="", variables={})
    )
    assert refused.code == "no-start"


def test_a_message_id_takes_effect_once_while_it_lives(engine, model):
    engine.deploy(
        model().start().receive("r", "m").receive("s", "m").end().path("start", "r", "s", "end").xml()
    )
    key = engine.start("p", {"key": "k"}, tenant="lion")
    message = Callback(tenant="lion", name="m", correlation_key="k", variables={}, message_id="one")
    assert not engine.execute(CorrelateMessage(callback=message)).duplicate
    assert engine.execute(CorrelateMessage(callback=message)).duplicate
    assert engine.instance(key).waiting_at == ("s",)
    engine.advance(61)
    assert not engine.execute(CorrelateMessage(callback=message)).duplicate
    assert engine.instance(key).state == "COMPLETED"


def test_a_user_task_waits_for_ever(engine, model):
    engine.deploy(model().start().node("userTask", "u").end().path("start", "u", "end").xml())
    key = engine.start("p")
    engine.advance(10 * 366 * 86_400)
    assert engine.instance(key).waiting_at == ("u",)
    complete(engine, "u", approved=True)
    assert engine.instance(key).variables == {"approved": True}


def test_an_engine_is_founded_once(engine):
    assert engine.execute(FoundEngine(origin="north/1")) == Accepted(0)
    assert engine.execute(FoundEngine(origin="north/2")) == Accepted(0, duplicate=True)
    assert engine.state.origin == "north/1"
    assert isinstance(engine.execute(FoundEngine(origin="")), Accepted)
