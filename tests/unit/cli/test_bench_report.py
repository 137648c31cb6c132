"""The bench's figures: how they are computed, their JSON keys, and what they say to people."""

import json
from array import array

import pytest

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.flood import OTHERS, FloodSettings, flood_figures
from payhub_cli.bench.ledger import Verdict
from payhub_cli.bench.load import Load, Plan
from payhub_cli.bench.measure import Cost, Written
from payhub_cli.bench.report import as_json, flood_text, text
from payhub_cli.bench.steady import Course, Kill, Settings, figures
from payhub_cli.local.disk_use import DiskUse

KEYS = {
    "payments_per_s",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "cpu_ms_per_payment_leader",
    "cpu_ms_per_payment_follower",
    "replicas",
    "fsync",
    "exported",
    "bytes_written_per_payment",
    "lost",
    "duplicated",
}
SETTINGS = Settings(
    replicas=3, seconds=10.0, payments=0, in_flight=4, rate=0.0, is_killed=False, is_mutual_tls=False
)
RIGHT = Verdict(payments=5, events=880, log_bytes=44_000, lost=0, duplicated=0, examples=[])


def done(tenant="A", latencies=(10.0, 20.0, 30.0, 40.0), seconds=2.0) -> Load:
    plan = Plan("x", tenant, 10.0)
    return Load(plan, began_at=50.0, last_at=50.0 + seconds, latencies_ms=array("d", latencies))


def course(**changes) -> Course:
    known = {
        "load": done(),
        "exports": True,
        "leader": "2",
        "leaders": 1,
        "cost": Cost({"1": 0.001, "2": 0.004, "3": 0.003}, client_s=0.0004, nats_s=0.0008),
        "costed": 4,
        "written": (Written(DiskUse(1_000, 10), 0), Written(DiskUse(5_000, 18), 999)),
        "export_lag_s": 0.5,
        "verdict": RIGHT,
    }
    return Course(**(known | changes))


def test_the_figures_are_per_payment_and_the_time_includes_the_export():
    found = figures(course(), SETTINGS)
    assert (found.payments_per_s, found.completed_per_s) == (1.6, 2.0)
    assert (found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms) == (20.0, 40.0, 40.0, 40.0)
    assert found.cpu_ms_per_payment_leader == pytest.approx(1.0)
    assert found.cpu_ms_per_payment_follower == pytest.approx(0.5)
    assert found.cpu_ms_per_payment_client == pytest.approx(0.1)
    assert found.cpu_ms_per_payment_nats == pytest.approx(0.2)
    assert (found.bytes_written_per_payment, found.bytes_counted_by) == (1_000, "device")
    assert (found.flushes_per_payment, found.log_bytes_per_payment) == (2.0, 8_800)
    assert found.problems() == []


def test_the_processes_own_account_stands_in_for_a_device_that_does_not_tell():
    found = figures(course(written=(Written(None, 200), Written(None, 600))), SETTINGS)
    assert (found.bytes_written_per_payment, found.bytes_counted_by) == (100, "processes")
    assert found.flushes_per_payment is None
    assert "own account" in text(found)


def test_json_has_the_keys_that_others_read_and_recovery_only_with_a_kill():
    document = json.loads(as_json(figures(course(), SETTINGS)))
    assert document.keys() >= KEYS
    assert document["fsync"] is True
    assert document["exported"] is True
    assert not document.keys() & {"recovery_s", "killed", "caught_up"}
    killed = course(kill=Kill("2", 51.0, Cost({}, 0.0, 0.0), 2), recovered_at=51.75, caught_up=True)
    document = json.loads(as_json(figures(killed, SETTINGS)))
    assert (document["recovery_s"], document["killed"], document["caught_up"]) == (0.75, "2", True)
    assert "recovery 0.75 s" in text(figures(killed, SETTINGS))


def test_what_must_not_be_is_told():
    verdict = Verdict(payments=5, events=1, log_bytes=1, lost=2, duplicated=1, examples=["x-1: lost"])
    kill = Kill("2", 51.0, Cost({}, 0.0, 0.0), 2)
    found = figures(course(verdict=verdict, export_lag_s=None, kill=kill), SETTINGS)
    assert found.exported is False
    assert [line.split()[0] for line in found.problems()] == ["2", "1", "Not", "No", "The", "x-1:"]
    shown = text(found)
    assert "NOT complete" in shown
    assert "never" in shown
    assert "did NOT catch up" in shown


def test_without_export_nothing_is_missing():
    found = figures(course(exports=False, export_lag_s=None), SETTINGS)
    assert (found.exported, found.problems(), found.payments_per_s) == (False, [], 2.0)
    assert "off" in text(found)


def test_cost_leaves_out_a_replica_that_was_started_meanwhile():
    before = Cost({"1": 1.0, "2": 2.0}, client_s=1.0, nats_s=0.5)
    after = Cost({"1": 1.5, "2": 0.3, "3": 9.0}, client_s=1.25, nats_s=0.75)
    assert after.since(before) == Cost({"1": 0.5}, client_s=0.25, nats_s=0.25)


def test_a_flood_compares_the_others_with_themselves():
    settings = FloodSettings(replicas=3, seconds=2.0, payments_max=100, in_flight=9, rate=5.0, is_rude=False)
    calm = [done(tenant, [10.0, 20.0]) for tenant in OTHERS]
    steady = [done(tenant, [20.0, 30.0]) for tenant in OTHERS]
    found = flood_figures(settings, calm, steady, done(), RIGHT)
    assert (found.calm_p99_of_all_ms, found.flood_p99_of_all_ms, found.ratio) == (20.0, 30.0, 1.5)
    assert found.flood_p99_ms == dict.fromkeys(OTHERS, 30.0)
    assert (found.flooder_per_s, found.problems()) == (2.0, [])
    assert json.loads(as_json(found))["ratio"] == 1.5
    assert "1.50" in flood_text(found)
    with pytest.raises(BenchError):
        flood_figures(settings, calm, [*steady[:-1], done("E", [])], done(), RIGHT)
