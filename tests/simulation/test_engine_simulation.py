"""Whole engine groups under faults: nothing acknowledged is lost or done twice, all comes to its end.

``ENGINE_SEEDS=n`` runs n seeds of three replicas, and of the others in proportion, instead of a fixed number.
"""

import os
from collections import Counter

import pytest
from simulation.engine_run import command
from simulation.engine_world import simulate

SEEDS = int(os.environ.get("ENGINE_SEEDS", "8"))
SEEDS_THAT_SEE_ALL = 100
MUST_HAPPEN = [
    "all down",
    "bus down",
    "clock jumped",
    "disk failed",
    "disk full",
    "disk slow",
    "effect asked for again",
    "flip found",
    "folder lost",
    "incident resolved",
    "instance cancelled",
    "killed",
    "leader isolated",
    "left behind",
    "leader killed",
    "leadership handed over",
    "log trimmed",
    "message blocked",
    "message lost",
    "paused",
    "power lost",
    "read",
    "state taken over",
    "stopped by a newer log",
    "replica replaced",
    "stopped by its disk",
    "stopped in order",
    "upgraded",
]


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("replicas", "seeds", "more"),
    [
        (1, SEEDS // 2, {}),
        (3, SEEDS, {}),
        (5, SEEDS // 4, {}),
        (3, SEEDS // 4, {"has_real_store": True}),
        (3, SEEDS // 4, {"has_neighbour": True}),
        (3, SEEDS // 4, {"has_limits": True}),
    ],
)
def test_an_engine_keeps_what_it_has_said(replicas, seeds, more):
    seen: Counter[str] = Counter()
    payments = 0
    for seed in range(seeds):
        try:
            result = simulate(seed, replicas, **more)
        except Exception as error:
            error.add_note("Replay: " + command(seed, replicas, **more))
            raise
        seen += result.seen
        payments += result.payments
    assert payments >= 5 * seeds
    if more.get("has_neighbour"):
        assert seen["callback at the other engine"] > seeds
    elif more.get("has_limits"):
        assert seen["limit reached"] > seeds
    elif replicas == 3 and seeds >= SEEDS_THAT_SEE_ALL:
        assert [what for what in MUST_HAPPEN if not seen[what]] == []


def test_a_seed_replays_exactly():
    assert simulate(3, 3) == simulate(3, 3)
    assert simulate(3, 3).digest != simulate(4, 3).digest
