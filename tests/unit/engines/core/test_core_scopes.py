"""Sub-processes, event sub-processes and called processes: scopes, variables, interruption, ends."""

import pytest

from payhub_engines.core.commands import CompleteJob, SetVariables, ThrowJobError
from payhub_engines.core.steps import CALL_DEPTH_MAX


def jobs_of(engine):
    return {job.element: job.key for job in engine.state.jobs()}


def complete(engine, element, **variables):
    engine.execute(CompleteJob(job=jobs_of(engine)[element], variables=variables))


def inside(model, *names):
    whole = model().start("in").end("out")
    for name in names:
        whole.job(name)
    return whole.path("in", *names, "out")


def test_a_sub_process_runs_its_own_flow_and_then_goes_on(engine, model):
    engine.deploy(model().start().sub("s", inside(model, "a")).end().path("start", "s", "end").xml())
    engine.on_job("a", lambda _: {"x": 1})
    view = engine.instance(engine.start("p"))
    assert (view.state, view.path) == ("COMPLETED", ["start", "s", "in", "a", "out", "end"])
    assert view.variables == {"x": 1}


def test_inputs_of_a_sub_process_are_its_own_variables_and_outputs_decide_what_leaves(engine, model):
    part = inside(model, "a")
    mapped = model().start().sub("s", part, inputs={"x": "= amount + 1"}, outputs={"result": "= x"}).end()
    engine.deploy(mapped.path("start", "s", "end").xml())
    seen = []

    def work(variables):
        seen.append(dict(variables))
        return {"x": 7, "other": 8}

    engine.on_job("a", work)
    view = engine.instance(engine.start("p", {"amount": 1}))
    assert seen == [{"amount": 1, "x": 2}]
    assert view.variables == {"amount": 1, "other": 8, "result": 7}


def test_results_go_to_the_nearest_scope_that_knows_the_name(engine, model):
    inner = model().start("i2").job("a").end("o2").path("i2", "a", "o2")
    outer = model().start("i1").sub("s2", inner, inputs={"x": "= 2"}).job("b").end("o1")
    outer.path("i1", "s2", "b", "o1")
    engine.deploy(
        model()
        .start()
        .sub("s1", outer, inputs={"x": "= 1", "y": "= 1"})
        .job("c")
        .end()
        .path("start", "s1", "c", "end")
        .xml()
    )
    seen = {}
    engine.on_job("a", lambda _: {"x": 20, "y": 10, "z": 30})
    engine.on_job("b", lambda variables: seen.update(b=dict(variables)))
    engine.on_job("c", lambda variables: seen.update(c=dict(variables)))
    engine.start("p", {"x": 0})
    assert seen == {"b": {"x": 1, "y": 10, "z": 30}, "c": {"x": 0, "z": 30}}


def test_an_operator_sets_variables_of_one_scope_only(engine, model):
    part = model().start().sub("s", inside(model, "a"), inputs={"x": "= 1"}).end().path("start", "s", "end")
    engine.deploy(part.xml())
    key = engine.start("p", {"x": 0})
    scope = next(at for at, one in engine.state.document(key).elements.items() if one.element == "s")
    engine.execute(SetVariables(instance=key, variables={"x": 5}, element_instance=scope))
    (job,) = engine.state.jobs()
    assert engine.state.job_variables(job) == {"x": 5}
    assert engine.instance(key).variables == {"x": 0}


def test_terminate_ends_its_own_scope_only(engine, model):
    part = model().start("in").parallel("f").job("a").job("b").end("o").end("stop", terminate=True)
    part.path("in", "f", "a", "stop").path("f", "b", "o")
    engine.deploy(model().start().sub("s", part).job("after").end().path("start", "s", "after", "end").xml())
    key = engine.start("p")
    complete(engine, "a")
    assert jobs_of(engine).keys() == {"after"}
    assert engine.instance(key).state == "ACTIVE"


def test_an_interrupting_boundary_event_ends_everything_inside(engine, model):
    part = model().start("in").parallel("f").job("a").catch("b", message="m").end("o")
    part.boundary("t", "a", interrupting=False, timer="PT9S").end("late")
    part.path("in", "f", "a", "o").path("f", "b", "o").path("t", "late")
    whole = model().start().sub("s", part).boundary("out", "s", timer="PT5S").end().end("timeout")
    engine.deploy(whole.path("start", "s", "end").path("out", "timeout").xml())
    view = engine.instance(engine.start("p", {"key": "k"}))
    engine.advance(5)
    counts = engine.state.counts()
    assert engine.instance(view.key).path[-2:] == ["out", "timeout"]
    assert (counts.jobs, counts.timers, counts.subscriptions, counts.instances) == (0, 0, 0, 0)


def guarded(model, interrupting=True, **trigger):
    handler = (
        model().start("e", interrupting=interrupting, **trigger).job("clean").end("o").path("e", "clean", "o")
    )
    part = inside(model, "work").sub("handler", handler, by_event=True)
    return model().start().sub("s", part).job("after").end().path("start", "s", "after", "end")


def fire(engine, kind):
    if kind == "message":
        engine.publish("m", "k", {"told": 1})
    elif kind == "signal":
        engine.signal("m", {"told": 1})
    elif kind == "timer":
        engine.advance(5)
    else:
        engine.execute(
            ThrowJobError(job=jobs_of(engine)["work"], code="m", description="", variables={"told": 1})
        )


TRIGGERS = {
    "message": {"message": "m"},
    "signal": {"signal": "m"},
    "timer": {"timer": "PT5S"},
    "error": {"error": "m"},
}


@pytest.mark.parametrize("kind", TRIGGERS)
def test_an_interrupting_event_sub_process_takes_the_place_of_its_scope(engine, model, kind):
    engine.deploy(guarded(model, **TRIGGERS[kind]).xml())
    key = engine.start("p", {"key": "k"})
    fire(engine, kind)
    assert jobs_of(engine).keys() == {"clean"}
    assert engine.state.counts().subscriptions == engine.state.counts().timers == 0
    complete(engine, "clean")
    complete(engine, "after")
    view = engine.instance(key)
    assert view.state == "COMPLETED"
    assert view.variables.get("told") == (None if kind == "timer" else 1)


@pytest.mark.parametrize("kind", ["message", "signal"])
def test_an_event_sub_process_that_does_not_interrupt_may_run_often(engine, model, kind):
    engine.deploy(guarded(model, interrupting=False, **TRIGGERS[kind]).xml())
    key = engine.start("p", {"key": "k"})
    for _ in range(3):
        fire(engine, kind)
    assert [job.element for job in engine.state.jobs()].count("clean") == 3
    complete(engine, "work")
    assert "after" not in jobs_of(engine)  # the scope ends when the last handler has
    engine.on_job("clean", lambda _: {})
    assert jobs_of(engine).keys() == {"after"}
    assert engine.state.counts().subscriptions == 0
    assert engine.instance(key).state == "ACTIVE"


def test_a_timer_cycle_of_an_event_sub_process_repeats_until_its_scope_ends(engine, model):
    engine.deploy(guarded(model, interrupting=False, cycle="R/PT10S").xml())
    key = engine.start("p")
    engine.on_job("clean", lambda _: {})
    engine.advance(35)
    assert engine.instance(key).path.count("clean") == 3
    complete(engine, "work")
    engine.advance(60)
    assert engine.instance(key).path.count("clean") == 3
    assert engine.state.counts().timers == 0


def test_a_boundary_cycle_repeats_as_often_as_it_says(engine, model):
    task = model().start().job("a").boundary("tick", "a", interrupting=False, cycle="R3/PT10S").end().end("t")
    engine.deploy(task.path("start", "a", "end").path("tick", "t").xml())
    key = engine.start("p")
    engine.advance(100)
    assert engine.instance(key).path.count("tick") == 3
    assert engine.state.counts().timers == 0
    complete(engine, "a")
    assert engine.instance(key).state == "COMPLETED"


def test_an_event_sub_process_of_the_process_sees_errors_from_deep_inside(engine, model):
    handler = model().start("e", error="").job("clean").end("o").path("e", "clean", "o")
    whole = model().start().sub("s", inside(model, "work")).end().sub("handler", handler, by_event=True)
    engine.deploy(whole.path("start", "s", "end").xml())
    key = engine.start("p")
    fire(engine, "error")
    assert engine.instance(key).waiting_at == ("handler", "clean")


def test_an_error_inside_an_event_sub_process_is_not_caught_by_its_neighbours(engine, model):
    handler = model().start("e", error="").job("clean").end("o").path("e", "clean", "o")
    part = inside(model, "work").sub("handler", handler, by_event=True)
    whole = model().start().sub("s", part).boundary("caught", "s", error="again").end().end("c")
    engine.deploy(whole.path("start", "s", "end").path("caught", "c").xml())
    key = engine.start("p")
    fire(engine, "error")
    engine.execute(ThrowJobError(job=jobs_of(engine)["clean"], code="again", description="", variables={}))
    assert engine.instance(key).path[-2:] == ["caught", "c"]


# --- called processes


def calling(model, engine, **propagation):
    outputs = propagation.pop("outputs", None)
    inputs = propagation.pop("inputs", None)
    engine.deploy(model("called").start().job("work").end().path("start", "work", "end").xml())
    caller = model().start().call("c", "called", inputs=inputs, outputs=outputs, **propagation)
    caller.boundary("failed", "c", error="no").end().end("f")
    engine.deploy(caller.path("start", "c", "end").path("failed", "f").xml())


def test_a_called_process_gets_and_gives_all_variables(engine, model):
    calling(model, engine)
    seen = []
    engine.on_job("work", lambda variables: seen.append(dict(variables)) or {"y": 2})
    view = engine.instance(engine.start("p", {"x": 1}))
    assert seen == [{"x": 1}]
    assert (view.state, view.variables) == ("COMPLETED", {"x": 1, "y": 2})


def test_what_passes_to_and_from_a_called_process_can_be_limited(engine, model):
    calling(
        model,
        engine,
        inputs={"only": "= x"},
        outputs={"result": "= y"},
        propagateAllParentVariables="false",
        propagateAllChildVariables="false",
    )
    seen = []
    engine.on_job("work", lambda variables: seen.append(dict(variables)) or {"y": 2, "z": 3})
    view = engine.instance(engine.start("p", {"x": 1}))
    assert seen == [{"only": 1}]
    assert view.variables == {"x": 1, "result": 2}


def test_a_called_instance_is_of_the_callers_tenant_and_payment_without_its_business_key(engine, model):
    calling(model, engine)
    key = engine.start("p", tenant="lion", payment="tx")
    (job,) = engine.state.jobs()
    child = engine.state.instance(job.instance)
    assert (child.tenant, child.payment, child.parent, job.tenant, job.payment) == (
        "lion",
        "tx",
        key,
        "lion",
        "tx",
    )
    assert engine.state.find_key("lion", "called", "tx") is None


def test_an_error_of_a_called_process_is_caught_by_its_caller(engine, model):
    calling(model, engine)
    key = engine.start("p")
    child = next(engine.state.jobs()).instance
    engine.execute(
        ThrowJobError(job=jobs_of(engine)["work"], code="no", description="", variables={"why": 1})
    )
    view = engine.instance(key)
    assert (view.state, view.path[-2:], view.variables) == ("COMPLETED", ["failed", "f"], {"why": 1})
    assert engine.instance(child).state == "TERMINATED"


def test_to_cancel_a_caller_ends_what_it_called_and_a_called_one_cannot_be_cancelled_alone(engine, model):
    calling(model, engine)
    key = engine.start("p")
    child = next(engine.state.jobs()).instance
    assert engine.cancel(child).code == "instance-called"
    engine.cancel(key)
    assert [engine.instance(one).state for one in (key, child)] == ["TERMINATED"] * 2
    assert engine.state.counts().jobs == engine.state.counts().instances == 0


def test_a_call_of_what_is_not_deployed_waits_for_an_operator(engine, model):
    engine.deploy(model().start().call("c", "= name").end().path("start", "c", "end").xml())
    key = engine.start("p", {"name": "called"})
    (incident,) = engine.instance(key).incidents
    assert incident.code == "unknown-process"
    engine.deploy(model("called").start().end().path("start", "end").xml())
    engine.resolve_incident(incident.key)
    assert engine.instance(key).state == "COMPLETED"


def test_calls_that_call_themselves_end_at_a_bound(engine, model):
    engine.deploy(model().start().call("c", "p").end().path("start", "c", "end").xml())
    key = engine.start("p")
    (incident,) = list(engine.state.incidents())
    assert incident.code == "calls-too-deep"
    assert engine.state.counts().instances == CALL_DEPTH_MAX + 1
    engine.cancel(key)
    assert engine.state.counts().instances == 0


def test_an_early_interruption_of_a_call_leaves_no_instance_behind(engine, model):
    engine.deploy(model("called").start().job("work").end().path("start", "work", "end").xml())
    caller = model().start().call("c", "called").boundary("stop", "c", message="stop").end().end("s")
    engine.deploy(caller.path("start", "c", "end").path("stop", "s").xml())
    engine.publish("stop", "k", ttl=10)
    assert engine.instance(engine.start("p", {"key": "k"})).path == ["start", "c", "stop", "s"]
    assert engine.state.counts().instances == 0
