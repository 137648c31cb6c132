"""The pure parts of the comparison with peers: what is counted, computed and shown."""

import pytest

from payhub_cli.local.disk_use import DiskUse
from payhub_engines.testkit import Engine
from payhub_peers.client import Load
from payhub_peers.effects import EffectCount, count_effects
from payhub_peers.measure import recovery_of, speed_of
from payhub_peers.report import PeerResult, percentile, table
from payhub_peers.workflow import STEPS, Effects, service_task_process, step_of


def lines(workflow_id, steps=range(1, STEPS + 1)):
    return [f"{workflow_id} {step} 0" for step in steps]


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (50, 50), (50.1, 51), (99, 99), (99.9, 100), (100, 100)]
)
def test_a_percentile_is_the_nearest_rank(percent, value):
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_one_value_is_every_percentile():
    assert [percentile([7.0], percent) for percent in (0, 50, 99.9)] == [7.0] * 3


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="No values"):
        percentile([], 50)


def test_each_step_once_is_neither_lost_nor_doubled():
    counted = count_effects([*lines("a"), *lines("b")], {"a", "b"})
    assert counted == EffectCount(steps_done=16, steps_lost=0, steps_doubled=0)


def test_missing_and_repeated_steps_are_counted_apart():
    effects = [*lines("a", [1, 2, 2, 2, 3]), *lines("b", [8])]
    assert count_effects(effects, ["a", "b", "c"]) == EffectCount(
        steps_done=4, steps_lost=20, steps_doubled=2
    )


def test_the_attempt_makes_no_difference():
    assert count_effects(["a 1 1", "a 1 2"], ["a"]).steps_doubled == 1


def test_other_workflows_are_passed_over():
    assert count_effects(lines("warm"), ["a"]).steps_done == 0


@pytest.mark.parametrize("line", ["a 1", "a 9 0", "a 0 0", "a one 0", ""])
def test_what_is_no_effect_is_an_error(line):
    with pytest.raises(ValueError, match=r"."):
        count_effects([line], ["a"])


def test_effects_are_lines_that_several_writers_append(tmp_path):
    first, second = Effects(tmp_path / "effects"), Effects(tmp_path / "effects")
    first.append("a", 1)
    second.append("a", 2, attempt=3)
    first.append("b", 1)
    assert (tmp_path / "effects").read_text().splitlines() == ["a 1 0", "a 2 3", "b 1 0"]


def test_the_process_does_its_steps_in_order():
    engine, done = Engine(), []
    definition = engine.deploy(service_task_process())
    key = engine.start(definition.id)
    engine.on_job("effect", done.append)
    instance = engine.instance(key)
    assert instance.state == "COMPLETED"
    assert [step_of(element) for element in instance.path[1:-1]] == list(range(1, STEPS + 1))
    assert len(done) == STEPS


def test_speed_is_told_per_workflow():
    load = Load(
        began_at=10.0,
        accepted=["a", "b"],
        completed=["a", "b"],
        latencies_ms=[5.0, 9.0],
        completed_at=[10.5, 12.0],
    )
    speed = speed_of(load, 0.5, DiskUse(8192, 6), [*lines("a"), *lines("b")])
    assert (speed.workflows, speed.seconds, speed.workflows_per_s) == (2, 2.0, 1.0)
    assert (speed.p50_ms, speed.p99_ms, speed.p999_ms) == (5.0, 9.0, 9.0)
    assert (speed.cpu_ms_per_workflow, speed.written_kib_per_workflow) == (250.0, 4.0)
    assert (speed.flushes_per_workflow, speed.steps_lost, speed.steps_doubled) == (3.0, 0, 0)


def test_recovery_ends_with_the_first_completion_after_the_kill():
    load = Load(
        accepted=["a", "b", "c"],
        completed=["a", "b"],
        lost=["c"],
        completed_at=[1.0, 4.5],
    )
    effects = [*lines("a"), *lines("b"), *lines("b", [3]), *lines("c", [1, 2])]
    recovery = recovery_of(load, "app", killed_at=2.0, answered=1, steps_done=effects)
    assert recovery.recovery_s == 2.5
    assert (recovery.workflows_accepted, recovery.workflows_lost) == (3, 1)
    assert (recovery.steps_lost, recovery.steps_doubled) == (6, 1)


def test_without_a_completion_there_is_no_recovery():
    load = Load(accepted=["a"], completed=["a"], completed_at=[1.0])
    recovery = recovery_of(load, "app", killed_at=2.0, answered=1, steps_done=lines("a"))
    assert recovery.recovery_s is None


def test_the_table_has_a_row_a_peer_and_says_what_was_not_run():
    load = Load(began_at=0.0, accepted=["a"], completed=["a"], latencies_ms=[5.4], completed_at=[0.5])
    speed = speed_of(load, 0.00123, None, lines("a"))
    recovery = recovery_of(load, "app", killed_at=0.25, answered=0, steps_done=lines("a"))
    rows = table(
        [
            PeerResult(peer="x", title="X 1.0", durable_by="fsync", speed=speed, recovery=recovery),
            PeerResult(peer="y", title="Y 2.0", durable_by="fsync", speed=speed),
            PeerResult(peer="z", title="Z 3.0", durable_by="fsync", failure="no database"),
        ]
    ).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert {len(row) for row in cells} == {13}
    assert cells[2] == ["X 1.0", "2", "5", "5", "5", "1.23", "-", "-", "app", "0", "0", "0", "0.25"]
    assert cells[3][8:] == ["-"] * 5
    assert cells[4] == ["Z 3.0", "not run", *["-"] * 11]
