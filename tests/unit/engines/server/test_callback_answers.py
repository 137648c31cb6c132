"""What the switch is told about a callback that the engine does not take."""

from types import SimpleNamespace

import msgspec
import pytest
from unit.engines.server.replica_kit import answer
from unit.gateway.gateway_kit import tenant_config

from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal
from payhub_engines.core import correlation
from payhub_engines.handover.placing import Placing
from payhub_engines.server.fspiop_api import commit_callback
from payhub_engines.server.neighbours import EngineNeighbours
from payhub_platform.errors import UnavailableError


async def nobody(_engine, _request):
    return False


def engine_of(replica):
    stream = replica.stream
    placing = Placing("north", lambda: stream.machine.state, nobody)
    return SimpleNamespace(stream=stream, placing=placing)


def tenant(home):
    return tenant_config("lion", [], placement=[home])


async def test_a_full_outbox_asks_the_switch_to_come_again(replica_on, monkeypatch) -> None:
    monkeypatch.setattr(correlation, "OUTBOX_PER_OWNER_MAX", 1)
    engine = engine_of(await replica_on())
    await commit_callback(engine, tenant("south"), answer(1).callback)
    with pytest.raises(UnavailableError) as caught:
        await commit_callback(engine, tenant("south"), answer(2).callback)
    assert caught.value.code == "handover-full"


async def test_only_what_was_sent_wrong_is_refused_for_good(replica_on) -> None:
    engine = engine_of(await replica_on())
    start = {"start_process": "ask", "payment": "p", "fingerprint": "f", "variables": {"id": "p"}}
    for fields, code in (
        (start, ""),
        ({**start, "fingerprint": "other"}, "3106"),
        ({"correlation_key": "k" * 600}, "3101"),
    ):
        callback = type(answer(1).callback)(
            **{"tenant": "lion", "name": "ask", "correlation_key": "k", "variables": {}, **fields}
        )
        if not code:
            await commit_callback(engine, tenant("north"), callback)
            continue
        with pytest.raises(FspiopRefusal) as caught:
            await commit_callback(engine, tenant("north"), callback)
        assert caught.value.error_code == code


async def test_what_is_for_this_engine_is_committed_here_and_the_rest_waits_for_its_owner(replica_on) -> None:
    replica = await replica_on()
    directory = SimpleNamespace(by_fsp={"lion": "its configuration"}.get, get=lambda _tenant: None)
    neighbours = EngineNeighbours("north", directory, replica.stream)
    assert (neighbours.by_fsp("lion"), neighbours.by_fsp("rhino")) == ("its configuration", None)
    callback = answer(1).callback
    start = {"start_process": "ask", "payment": "p", "variables": {"id": "p"}}
    await neighbours.give("north", msgspec.structs.replace(callback, **start))
    assert replica.state.find_instance("lion", "ask", "p") is not None
    await neighbours.give("south", callback)
    assert [(record.owner, record.callback) for record in replica.state.outbox()] == [("south", callback)]
    with pytest.raises(FspiopRefusal):
        await neighbours.give("north", msgspec.structs.replace(callback, correlation_key="k" * 600))
