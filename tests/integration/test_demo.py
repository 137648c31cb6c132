"""`payhub demo` and `payhub up`, as a newcomer runs them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support.servers import running_nats, running_postgres

DEMO_WALL_S_MAX = 60.0  # 30 s on two idle cores; tests share theirs
PYTHON_RESIDENT_MB_MAX = 450
PAYHUB = [sys.executable, "-c", "from payhub_cli.main import main; main()"]


@pytest.fixture
def folder(server_folder: Path, request: pytest.FixtureRequest) -> Path:
    made = server_folder / re.sub(r"\W", "-", request.node.name)
    made.mkdir()
    return made


def _left_running(folder: Path) -> list[str]:
    """Return the processes that still work on a folder."""
    left = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        info = process.info
        mentioned = [info["cwd"] or "", *(info["cmdline"] or [])]
        if info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in text for text in mentioned):
            left.append(" ".join(info["cmdline"] or []))
    return left


def _state_of(folder: Path) -> dict[str, int]:
    file = folder / "state.json"
    if not file.exists():
        return {}
    processes = json.loads(file.read_text())["processes"]
    ready = all(process["state"] == "ready" for process in processes)
    return {process["name"]: process["pid"] for process in processes} if ready else {}


def _wait_for_start(folder: Path) -> dict[str, int]:
    deadline = time.monotonic() + 60
    while not (pids := _state_of(folder)):
        assert time.monotonic() < deadline, "the installation did not start"
        time.sleep(0.1)
    return pids


def test_the_demonstration_holds_and_leaves_nothing_behind(folder: Path):
    done = subprocess.run(
        [*PAYHUB, "demo", "--json"], cwd=folder, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {"payments", "balances", "money_conserved", "audit", "ops_url", "wall_s"}
    assert len(document["payments"]) == 20
    assert document["money_conserved"] is True
    assert sum(row["before"] for row in document["balances"]) == sum(
        row["after"] for row in document["balances"]
    )
    assert all(row["held"] == 0 for row in document["balances"])
    assert document["audit"]["engine_events"] == document["audit"]["stored_events"] > 0
    assert document["audit"]["gaps"] == 0
    assert sorted(row["error"] for row in document["payments"] if row["error"])[:3] == [
        "3204",
        "3302",
        "4001",
    ]
    assert document["wall_s"] < DEMO_WALL_S_MAX
    assert list((folder / ".payhub").iterdir()) == []
    assert _left_running(folder) == []


def test_an_interrupted_demonstration_stops_everything_once(folder: Path):
    """The second Ctrl-C comes while everything is being stopped."""
    with subprocess.Popen([*PAYHUB, "demo", "--json"], cwd=folder, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("✓ Onboard".encode()):
            assert line, "it ended before its time"
        process.send_signal(signal.SIGINT)
        while process.stderr.readline() != b"Stopping ...\n":
            assert process.poll() is None
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.wait(30) == 130
    assert list((folder / ".payhub").iterdir()) == []
    assert _left_running(folder) == []


def test_the_demonstration_uses_servers_of_ones_own_if_they_are_empty(folder: Path):
    with running_nats(folder / "nats") as nats, running_postgres(folder / "postgres") as postgres:
        environment = {**os.environ, "NATS_URL": nats.url, "DATABASE_URL": postgres.url}

        def demonstrate(**changes: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*PAYHUB, "demo", "--json"],
                cwd=folder,
                env={**environment, **changes},
                capture_output=True,
                text=True,
                check=False,
                timeout=110,
            )

        first = demonstrate()
        assert first.returncode == 0, first.stderr
        assert "Start sandbox, engine-north" in first.stderr
        again = demonstrate()
        assert (again.returncode, again.stdout) == (2, "")
        assert "holds another installation" in again.stderr
        with running_nats(folder / "fresh") as fresh:
            half = demonstrate(NATS_URL=fresh.url)
        assert (half.returncode, half.stdout) == (2, "")
        assert "The database has institutions" in half.stderr
        assert nats.url.split(":")[2].partition("@")[0] not in again.stderr, "a password is shown"


@pytest.mark.parametrize(
    "variable",
    [
        {"NATS_URL": "nats://127.0.0.1:1"},
        {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"},
        {"NATS_URL": "bogus"},
        {"DATABASE_URL": "bogus"},
    ],
)
def test_a_server_that_does_not_answer_is_told_at_once(folder: Path, variable: dict[str, str]):
    done = subprocess.run(
        [*PAYHUB, "demo"],
        cwd=folder,
        env={**os.environ, **variable},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert next(iter(variable)) in done.stderr
    assert "Traceback" not in done.stderr
    assert list((folder / ".payhub").iterdir()) == []


def test_an_installation_is_interrupted_at_any_time(folder: Path):
    data = folder / "data"

    def interrupted(when: Callable[[], object]) -> None:
        with subprocess.Popen([*PAYHUB, "up", "--data", str(data)], stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not when():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.1)
            assert process.wait(30) == 0
        assert _left_running(data) == []
        assert not (data / "state.json").exists()

    interrupted((data / "secrets.json").exists)  # while the database is made
    interrupted((data / "state.json").exists)  # while processes start
    interrupted(lambda: _state_of(data))


def test_one_more_interruption_after_everything_has_stopped_changes_nothing():
    code = (
        "import asyncio, os, signal\n"
        "from payhub_cli.up import until_stopped\n"
        "async def work():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await asyncio.Event().wait()\n"
        "assert asyncio.run(until_stopped(work())) is None\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="others reach root's folder for its PostgreSQL alone")
def test_nobody_else_reads_what_is_in_an_installation_of_root(folder: Path):
    data = folder / "data"
    with subprocess.Popen([*PAYHUB, "up", "--data", str(data)], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for_start(data)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    opened = [
        str(path.relative_to(data))
        for path in data.iterdir()
        if path.is_dir() and path.stat().st_mode & 0o077 and path.name != "postgres"
    ]
    assert opened == []


def test_barebone_stays_small_and_stops_on_ctrl_c(folder: Path):
    data = folder / "data"
    with subprocess.Popen([*PAYHUB, "up", "--data", str(data)], stdout=subprocess.PIPE, text=True) as process:
        try:
            _wait_for_start(data)
            status = subprocess.run(
                [*PAYHUB, "status", "--data", str(data), "--json"],
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
            measured = json.loads(status.stdout)
            assert status.returncode == 0, measured
            assert measured["pythonResidentMb"] < PYTHON_RESIDENT_MB_MAX
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert _left_running(data) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_a_killed_installation_leaves_no_process_and_starts_again(folder: Path):
    data = folder / "data"
    with subprocess.Popen([*PAYHUB, "up", "--data", str(data)], stdout=subprocess.DEVNULL) as process:
        first = _wait_for_start(data)
        os.kill(first["gateway"], signal.SIGKILL)
        process.kill()
    deadline = time.monotonic() + 30
    while _left_running(data):
        assert time.monotonic() < deadline, _left_running(data)
        time.sleep(0.1)
    (data / "state.json").unlink()
    with subprocess.Popen([*PAYHUB, "up", "--data", str(data)], stdout=subprocess.DEVNULL) as process:
        try:
            assert set(_wait_for_start(data)) == set(first)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
