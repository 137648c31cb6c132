"""Errors, escalations, signals, links, compensation: what is thrown and who catches it."""

import pytest

from payhub_engines.core.commands import CompleteJob, ThrowJobError
from payhub_engines.core.events import EscalationThrown, SignalBroadcast, decode_entry


def jobs_of(engine):
    return {job.element: job.key for job in engine.state.jobs()}


def logged(engine, kind):
    return [one for raw in engine.entries for one in decode_entry(raw).events if isinstance(one, kind)]


def in_sub(model, inner, **catches):
    """Put a part into sub-process ``s`` with a boundary event for each code, and an end named like it."""
    whole = model().start().sub("s", inner).end().path("start", "s", "end")
    for name, (kind, code, interrupting) in catches.items():
        whole.boundary(name, "s", interrupting=interrupting, **{kind: code}).end(f"{name}-end")
        whole.path(name, f"{name}-end")
    return whole


def throwing(model, **thrown):
    return model().start("i").end("bang", **thrown).path("i", "bang")


def test_an_error_goes_to_the_exact_code_before_the_one_for_all(engine, model):
    inner = throwing(model, error="E")
    whole = in_sub(
        model, inner, other=("error", "F", True), every=("error", "", True), exact=("error", "E", True)
    )
    engine.deploy(whole.xml())
    assert engine.instance(engine.start("p")).path[-2:] == ["exact", "exact-end"]


def test_an_error_goes_to_the_nearest_scope_that_catches_it(engine, model):
    middle = in_sub(model, throwing(model, error="E"), near=("error", "F", True))
    renamed = model().start("i0").end("o0")
    renamed._declared += middle._declared
    inner = throwing(model, error="E")
    renamed.sub("s2", inner).boundary("near", "s2", error="E").end("near-end").path("i0", "s2", "o0").path(
        "near", "near-end"
    )
    engine.deploy(in_sub(model, renamed, far=("error", "E", True)).xml())
    view = engine.instance(engine.start("p"))
    assert view.path == ["start", "s", "i0", "s2", "i", "bang", "near", "near-end", "end"]


def test_an_error_that_nothing_catches_waits_for_an_operator(engine, model):
    engine.deploy(in_sub(model, throwing(model, error="E"), other=("error", "F", True)).xml())
    view = engine.instance(engine.start("p"))
    assert [(one.code, one.element) for one in view.incidents] == [("unhandled-error", "bang")]
    engine.cancel(view.key)
    assert engine.state.counts().incidents == 0


def test_an_unhandled_job_error_gets_a_new_job_after_the_incident(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    key = engine.start("p")
    first = jobs_of(engine)["a"]
    engine.execute(ThrowJobError(job=first, code="E", description="why", variables={"x": 1}))
    (incident,) = engine.instance(key).incidents
    assert incident.message == "E: why"
    engine.resolve_incident(incident.key, {"y": 2})
    (job,) = engine.state.jobs()
    assert job.key != first
    assert engine.state.job_variables(job) == {"x": 1, "y": 2}


def escalating(model):
    return model().start("i").throw("rise", escalation="U").job("a").end("o").path("i", "rise", "a", "o")


def test_an_escalation_that_does_not_interrupt_lets_its_thrower_go_on(engine, model):
    engine.deploy(in_sub(model, escalating(model), told=("escalation", "U", False)).xml())
    view = engine.instance(engine.start("p"))
    assert "told-end" in view.path
    assert jobs_of(engine).keys() == {"a"}


def test_an_escalation_that_interrupts_ends_its_thrower(engine, model):
    engine.deploy(in_sub(model, escalating(model), told=("escalation", "", True)).xml())
    view = engine.instance(engine.start("p"))
    assert (view.state, view.path[-2:]) == ("COMPLETED", ["told", "told-end"])


def test_an_escalation_that_nobody_catches_is_told_and_forgotten(engine, model):
    engine.deploy(in_sub(model, escalating(model), told=("escalation", "V", True)).xml())
    engine.start("p")
    assert [(one.code, one.caught_by) for one in logged(engine, EscalationThrown)] == [("U", "")]
    assert jobs_of(engine).keys() == {"a"}


@pytest.mark.parametrize("interrupting", [True, False])
def test_an_escalation_end_event_reaches_the_caller_of_a_called_process(engine, model, interrupting):
    engine.deploy(model("called").start().end("up", escalation="U").path("start", "up").xml())
    whole = model().start().call("c", "called").boundary("b", "c", interrupting=interrupting, escalation="U")
    engine.deploy(whole.end().end("told").path("start", "c", "end").path("b", "told").xml())
    view = engine.instance(engine.start("p"))
    assert view.state == "COMPLETED"
    assert ("end" in view.path) is not interrupting
    assert "told" in view.path


def listening(model, name):
    whole = model(name).start().catch("c", signal="bell").end().path("start", "c", "end")
    return whole.xml()


def test_a_signal_reaches_all_instances_of_its_tenant_and_no_other(engine, model):
    engine.deploy(listening(model, "p"))
    engine.deploy(listening(model, "q"))
    mine = [engine.start(process, tenant="lion") for process in ("p", "p", "q")]
    other = engine.start("p", tenant="rhino")
    assert engine.signal("bell", {"x": 1}, tenant="lion").key == 3
    assert [engine.instance(key).state for key in mine] == ["COMPLETED"] * 3
    assert engine.instance(mine[2]).variables == {"x": 1}
    assert engine.instance(other).state == "ACTIVE"


def test_a_thrown_signal_reaches_other_instances_and_its_own(engine, model):
    engine.deploy(listening(model, "p"))
    key = engine.start("p", tenant="lion")
    stranger = engine.start("p", tenant="rhino")
    whole = (
        model("thrower")
        .start()
        .parallel("f")
        .catch("own", signal="bell")
        .job("a")
        .throw("ring", signal="bell")
    )
    engine.deploy(whole.end().path("start", "f", "own", "end").path("f", "a", "ring", "end").xml())
    thrower = engine.start("thrower", tenant="lion")
    engine.execute(CompleteJob(job=jobs_of(engine)["a"], variables={}))
    assert [engine.instance(one).state for one in (key, thrower)] == ["COMPLETED"] * 2
    assert engine.instance(stranger).state == "ACTIVE"
    assert [(one.reached, one.instance) for one in logged(engine, SignalBroadcast)] == [(2, thrower)]


def test_a_signal_is_not_kept_for_those_who_listen_later(engine, model):
    engine.deploy(listening(model, "p"))
    assert engine.signal("bell").key == 0
    assert engine.instance(engine.start("p")).state == "ACTIVE"


def test_a_signal_starts_processes_for_its_tenant(engine, model):
    engine.deploy(model("s").start("rung", signal="bell").job("a").end().path("rung", "a", "end").xml())
    engine.signal("bell", {"x": 1}, tenant="lion")
    (job,) = engine.state.jobs()
    assert (job.tenant, engine.state.job_variables(job)) == ("lion", {"x": 1})


def test_a_signal_at_boundaries_and_behind_an_event_gateway(engine, model):
    whole = model().start().job("a").boundary("note", "a", interrupting=False, signal="bell").end("noted")
    whole.events("g").catch("heard", signal="gong").catch("late", timer="PT5S").end().end("l")
    engine.deploy(
        whole.path("start", "a", "g", "heard", "end").path("g", "late", "l").path("note", "noted").xml()
    )
    key = engine.start("p")
    engine.signal("bell")
    engine.signal("bell")
    engine.execute(CompleteJob(job=jobs_of(engine)["a"], variables={}))
    engine.signal("gong")
    view = engine.instance(key)
    assert (view.state, view.path.count("note"), view.path[-1]) == ("COMPLETED", 2, "end")
    assert engine.state.counts().subscriptions == engine.state.counts().timers == 0


def test_a_link_is_a_flow(engine, model):
    whole = model().start().throw("go", link="there").catch("come", link="there").end()
    engine.deploy(whole.path("start", "go").path("come", "end").xml())
    assert engine.instance(engine.start("p")).path == ["start", "go", "come", "end"]


# --- compensation


def undoable(whole, *names):
    for name in names:
        whole.job(name).job(f"undo-{name}", isForCompensation="true").undo(name, f"undo-{name}")
    return whole


@pytest.fixture
def done(engine):
    order = []

    def note(name):
        def work(_):
            order.append(name)

        engine.on_job(name, work)

    for name in ("a", "b", "c", "undo-a", "undo-b", "undo-c"):
        note(name)
    return order


def test_compensation_undoes_what_was_completed_the_last_first(engine, model, done):
    whole = undoable(model().start(), "a", "b").throw("revert", compensate="").end()
    engine.deploy(whole.path("start", "a", "b", "revert", "end").xml())
    assert engine.instance(engine.start("p")).state == "COMPLETED"
    assert done == ["a", "b", "undo-b", "undo-a"]


def test_compensation_of_one_activity_and_each_once(engine, model, done):
    whole = undoable(model().start(), "a", "b").throw("one", compensate="a").end("all", compensate="")
    engine.deploy(whole.path("start", "a", "b", "one", "all").xml())
    engine.start("p")
    assert done == ["a", "b", "undo-a", "undo-b"]


def test_what_was_not_completed_is_not_undone(engine, model, done):
    whole = undoable(model().start(), "a", "b").parallel("f").throw("revert", compensate="").job("wait").end()
    whole.path("start", "a", "f", "revert", "end").path("f", "wait", "b", "end")
    engine.deploy(whole.xml())
    key = engine.start("p")
    assert done == ["a", "undo-a"]
    engine.cancel(key)


def test_what_a_completed_sub_process_did_is_undone_with_the_variables_it_had(engine, model):
    inner = undoable(model().start("i"), "a").end("o").path("i", "a", "o")
    whole = model().start().sub("s", inner, inputs={"x": "= 7"}).throw("revert", compensate="s").end()
    engine.deploy(whole.path("start", "s", "revert", "end").xml())
    engine.on_job("a", lambda _: {"x": 8})
    seen = []
    engine.on_job("undo-a", lambda variables: seen.append(variables["x"]))
    assert engine.instance(engine.start("p", {"x": 0})).state == "COMPLETED"
    assert seen == [8]


def test_a_sub_process_with_a_handler_of_its_own_is_undone_by_it_alone(engine, model, done):
    inner = undoable(model().start("i"), "a").end("o").path("i", "a", "o")
    whole = model().start().sub("s", inner).job("undo-b", isForCompensation="true").undo("s", "undo-b")
    engine.deploy(whole.throw("revert", compensate="").end().path("start", "s", "revert", "end").xml())
    engine.start("p")
    assert done == ["a", "undo-b"]


def test_a_cancellation_with_compensation_undoes_also_what_open_scopes_have_done(engine, model, done):
    inner = undoable(model().start("i"), "b").job("wait").end("o").path("i", "b", "wait", "o")
    whole = undoable(model().start(), "a").sub("s", inner).end().path("start", "a", "s", "end")
    engine.deploy(whole.xml())
    key = engine.start("p")
    engine.cancel(key, compensate=True)
    assert done == ["a", "b", "undo-b", "undo-a"]
    assert engine.instance(key).state == "TERMINATED"


def test_a_cancellation_without_compensation_undoes_nothing(engine, model, done):
    whole = undoable(model().start(), "a").job("wait").end().path("start", "a", "wait", "end")
    engine.deploy(whole.xml())
    key = engine.start("p")
    engine.cancel(key)
    assert (done, engine.instance(key).state) == (["a"], "TERMINATED")
    assert engine.cancel(key).code == "instance-not-running"


def test_a_handler_that_fails_holds_its_compensation_until_an_operator_helps(engine, model):
    whole = undoable(model().start(), "a", "b").throw("revert", compensate="").end()
    engine.deploy(whole.path("start", "a", "b", "revert", "end").xml())
    for name in ("a", "b"):
        engine.on_job(name, lambda _: {})
    key = engine.start("p")
    engine.execute(ThrowJobError(job=jobs_of(engine)["undo-b"], code="E", description="", variables={}))
    (incident,) = engine.instance(key).incidents
    for name in ("undo-a", "undo-b"):
        engine.on_job(name, lambda _: {})
    assert engine.instance(key).state == "ACTIVE"
    engine.resolve_incident(incident.key)
    assert engine.instance(key).state == "COMPLETED"
