"""Every element, walked."""

import pytest

from payhub_engines.core.commands import StartInstance
from payhub_engines.core.processor import Rejected
from payhub_engines.testkit import BpmnError, JobFailed


def done(_variables):
    return {}


def test_sequence_of_jobs_merges_variables_and_completes(engine, model):
    engine.deploy(
        model().start().job("a").job("b", tag="sendTask").end().path("start", "a", "b", "end").xml()
    )
    engine.on_job("a", lambda variables: {"total": variables["amount"] + 1})
    seen = []
    engine.on_job("b", lambda variables: seen.append(variables["total"]))
    key = engine.start("p", {"amount": 41})
    view = engine.instance(key)
    assert seen == [42]
    assert (view.state, view.path) == ("COMPLETED", ["start", "a", "b", "end"])
    assert view.variables == {"amount": 41, "total": 42}
    assert engine.state.counts().jobs == 0


def test_job_carries_type_headers_retries_and_identity(engine, model):
    task = model().start().job("a", job_type="charge", retries="7", headers={"mode": "fast"}).end()
    engine.deploy(task.path("start", "a", "end").xml())
    key = engine.start("p", tenant="lion", payment="tx-1")
    (job,) = engine.state.jobs()
    assert (job.type, job.headers, job.retries_left, job.attempt) == ("charge", {"mode": "fast"}, 7, 1)
    assert (job.tenant, job.process, job.payment, job.element, job.instance) == (
        "lion",
        "p",
        "tx-1",
        "a",
        key,
    )


def test_input_mappings_are_local_and_output_mappings_decide_what_leaves(engine, model):
    task = model().job(
        "a", inputs={"limit": "= amount * 2", "mode": "static"}, outputs={"result.sum": "= sum"}
    )
    engine.deploy(task.start().end(outputs={"state": "DONE"}).path("start", "a", "end").xml())
    seen = []

    def work(variables):
        seen.append((variables["limit"], variables["mode"], variables["amount"]))
        return {"sum": 7, "secret": 1}

    engine.on_job("a", work)
    key = engine.start("p", {"amount": 5, "result": {"kept": True}})
    assert seen == [(10, "static", 5)]
    assert engine.instance(key).variables == {
        "amount": 5,
        "result": {"kept": True, "sum": 7},
        "state": "DONE",
    }


def test_results_with_the_name_of_an_input_stay_local_without_output_mappings(engine, model):
    task = model().start().job("a", inputs={"x": "= 1"}).end().path("start", "a", "end")
    engine.deploy(task.xml())
    engine.on_job("a", lambda _: {"x": 2, "y": 3})
    assert engine.instance(engine.start("p")).variables == {"y": 3}


def exclusive(model):
    return (
        model()
        .start()
        .exclusive("choose", default="choose-other")
        .end("low")
        .end("null")
        .end("other")
        .flow("start", "choose")
        .flow("choose", "low", "= amount < 10")
        .flow("choose", "null", "= amount = null and flag = true")
        .flow("choose", "other")
    )


@pytest.mark.parametrize(
    ("variables", "end"),
    [
        ({"amount": 5}, "low"),
        ({"amount": 10}, "other"),
        ({}, "other"),
        ({"flag": True}, "null"),
        ({"amount": "5"}, "other"),
    ],
)
def test_exclusive_gateway_takes_the_first_true_flow_or_the_default(engine, model, variables, end):
    engine.deploy(exclusive(model).xml())
    assert engine.instance(engine.start("p", variables)).path == ["start", "choose", end]


def test_exclusive_gateway_without_a_true_flow_is_an_incident(engine, model):
    gateway = model().start().exclusive("x").end("a").end("b").flow("start", "x")
    engine.deploy(gateway.flow("x", "a", "= v = true").flow("x", "b", "= v = false").xml())
    view = engine.instance(engine.start("p"))
    assert [incident.code for incident in view.incidents] == ["no-matching-flow"]
    assert (view.state, view.waiting_at) == ("ACTIVE", ("x",))


def fork_join(model):
    forked = model().start().parallel("fork").job("a").job("b").parallel("join").end()
    return forked.path("start", "fork", "a", "join", "end").path("fork", "b", "join")


def test_parallel_gateway_forks_and_joins(engine, model):
    engine.deploy(fork_join(model).xml())
    engine.on_job("a", done)
    key = engine.start("p")
    assert engine.instance(key).state == "ACTIVE"
    engine.on_job("b", done)
    view = engine.instance(key)
    assert view.state == "COMPLETED"
    assert view.path.count("join") == 1


def test_join_that_never_completes_is_an_incident(engine, model):
    choice = model().start().exclusive("x", default="x-a").parallel("join").end().job("a").job("b")
    choice.flow("start", "x").flow("x", "a").flow("x", "b", "= other")
    engine.deploy(choice.path("a", "join", "end").path("b", "join").xml())
    engine.on_job("a", done)
    view = engine.instance(engine.start("p"))
    assert [incident.code for incident in view.incidents] == ["join-incomplete"]


def test_implicit_fork_and_implicit_end(engine, model):
    engine.deploy(model().start().job("a").job("b").path("start", "a").path("start", "b").xml())
    engine.on_job("a", done)
    key = engine.start("p")
    assert engine.instance(key).state == "ACTIVE"
    engine.on_job("b", done)
    assert engine.instance(key).state == "COMPLETED"


def test_terminate_end_stops_everything_else(engine, model):
    parts = model().start().parallel("fork").job("a").job("b").end("stop", terminate=True).end("other")
    parts.catch("wait", timer="PT1H").path("start", "fork", "a", "stop").path("fork", "b", "other")
    engine.deploy(parts.path("fork", "wait", "other").xml())
    engine.on_job("a", done)
    assert engine.instance(engine.start("p")).state == "COMPLETED"
    counts = engine.state.counts()
    assert (counts.instances, counts.jobs, counts.timers) == (0, 0, 0)


def test_terminate_end_also_drops_tokens_that_wait_at_a_join(engine, model):
    parts = model().start().parallel("fork").job("a").job("b").parallel("join").end("stop", terminate=True)
    parts.job("c").end("end").path("start", "fork", "a", "join", "end").path("fork", "b", "join")
    engine.deploy(parts.path("fork", "c", "stop").xml())
    engine.on_job("a", done)
    key = engine.start("p")
    engine.on_job("c", done)
    assert engine.instance(key).state == "COMPLETED"
    assert engine.state.counts().instances == 0


def test_receive_task_merges_the_message(engine, model):
    engine.deploy(model().start().receive("r", "answer").end().path("start", "r", "end").xml())
    key = engine.start("p", {"key": "k1"})
    engine.publish("answer", "other", {"x": 0})
    assert engine.instance(key).waiting_at == ("r",)
    engine.publish("answer", "k1", {"x": 1})
    view = engine.instance(key)
    assert (view.state, view.variables["x"]) == ("COMPLETED", 1)
    assert engine.state.counts().subscriptions == 0


def test_intermediate_message_with_output_mapping_lets_only_the_mapped_out(engine, model):
    catch = model().start().catch("c", message="answer", key="= id.a", outputs={"kept": "= deep.x"})
    engine.deploy(catch.end().path("start", "c", "end").xml())
    key = engine.start("p", {"id": {"a": 17}})
    engine.publish("answer", "17", {"deep": {"x": [1, None]}, "noise": 1})
    assert engine.instance(key).variables == {"id": {"a": 17}, "kept": [1, None]}


@pytest.mark.parametrize(
    ("timer", "variables", "seconds"),
    [
        ("PT10S", {}, 10),
        ("PT0.5S", {}, 0.5),
        ("P1D", {}, 86_400),
        ("= wait", {"wait": "PT1M"}, 60),
        ("= 250 * 2", {}, 0.5),
    ],
)
def test_intermediate_timer(engine, model, timer, variables, seconds):
    engine.deploy(model().start().catch("c", timer=timer).end().path("start", "c", "end").xml())
    key = engine.start("p", variables)
    engine.advance(seconds - 0.001)
    assert engine.instance(key).state == "ACTIVE"
    engine.advance(0.001)
    assert engine.instance(key).state == "COMPLETED"


def test_timer_date(engine, model):
    engine.deploy(model().start().catch("c", date="= at").end().path("start", "c", "end").xml())
    key = engine.start("p", {"at": "2026-01-01T01:00:00+00:30"})
    engine.advance(1799)
    assert engine.instance(key).state == "ACTIVE"
    engine.advance(1)
    assert engine.instance(key).state == "COMPLETED"


@pytest.mark.parametrize("wait", ["soon", None, True, "P1M", "P", "PT", 10**15])
def test_timer_without_a_usable_value_is_an_incident(engine, model, wait):
    engine.deploy(model().start().catch("c", timer="= wait").end().path("start", "c", "end").xml())
    view = engine.instance(engine.start("p", {"wait": wait}))
    assert [incident.code for incident in view.incidents] == ["expression-error"]


def event_gateway(model):
    gate = model().start().events("gate").catch("yes", message="yes").catch("no", message="no")
    gate.catch("late", timer="PT10S").end("end-yes").end("end-no").end("end-late").flow("start", "gate")
    for event in ("yes", "no", "late"):
        gate.path("gate", event, f"end-{event}")
    return gate


@pytest.mark.parametrize("event", ["yes", "no", "late"])
def test_event_gateway_goes_on_with_the_first_event_and_cancels_the_others(engine, model, event):
    engine.deploy(event_gateway(model).xml())
    key = engine.start("p", {"key": "k"})
    if event == "late":
        engine.advance(10)
    else:
        engine.publish(event, "k", {"got": event})
    assert engine.instance(key).path == ["start", "gate", event, f"end-{event}"]
    counts = engine.state.counts()
    assert (counts.subscriptions, counts.timers, counts.instances) == (0, 0, 0)


def test_boundary_timer_interrupts_a_job(engine, model):
    task = model().start().job("a").boundary("late", "a", timer="PT5S").end().end("timeout")
    engine.deploy(task.path("start", "a", "end").path("late", "timeout").xml())
    key = engine.start("p")
    (job,) = engine.state.jobs()
    engine.advance(5)
    assert engine.instance(key).path == ["start", "a", "late", "timeout"]
    assert engine.state.job(job.key) is None


def test_boundary_timer_is_cancelled_when_the_task_ends(engine, model):
    task = model().start().receive("r", "answer").boundary("late", "r", timer="PT5S").end().end("timeout")
    engine.deploy(task.path("start", "r", "end").path("late", "timeout").xml())
    key = engine.start("p", {"key": "k"})
    engine.publish("answer", "k")
    assert engine.state.counts().timers == 0
    engine.advance(10)
    assert engine.instance(key).path == ["start", "r", "end"]


def test_boundary_message_interrupts_with_its_variables(engine, model):
    task = model().start().job("a").boundary("stop", "a", message="cancel", outputs={"why": "= reason"})
    engine.deploy(task.end().end("stopped").path("start", "a", "end").path("stop", "stopped").xml())
    key = engine.start("p", {"key": "k"})
    engine.publish("cancel", "k", {"reason": "wish", "noise": 1})
    view = engine.instance(key)
    assert (view.path[-1], view.variables) == ("stopped", {"key": "k", "why": "wish"})


def test_non_interrupting_boundary_timer_leaves_the_task_running(engine, model):
    task = model().start().receive("r", "answer").boundary("remind", "r", timer="PT5S", interrupting=False)
    task.end().job("notify").end("reminded")
    engine.deploy(task.path("start", "r", "end").path("remind", "notify", "reminded").xml())
    engine.on_job("notify", done)
    key = engine.start("p", {"key": "k"})
    engine.advance(30)
    assert engine.instance(key).path == ["start", "r", "remind", "notify", "reminded"]
    engine.publish("answer", "k")
    assert engine.instance(key).state == "COMPLETED"


def with_errors(model):
    task = model().start().job("a").boundary("any", "a", error="").boundary("refused", "a", error="refused")
    task.end().end("end-any").end("end-refused")
    return task.path("start", "a", "end").path("any", "end-any").path("refused", "end-refused")


@pytest.mark.parametrize(("code", "end"), [("refused", "end-refused"), ("other", "end-any")])
def test_boundary_error_catches_the_exact_code_before_all(engine, model, code, end):
    def refuse(_variables):
        raise BpmnError(code, "no", {"error": {"code": code}})

    engine.deploy(with_errors(model).xml())
    engine.on_job("a", refuse)
    view = engine.instance(engine.start("p"))
    assert (view.path[-1], view.variables) == (end, {"error": {"code": code}})


def test_error_that_nothing_catches_is_an_incident(engine, model):
    def refuse(_variables):
        raise BpmnError("surprise", "what now")

    task = model().start().job("a").boundary("refused", "a", error="refused").end().end("end-refused")
    engine.deploy(task.path("start", "a", "end").path("refused", "end-refused").xml())
    engine.on_job("a", refuse)
    view = engine.instance(engine.start("p"))
    (incident,) = view.incidents
    assert (incident.code, incident.message) == ("unhandled-error", "surprise: what now")
    assert list(engine.state.jobs()) == []


def test_failed_job_is_tried_again_with_growing_delay_then_becomes_an_incident(engine, model):
    times = []

    def fail(_variables):
        times.append(engine.now_ms)
        raise JobFailed("bank is down", retry_after_ms=1000)

    engine.deploy(model().start().job("a", retries="4").end().path("start", "a", "end").xml())
    start_ms = engine.now_ms
    engine.on_job("a", fail)
    key = engine.start("p")
    engine.advance(600)
    assert [time - start_ms for time in times] == [0, 1000, 3000, 7000]
    (incident,) = engine.instance(key).incidents
    assert (incident.code, incident.message) == ("job-no-retries", "bank is down")
    assert list(engine.state.jobs()) == []
    assert engine.state.counts().jobs == 1
    record = engine.state.instance(key)
    assert record is not None
    assert record.incident


def test_incident_is_resolved_when_its_element_is_interrupted(engine, model):
    def fail(_variables):
        raise JobFailed

    task = model().start().job("a", retries="1").boundary("late", "a", timer="PT5S").end().end("timeout")
    engine.deploy(task.path("start", "a", "end").path("late", "timeout").xml())
    engine.on_job("a", fail)
    key = engine.start("p")
    assert len(engine.instance(key).incidents) == 1
    engine.advance(5)
    assert engine.instance(key).incidents == []
    record = engine.state.instance(key)
    assert record is not None
    assert not record.incident


def test_loop_with_a_counter_ends(engine, model):
    loop = (
        model().start().job("try", outputs={"count": "= count + 1"}).exclusive("again", default="again-end")
    )
    loop.end().path("start", "try", "again").flow("again", "try", "= count < 5").flow("again", "end")
    engine.deploy(loop.xml())
    engine.on_job("try", done)
    view = engine.instance(engine.start("p", {"count": 0}))
    assert (view.variables["count"], view.path.count("try")) == (5, 5)


def test_loop_that_never_waits_is_an_incident(engine, model):
    loop = model().start().exclusive("a", default="a-b").exclusive("b").end().path("start", "a", "b", "a")
    engine.deploy(loop.flow("a", "end", "= out").xml())
    view = engine.instance(engine.start("p"))
    assert [incident.code for incident in view.incidents] == ["too-many-steps"]


def test_business_key_is_unique_by_tenant_and_process(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())

    def start(tenant="lion", fingerprint="f1"):
        return engine.execute(
            StartInstance(process="p", tenant=tenant, payment="tx", fingerprint=fingerprint, variables={})
        )

    first = start()
    again = start()
    assert (first.duplicate, again.duplicate, again.key) == (False, True, first.key)
    assert start(tenant="buffalo").key != first.key
    refused = start(fingerprint="f2")
    assert isinstance(refused, Rejected)
    assert refused.code == "key-reused"
    found = engine.state.find_instance("lion", "p", "tx")
    assert found is not None
    assert found.key == first.key
    assert engine.state.find_instance("rhino", "p", "tx") is None
