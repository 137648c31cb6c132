"""`payhub bench payments` for real and briefly: every process, every message signed, every shilling once."""

import json

import psutil
from click.testing import CliRunner

from payhub_cli.main import cli

PAYMENTS = 12


def names(process, folder):
    return any(str(folder) in word for word in process.info["cmdline"] or [])


def test_signed_payments_go_end_to_end_and_nothing_is_left_running(tmp_path):
    arguments = ["bench", "payments", "--json", "--signed", "--payments", str(PAYMENTS), "--in-flight", "4"]
    done = CliRunner().invoke(cli, [*arguments, "--seconds", "30", "--data", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["payments"], found["lost"], found["duplicated"], found["failed"]) == (PAYMENTS, 0, 0, 0)
    assert (found["signed"], found["replicas"], found["payee"]) == (True, 1, "payhub")
    assert (found["undelivered"], found["refused_messages"]) == (0, 0)
    assert found["engine_cpu_ms_per_payment"] > 0
    assert found["peer_payments_per_s"] is None
    left = [each.info["name"] for each in psutil.process_iter(["cmdline", "name"]) if names(each, tmp_path)]
    assert left == []


def test_the_switch_plays_a_payee_and_a_peer_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # neither node nor redis-server
    arguments = ["bench", "payments", "--json", "--peer", "--payments", "4", "--in-flight", "2"]
    done = CliRunner().invoke(cli, [*arguments, "--data", str(tmp_path / "data")])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["payments"], found["lost"], found["duplicated"], found["signed"]) == (4, 0, 0, False)
    assert (found["payee"], found["peer_payments_per_s"]) == ("switch", None)
    assert found["peer_not_run"] == "node is not on this machine."


def test_a_peer_that_only_pays_needs_a_payee():
    done = CliRunner().invoke(cli, ["bench", "payments", "--peer", "--payee", "payhub"])
    assert done.exit_code != 0
    assert "--peer only pays" in done.stderr
