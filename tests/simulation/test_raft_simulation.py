"""Groups of three and five under crashes, lost power and a bad network: safe always, whole again after.

``RAFT_SEEDS=n`` runs n seeds of each size instead of the suite's fixed number.
"""

import os
from collections import Counter

import pytest
from simulation.raft_run import COMMAND
from simulation.raft_world import simulate

SEEDS = int(os.environ.get("RAFT_SEEDS", "80"))
SEEDS_THAT_SEE_ALL = 50
MUST_HAPPEN = [
    "all crashed",
    "damage found",
    "election contested",
    "journal in doubt",
    "killed",
    "last frame damaged",
    "leader crashed",
    "leader elected",
    "leader elected by all",
    "leader isolated",
    "leadership handed over",
    "log trimmed",
    "log truncated",
    "message blocked",
    "message lost",
    "power lost",
    "read barrier passed",
    "slow sync",
    "state installed",
    "stopped by a full disk",
    "sync failed",
]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("replicas", [3, 5])
def test_no_acknowledged_entry_is_lost_and_everybody_catches_up(replicas):
    seen: Counter[str] = Counter()
    acknowledged = 0
    for seed in range(SEEDS):
        try:
            result = simulate(seed, replicas)
        except Exception as error:
            error.add_note("Replay: " + COMMAND.format(replicas=replicas, seed=seed))
            raise
        seen += result.seen
        acknowledged += result.acknowledged
    if SEEDS >= SEEDS_THAT_SEE_ALL:
        assert acknowledged > 10 * SEEDS
        assert [what for what in MUST_HAPPEN if not seen[what]] == []


def test_a_seed_replays_exactly():
    assert simulate(7, 3) == simulate(7, 3)
    assert simulate(7, 3).digest != simulate(8, 3).digest
