"""The fence of a placement: what is older begins nothing any more, what has begun goes on."""

from payhub_engines.core import fencing
from payhub_engines.core.commands import CorrelateMessage, FenceTenant, ForgetInstances, StartInstance
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.state import State
from payhub_platform.contracts.handover import Callback


def start(payment, epoch):
    return StartInstance(
        process="p", tenant="lion", payment=payment, fingerprint="f", variables={}, epoch=epoch
    )


def deployed(engine, model):
    engine.deploy(model().start().job("a").end().path("start", "a", "end").xml())


def test_an_older_epoch_begins_nothing_behind_the_fence(engine, model):
    deployed(engine, model)
    assert isinstance(engine.execute(start("before", 1)), Accepted)
    assert engine.execute(FenceTenant(tenant="lion", epoch=2)) == Accepted(2)
    assert engine.execute(start("after", 1)).code == "stale-epoch"
    assert engine.execute(start("before", 1)) == Accepted(1, duplicate=True)  # the same act
    assert isinstance(engine.execute(start("after", 2)), Accepted)
    other = StartInstance(process="p", tenant="rhino", payment="x", fingerprint="f", variables={}, epoch=1)
    assert isinstance(engine.execute(other), Accepted)


def test_a_fence_never_falls_and_is_in_the_log_once(engine, model):
    deployed(engine, model)
    before = len(engine.entries)
    for epoch in (3, 2, 3):
        engine.execute(FenceTenant(tenant="lion", epoch=epoch))
    assert (engine.state.fence("lion"), len(engine.entries)) == (3, before + 1)
    assert State(engine.store).fence("rhino") == 0
    assert engine.execute(FenceTenant(tenant="x" * 600, epoch=1)).code == "invalid-key"
    assert engine.execute(FenceTenant(tenant="lion", epoch=0)).code == "invalid-key"
    assert engine.execute(FenceTenant(tenant="lion", epoch=2**64)).code == "invalid-key"


def test_what_was_begun_before_the_fence_is_told_until_it_ends(engine, model):
    deployed(engine, model)
    engine.execute(start("before", 1))
    assert not fencing.keeps_keys(engine.state, "rhino", 99)
    engine.execute(FenceTenant(tenant="lion", epoch=2))
    engine.execute(start("after", 2))
    state = engine.state
    [before] = fencing.open_below(state, "lion", state.fence_key("lion"))
    assert state.document(before).payment == "before"
    assert len(fencing.open_below(state, "lion", state.next_key)) == 2
    assert fencing.open_below(state, "rhino", state.next_key) == []
    engine.on_job("a", lambda _: {})
    engine.advance(0)
    assert fencing.open_below(engine.state, "lion", state.next_key) == []
    assert fencing.keeps_keys(engine.state, "lion", state.fence_key("lion"))
    engine.execute(start("later", 2))
    later_key = engine.state.next_key
    engine.advance(1)
    engine.execute(ForgetInstances(ended_before_ms=engine.now_ms))
    assert not fencing.keeps_keys(engine.state, "lion", state.fence_key("lion"))
    engine.execute(start("last", 2))
    assert not fencing.keeps_keys(engine.state, "lion", later_key)
    assert fencing.keeps_keys(engine.state, "lion", engine.state.next_key)


def test_a_request_of_the_scheme_that_would_begin_something_is_fenced_as_well(engine, model):
    deployed(engine, model)
    engine.execute(FenceTenant(tenant="lion", epoch=2))
    callback = Callback(
        tenant="lion",
        name="n",
        correlation_key="k",
        variables={},
        start_process="p",
        payment="x",
        fingerprint="f",
    )
    refused = engine.execute(CorrelateMessage(callback=callback, epoch=1))
    assert isinstance(refused, Rejected)
    assert refused.code == "stale-epoch"
    assert isinstance(engine.execute(CorrelateMessage(callback=callback, epoch=2)), Accepted)
    again = engine.execute(CorrelateMessage(callback=callback, epoch=1))
    assert again.duplicate
