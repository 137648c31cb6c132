"""What a crowded batch may hold: learned from rounds, and bounded whatever was seen."""

import random

import pytest

from payhub_engines.server import rounds
from payhub_engines.server.admission import Admission
from payhub_engines.server.rounds import Rounds
from payhub_engines.server.waiting import COST_MIN, Queue


def empty() -> Rounds:
    return Rounds(Queue(), Admission(lambda: 0))


def rounds_of(quiet_ms: float, ms_a_command: float, count: int = 500, seed: int = 1) -> Rounds:
    """Return what has seen rounds, half of them quiet, by a clock of whole milliseconds."""
    found, chooser, now_ms = empty(), random.Random(seed), 0.0
    for number in range(count):
        commands = 2 if number % 2 else chooser.randint(10, 250)
        took_ms = quiet_ms + commands * ms_a_command
        found.observe(commands * COST_MIN, int(now_ms + took_ms) - int(now_ms))
        now_ms += took_ms + chooser.random()
    return found


def grants(found: Rounds, count: int = 2 * rounds.PROBE_EVERY) -> list[int]:
    given = []
    for _ in range(count):
        given.append(found.grant())
        found.observe((given[-1] // COST_MIN + 5) * COST_MIN, 2)
    return given


@pytest.mark.parametrize(("quiet_ms", "ms_a_command"), [(1.2, 0.03), (6.0, 0.03), (3.0, 0.3)])
def test_it_learns_what_a_round_takes_and_what_a_command_adds(quiet_ms, ms_a_command):
    found = rounds_of(quiet_ms, ms_a_command)
    assert found.quiet_ms == pytest.approx(quiet_ms, rel=0.25)
    assert found.ms_a_unit * COST_MIN == pytest.approx(ms_a_command, rel=0.15)
    expected = max(rounds.GRACE * quiet_ms / ms_a_command * COST_MIN, rounds.GRANT_MIN)
    assert found.grant() == pytest.approx(expected, rel=0.4)


def test_before_anything_is_known_every_other_crowded_round_is_a_probe():
    found = empty()
    first = [found.grant() > 0 for _ in range(4)]
    assert first == [True, False, True, False]


def test_later_one_of_many_is():
    given = grants(rounds_of(1.2, 0.03))
    assert given.count(0) == 2
    assert min(one for one in given if one) >= rounds.GRANT_MIN


def test_a_disk_that_becomes_slower_is_seen_in_the_probes_alone():
    found = rounds_of(1.0, 0.03)
    for _ in range(200 * rounds.PROBE_EVERY):
        cost = found.grant() + 5 * COST_MIN
        found.observe(cost, 10 + round(cost / COST_MIN * 0.03))
    assert found.quiet_ms == pytest.approx(10, rel=0.1)


def test_the_grant_is_bounded_whatever_the_rounds_took():
    for quiet_ms, ms_a_command in ((0.0, 5.0), (500.0, 0.0), (0.0, 0.0)):
        for given in grants(rounds_of(quiet_ms, ms_a_command)):
            assert given == 0 or rounds.GRANT_MIN <= given <= rounds.GRANT_MAX


def test_a_process_that_waits_for_the_processor_does_not_make_commands_dear():
    found, chooser = rounds_of(1.2, 0.03), random.Random(7)
    for number in range(2_000):
        commands = 2 if number % 3 else 17
        paused_ms = chooser.choice((0, 0, 0, 0, 0, 0, 0, 0, 20, 60))
        found.observe(commands * COST_MIN, paused_ms + chooser.choice((1, 1, 2)) + commands // 17)
    assert found.quiet_ms <= 3
    assert found.ms_a_unit * COST_MIN <= 0.15
