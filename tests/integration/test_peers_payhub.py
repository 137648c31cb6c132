"""payhub's own part of the comparison with peers, for real and briefly: it must fit the engine as it is."""

from payhub_peers.adapters import PEERS
from payhub_peers.measure import Settings, measure
from payhub_peers.workflow import STEPS

CLIENTS = 4


async def test_the_engine_runs_the_workflow_and_loses_nothing_to_a_kill(tmp_path):
    peer = PEERS["payhub-1"](tmp_path)
    said = []
    result = await measure(peer, Settings(CLIENTS, 2.0, 10_000, kill="main"), said.append)
    assert (result.failure, peer.processes.names()) == ("", [])
    assert result.speed is not None
    assert result.speed.workflows > 0
    assert (result.speed.steps_lost, result.speed.steps_doubled) == (0, 0)
    assert result.speed.cpu_ms_per_workflow > 0
    assert result.recovery is not None
    assert result.recovery.recovery_s is not None
    assert (result.recovery.workflows_lost, result.recovery.steps_lost) == (0, 0)
    # A step under way at the kill may happen again, and each submitter has one at most.
    assert result.recovery.steps_doubled <= CLIENTS
    assert len(peer.steps_done()) >= result.recovery.workflows_accepted * STEPS
    assert any(line.startswith("killed replica-1") for line in said)
