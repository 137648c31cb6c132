"""`payhub bench engine` for real and briefly: nothing is lost or doubled, also when the leader is killed."""

import json

from click.testing import CliRunner

from payhub_cli.main import cli

PAYMENTS = 300


def bench(folder, *options):
    arguments = ["bench", "engine", "--json", "--payments", str(PAYMENTS), "--in-flight", "20"]
    done = CliRunner().invoke(cli, [*arguments, "--data", str(folder), *options])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def is_exact(found):
    return (found["lost"], found["duplicated"], found["wrong"]) == (0, 0, [])


def test_one_replica_does_every_payment_once_and_exports_every_event(tmp_path):
    found, said = bench(tmp_path, "--replicas", "1")
    assert is_exact(found)
    assert (found["payments"], found["replicas"], found["fsync"], found["exported"]) == (
        PAYMENTS,
        1,
        True,
        True,
    )
    assert found["payments_per_s"] > 0
    assert found["cpu_ms_per_payment_leader"] > 0
    assert "replica 1 leads" in said


def test_three_replicas_survive_the_loss_of_the_leader(tmp_path):
    found, said = bench(tmp_path, "--replicas", "3", "--kill", "--mutual-tls")
    assert is_exact(found)
    assert (found["payments"], found["exported"]) == (PAYMENTS, True)
    assert found["recovery_s"] > 0
    assert found["caught_up"] is True
    assert found["cpu_ms_per_payment_follower"] > 0
    assert f"killed replica {found['killed']}" in said


def test_a_flood_is_measured_and_nothing_is_lost_in_it(tmp_path):
    arguments = ["bench", "engine", "--flood", "--json", "--replicas", "1", "--no-export", "--seconds", "1"]
    done = CliRunner().invoke(cli, [*arguments, "--in-flight", "100", "--data", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert is_exact(found)
    assert found["calm_p99_ms"].keys() == found["flood_p99_ms"].keys() == set("BCDE")
    assert found["ratio"] > 0


def test_a_folder_that_was_measured_in_is_refused(tmp_path):
    (tmp_path / "old").mkdir()
    done = CliRunner().invoke(cli, ["bench", "engine", "--data", str(tmp_path)])
    assert done.exit_code != 0
    assert "not empty" in str(done.exception)
