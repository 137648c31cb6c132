"""Multi-instance elements."""

import pytest

from payhub_engines.core.commands import CompleteJob, FailJob
from payhub_engines.core.loops import ITEMS_MAX


def looping(model, characteristics):
    task = model().start().job("a", loop=characteristics).boundary("late", "a", timer="PT5S")
    return task.end().end("timeout").path("start", "a", "end").path("late", "timeout").xml()


def jobs(engine):
    return {engine.state.job_variables(job)["item"]: job.key for job in engine.state.jobs()}


def complete(engine, item, **variables):
    engine.execute(CompleteJob(job=jobs(engine)[item], variables=variables))


@pytest.mark.parametrize("sequential", [False, True])
def test_a_loop_does_its_task_for_each_item_and_collects_outputs_in_order(engine, model, loop, sequential):
    over = loop("= items", "item", "results", "= double", sequential=sequential)
    engine.deploy(looping(model, over))
    key = engine.start("p", {"items": [1, 2, 3]})
    assert len(jobs(engine)) == (1 if sequential else 3)
    order = [1, 2, 3] if sequential else [3, 1, 2]
    for item in order:
        complete(engine, item, double=2 * item)
    view = engine.instance(key)
    assert view.state == "COMPLETED"
    assert view.variables["results"] == [2, 4, 6]
    assert engine.state.counts().timers == 0


def test_each_item_sees_its_own_variables(engine, model, loop):
    engine.deploy(looping(model, loop("= items", "item")))
    engine.start("p", {"items": ["x", "y"], "item": "outside"})
    seen = [engine.state.job_variables(job) for job in engine.state.jobs()]
    assert [(one["item"], one["loopCounter"]) for one in seen] == [("x", 1), ("y", 2)]


@pytest.mark.parametrize("sequential", [False, True])
def test_a_completion_condition_ends_the_loop_early(engine, model, loop, sequential):
    until = "= numberOfCompletedInstances = 2 and results[1] = 5"
    over = loop("= items", "item", "results", "= x", until=until, sequential=sequential)
    engine.deploy(looping(model, over))
    key = engine.start("p", {"items": [1, 2, 3, 4]})
    complete(engine, 1, x=5)
    complete(engine, 2, x=6)
    view = engine.instance(key)
    assert (view.state, view.variables["results"]) == ("COMPLETED", [5, 6, None, None])
    assert engine.state.counts().jobs == 0


def test_a_loop_over_nothing_is_done_at_once(engine, model, loop):
    engine.deploy(looping(model, loop("= []", "item", "results", "= x")))
    view = engine.instance(engine.start("p"))
    assert (view.state, view.variables) == ("COMPLETED", {"results": []})


@pytest.mark.parametrize("items", [None, 5, {"x": 1}, list(range(ITEMS_MAX + 1))])
def test_a_collection_that_is_none_waits_for_an_operator(engine, model, loop, items):
    engine.deploy(looping(model, loop("= items", "item")))
    key = engine.start("p", {"items": items})
    (incident,) = engine.instance(key).incidents
    engine.resolve_incident(incident.key, {"items": [1]})
    complete(engine, 1)
    assert engine.instance(key).state == "COMPLETED"


def test_a_boundary_event_belongs_to_the_whole_loop(engine, model, loop):
    engine.deploy(looping(model, loop("= items", "item")))
    key = engine.start("p", {"items": [1, 2]})
    assert engine.state.counts().timers == 1
    complete(engine, 1)
    engine.advance(5)
    assert engine.instance(key).path[-2:] == ["late", "timeout"]
    assert engine.state.counts().jobs == 0


def test_an_incident_of_one_item_leaves_the_others_going(engine, model, loop):
    engine.deploy(looping(model, loop("= items", "item", "results", "= x")))
    key = engine.start("p", {"items": [1, 2]})
    job = jobs(engine)[1]
    for _ in range(3):
        engine.execute(FailJob(job=job, message="down", retry_after_ms=0))
    complete(engine, 2, x=2)
    (incident,) = engine.instance(key).incidents
    engine.resolve_incident(incident.key)
    complete(engine, 1, x=1)
    assert engine.instance(key).variables["results"] == [1, 2]


@pytest.mark.parametrize("sequential", [False, True])
def test_a_completion_condition_that_fails_is_asked_again_after_the_incident(engine, model, loop, sequential):
    until = "= assert(limit, limit != null) = numberOfCompletedInstances"
    engine.deploy(looping(model, loop("= items", "item", until=until, sequential=sequential)))
    key = engine.start("p", {"items": [1, 2, 3]})
    complete(engine, 1)
    incidents = engine.instance(key).incidents
    assert [incident.code for incident in incidents] == ["expression-error"]
    engine.resolve_incident(incidents[0].key, {"limit": 2})
    complete(engine, 2)
    assert engine.instance(key).state == "COMPLETED"


def test_an_output_that_fails_is_computed_again_after_the_incident(engine, model, loop):
    engine.deploy(looping(model, loop("= items", "item", "results", "= assert(x, x != null)")))
    key = engine.start("p", {"items": [1]})
    complete(engine, 1)
    (incident,) = engine.instance(key).incidents
    engine.resolve_incident(incident.key, {"x": 4})
    assert engine.instance(key).variables["results"] == [4]


def test_an_error_of_one_item_ends_the_loop_at_its_boundary(engine, model, loop):
    inner = model().start("i").job("a").exclusive("x", default="x-o").end("o").end("bad", error="E")
    inner.path("i", "a", "x", "o").flow("x", "bad", "= item = 2")
    whole = (
        model().start().sub("s", inner, loop("= items", "item")).boundary("b", "s", error="E").end().end("c")
    )
    engine.deploy(whole.path("start", "s", "end").path("b", "c").xml())
    key = engine.start("p", {"items": [1, 2, 3]})
    complete(engine, 2)
    view = engine.instance(key)
    assert (view.state, view.path[-2:]) == ("COMPLETED", ["b", "c"])


def test_loops_nest_with_scopes_and_calls(engine, model, loop):
    engine.deploy(
        model("called")
        .start()
        .script("s", "= outer * 10 + inner", "sum")
        .end()
        .path("start", "s", "end")
        .xml()
    )
    inner = model().start("i").call("c", "called", loop("= [1, 2]", "inner", "sums", "= sum")).end("o")
    whole = (
        model()
        .start()
        .sub(
            "s",
            inner.path("i", "c", "o"),
            loop("= [1, 2]", "outer", "all", "= sums", sequential=True),
            inputs={"sums": "= null"},
        )
    )
    engine.deploy(whole.end().path("start", "s", "end").xml())
    view = engine.instance(engine.start("p"))
    assert view.variables["all"] == [[11, 12], [21, 22]]


def test_a_receive_task_waits_for_each_item(engine, model, loop):
    engine.deploy(
        model()
        .start()
        .receive("r", "m", key="= item", loop=loop("= items", "item", "got", "= x"))
        .end()
        .path("start", "r", "end")
        .xml()
    )
    engine.publish("m", "b", {"x": 2}, ttl=10)
    key = engine.start("p", {"items": ["a", "b"]})
    assert engine.state.counts().subscriptions == 1
    engine.publish("m", "a", {"x": 1})
    assert engine.instance(key).state == "COMPLETED"
