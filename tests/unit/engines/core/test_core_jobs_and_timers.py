"""Commands that come late, twice or with nonsense never raise and never do harm."""

import pytest

from payhub_engines.core.commands import (
    AcknowledgeHandover,
    CompleteJob,
    ExpireMessage,
    FailJob,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.jobs import RETRY_MS_MAX
from payhub_engines.core.processor import Accepted, Rejected


@pytest.fixture
def with_job(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())
    engine.start("p")
    return engine, next(engine.state.jobs())


def test_a_job_is_completed_once(with_job):
    engine, job = with_job
    assert engine.execute(CompleteJob(job=job.key, variables={})) == Accepted(job.key)
    for late in (
        CompleteJob(job=job.key, variables={}),
        FailJob(job=job.key, message="", retry_after_ms=1),
        ThrowJobError(job=job.key, code="c", description="", variables={}),
    ):
        reply = engine.execute(late)
        assert isinstance(reply, Rejected)
        assert reply.code == "job-not-found"


def test_a_rejected_command_leaves_no_event(with_job):
    engine, _ = with_job
    before = len(engine.entries)
    engine.execute(CompleteJob(job=999, variables={}))
    assert len(engine.entries) == before


@pytest.mark.parametrize("variables", [{"x": {1, 2}}, {"x": "a" * 300_000}, {"x": 10**30}])
def test_a_result_that_is_no_json_is_an_incident_not_a_crash(with_job, variables):
    engine, job = with_job
    engine.execute(CompleteJob(job=job.key, variables=variables))
    (incident,) = engine.instance(job.instance).incidents
    assert incident.code == "invalid-variables"
    assert list(engine.state.jobs()) == []


def test_deeply_nested_results_are_an_incident(with_job):
    engine, job = with_job
    nested = {}
    for _ in range(100):
        nested = {"x": nested}
    engine.execute(CompleteJob(job=job.key, variables=nested))
    assert len(engine.instance(job.instance).incidents) == 1


def test_the_retry_delay_is_bounded(engine, model):
    engine.deploy(model().start().job("a", retries="100000").end().path("start", "a", "end").xml())
    engine.start("p")
    for _ in range(40):
        job = next(engine.state.jobs())
        engine.execute(
            FailJob(job=job.key, message="m" * 5000, retry_after_ms=-5 if job.attempt == 1 else 10**12)
        )
    job = next(engine.state.jobs())
    assert (job.attempt, job.retry_at_ms) == (41, engine.now_ms + RETRY_MS_MAX)


def test_a_job_can_still_be_completed_after_its_retries_are_used_up(engine, model):
    engine.deploy(model().start().job("a", retries="1").end().path("start", "a", "end").xml())
    key = engine.start("p")
    job = next(engine.state.jobs())
    engine.execute(FailJob(job=job.key, message="", retry_after_ms=0))
    engine.execute(FailJob(job=job.key, message="again", retry_after_ms=0))
    assert len(engine.instance(key).incidents) == 1
    engine.execute(CompleteJob(job=job.key, variables={}))
    view = engine.instance(key)
    assert (view.state, view.incidents) == ("COMPLETED", [])


def test_timers_are_triggered_when_due_and_once(engine, model):
    engine.deploy(model().start().catch("c", timer="PT10S").end().path("start", "c", "end").xml())
    engine.start("p")
    due_ms = engine.state.next_timer_due_ms()
    (timer,) = engine.state.due_timers(due_ms)
    early = engine.execute(TriggerTimer(timer=timer.key))
    assert isinstance(early, Rejected)
    assert early.code == "timer-not-due"
    engine.advance(10)
    late = engine.execute(TriggerTimer(timer=timer.key))
    assert isinstance(late, Rejected)
    assert late.code == "timer-not-found"
    assert engine.state.next_timer_due_ms() is None


def test_due_timers_come_in_the_order_of_their_time(engine, model):
    engine.deploy(model().start().catch("c", timer="= wait").end().path("start", "c", "end").xml())
    for wait in ("PT3S", "PT1S", "PT2S"):
        engine.start("p", {"wait": wait})
    due = [timer.due_ms - engine.now_ms for timer in engine.state.due_timers(engine.now_ms + 2500)]
    assert due == [1000, 2000]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"process": "missing"}, "unknown-process"),
        ({"payment": "x" * 600}, "invalid-key"),
        ({"tenant": "\ud800"}, "invalid-key"),
        ({"variables": {"x": object()}}, "invalid-variables"),
    ],
)
def test_an_instance_that_cannot_start_is_refused(engine, model, fields, code):
    engine.deploy(model().start().end().path("start", "end").xml())
    command = {"process": "p", "tenant": "t", "payment": "x", "fingerprint": "", "variables": {}}
    reply = engine.execute(StartInstance(**{**command, **fields}))
    assert isinstance(reply, Rejected)
    assert reply.code == code
    assert len(engine.entries) == 1  # the deployment


def test_output_mapping_that_fails_is_an_incident_that_keeps_the_results(engine, model):
    task = model().start().job("a", outputs={"big": "= x + x"}).end().path("start", "a", "end")
    engine.deploy(task.xml())
    engine.on_job("a", lambda _: {"x": "y" * 60_000})
    view = engine.instance(engine.start("p"))
    assert [incident.code for incident in view.incidents] == ["expression-error"]
    (active,) = (active for key, active in engine.state.document(view.key).elements.items() if key)
    assert len(active.variables["x"]) == 60_000


@pytest.mark.parametrize("key", [-1, 0, 2**64])
def test_keys_that_cannot_be_are_not_found(engine, key):
    for command in (
        CompleteJob(job=key, variables={}),
        TriggerTimer(timer=key),
        ExpireMessage(message=key),
        AcknowledgeHandover(owner="north", sequence=key),
    ):
        assert isinstance(engine.execute(command), Rejected)
    assert engine.state.instance(key) is None
    assert engine.entries == []


class HeaderName(str):
    """A text of a kind of its own, as HTTP libraries have them."""

    __slots__ = ()


def test_a_connectors_special_texts_are_plain_texts_in_the_log(with_job):
    engine, job = with_job
    results = {"name": HeaderName("x"), HeaderName("y"): [HeaderName("z")]}
    assert engine.execute(CompleteJob(job=job.key, variables=results)) == Accepted(job.key)
    assert engine.instance(job.instance).variables == {"name": "x", "y": ["z"]}
