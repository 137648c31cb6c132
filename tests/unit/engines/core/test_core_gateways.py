"""Inclusive gateways and joins: what they wait for, and what can no longer arrive."""

import pytest

from payhub_engines.core.commands import Activation, CompleteJob, ThrowJobError


def jobs_of(engine):
    return {job.element: job.key for job in engine.state.jobs()}


def complete(engine, element, **variables):
    engine.execute(CompleteJob(job=jobs_of(engine)[element], variables=variables))


def inclusive(model):
    whole = model().start().inclusive("split", default="split-c").inclusive("join").job("after").end()
    for name in ("a", "b", "c"):
        whole.job(name).flow(name, "join")
    whole.flow("split", "a", "= x > 0").flow("split", "b", "= x > 1").flow("split", "c")
    return whole.path("start", "split").path("join", "after", "end")


@pytest.mark.parametrize(("x", "taken"), [(2, {"a", "b"}), (1, {"a"}), (0, {"c"}), (None, {"c"})])
def test_an_inclusive_gateway_takes_all_true_flows_and_its_join_waits_for_them(engine, model, x, taken):
    engine.deploy(inclusive(model).xml())
    key = engine.start("p", {"x": x})
    assert jobs_of(engine).keys() == taken
    for name in sorted(taken):
        assert "after" not in jobs_of(engine)
        complete(engine, name)
    assert jobs_of(engine).keys() == {"after"}
    complete(engine, "after")
    assert engine.instance(key).path.count("join") == 1


def test_an_inclusive_join_goes_on_when_a_branch_ends_elsewhere(engine, model):
    whole = inclusive(model).boundary("out", "b", error="").end("gone").flow("out", "gone")
    engine.deploy(whole.xml())
    engine.start("p", {"x": 2})
    complete(engine, "a")
    assert jobs_of(engine).keys() == {"b"}
    engine.execute(ThrowJobError(job=jobs_of(engine)["b"], code="E", description="", variables={}))
    assert jobs_of(engine).keys() == {"after"}


def test_an_inclusive_join_waits_for_a_token_that_may_still_come_around_a_loop(engine, model):
    whole = model().start().inclusive("split").inclusive("join").job("after").end().job("a").job("b")
    whole.exclusive("again", default="again-join").path("start", "split").path("a", "join", "after", "end")
    whole.flow("split", "a", "= true").flow("split", "b", "= true").flow("b", "again")
    engine.deploy(whole.flow("again", "b", "= more").flow("again", "join").xml())
    key = engine.start("p", {"more": True})
    complete(engine, "a")
    for _ in range(3):
        complete(engine, "b", more=True)
        assert "after" not in jobs_of(engine)
    complete(engine, "b", more=False)
    complete(engine, "after")
    assert engine.instance(key).path.count("after") == 1


def test_an_inclusive_join_does_not_wait_for_a_token_that_waits_for_it(engine, model):
    """In a loop the token at the outer join could come around again, but only when this join has gone on."""
    whole = (
        model()
        .start()
        .exclusive("merge")
        .parallel("fork")
        .parallel("meet")
        .exclusive("again", default="again-end")
    )
    whole.inclusive("split", default="split-b").inclusive("join").job("a").job("b").job("c").end()
    whole.path("start", "merge", "fork", "split").flow("split", "a", "= false").flow("split", "b")
    whole.path("a", "join", "meet", "again").flow("b", "join").path("fork", "c", "meet")
    engine.deploy(whole.flow("again", "merge", "= more").flow("again", "end").xml())
    key = engine.start("p", {"more": False})
    complete(engine, "c")
    complete(engine, "b")
    assert engine.instance(key).state == "COMPLETED"


def test_an_inclusive_join_is_let_go_when_an_operator_interrupts_the_other_branch(engine, model):
    engine.deploy(inclusive(model).xml())
    key = engine.start("p", {"x": 2})
    complete(engine, "a")
    other = next(at for at, one in engine.state.document(key).elements.items() if one.element == "b")
    engine.modify(key, terminate=(other,))
    assert jobs_of(engine).keys() == {"after"}


def test_a_parallel_join_that_can_never_be_complete_waits_for_an_operator(engine, model):
    whole = model().start().exclusive("x", default="x-b").job("a").job("b").parallel("join").end()
    engine.deploy(
        whole.flow("x", "a", "= false")
        .flow("x", "b")
        .path("start", "x")
        .path("a", "join", "end")
        .flow("b", "join")
        .xml()
    )
    key = engine.start("p")
    complete(engine, "b")
    assert [(one.code, one.element) for one in engine.instance(key).incidents] == [
        ("join-incomplete", "join")
    ]
    engine.modify(key, (Activation(element="a"),))
    complete(engine, "a")
    assert engine.instance(key).state == "COMPLETED"


def test_an_interrupted_scope_takes_the_tokens_at_its_joins_with_it(engine, model):
    inner = model().start("i").parallel("f").job("a").job("b").parallel("join").end("o")
    inner.path("i", "f", "a", "join", "o").path("f", "b", "join")
    whole = model().start().sub("s", inner).boundary("out", "s", timer="PT5S").end()
    engine.deploy(whole.path("start", "s", "end").flow("out", "s").xml())
    key = engine.start("p")
    complete(engine, "a")
    engine.advance(5)
    assert jobs_of(engine).keys() == {"a", "b"}
    complete(engine, "b")
    assert engine.instance(key).state == "ACTIVE"
    complete(engine, "a")
    assert engine.instance(key).state == "COMPLETED"
