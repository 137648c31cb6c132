"""The supervisor with real processes: restarts, clean stops, no orphans."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from payhub_cli.process import ProcessSpec
from payhub_cli.supervisor import START_CRASHES_MAX, StartError, Supervisor

TOUCH_AND_SLEEP = "import pathlib, time; pathlib.Path('up').touch(); time.sleep(60)"
DEAF = "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + TOUCH_AND_SLEEP


def _spec(folder: Path, name: str, code: str) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        command=(sys.executable, "-c", code),
        folder=folder / name,
        url="",
        is_ready=lambda _pid: (folder / name / "up").exists(),
    )


async def _until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_processes_start_together_and_stop_in_reverse_order(tmp_path: Path):
    stopped: list[str] = []

    def note(children) -> None:
        stopped.extend(c.spec.name for c in children if c.state == "stopped" and c.spec.name not in stopped)

    supervisor = Supervisor(
        [_spec(tmp_path, name, TOUCH_AND_SLEEP) for name in ("first", "second")], tmp_path / "logs", note
    )
    await supervisor.start()
    pids = [child.pid for child in supervisor.children]
    assert all(_is_alive(pid) for pid in pids)
    await supervisor.stop()
    assert stopped == ["second", "first"]
    assert not any(_is_alive(pid) for pid in pids)


async def test_a_killed_process_is_started_again(tmp_path: Path):
    supervisor = Supervisor([_spec(tmp_path, "service", TOUCH_AND_SLEEP)], tmp_path / "logs")
    await supervisor.start()
    try:
        (child,) = supervisor.children
        killed = child.pid
        (tmp_path / "service" / "up").unlink()
        os.kill(killed, signal.SIGKILL)
        await _until(lambda: child.restarts == 1 and child.state == "ready")
        assert child.pid != killed
        assert not _is_alive(killed)
    finally:
        await supervisor.stop()


async def test_a_process_that_keeps_crashing_fails_the_start_with_its_log(tmp_path: Path):
    broken = _spec(tmp_path, "broken", "raise SystemExit('the disk is full')")
    supervisor = Supervisor([broken], tmp_path / "logs")
    try:
        with pytest.raises(StartError, match="the disk is full"):
            await supervisor.start()
        assert supervisor.children[0].restarts >= START_CRASHES_MAX
    finally:
        await supervisor.stop()


async def test_a_process_that_ignores_the_stop_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("payhub_cli.supervisor.STOP_WAIT_S", 0.3)
    supervisor = Supervisor([_spec(tmp_path, "deaf", DEAF)], tmp_path / "logs")
    await supervisor.start()
    pid = supervisor.children[0].pid
    await supervisor.stop()
    assert not _is_alive(pid)


async def test_settings_of_the_surroundings_do_not_leak_into_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PAYHUB_OPERATOR_TOKEN", "not-for-everybody")
    code = "import os; print('|'.join(os.environ), flush=True); " + TOUCH_AND_SLEEP
    supervisor = Supervisor([_spec(tmp_path, "service", code)], tmp_path / "logs")
    await supervisor.start()
    await supervisor.stop()
    assert "PAYHUB_" not in (tmp_path / "logs" / "service.log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_no_process_outlives_a_killed_supervisor(tmp_path: Path):
    code = f"""
import asyncio, sys
from pathlib import Path
from payhub_cli.process import ProcessSpec
from payhub_cli.supervisor import Supervisor

async def main() -> None:
    folder = Path({str(tmp_path)!r})
    specs = [
        ProcessSpec(
            name=name,
            command=(sys.executable, "-c", {DEAF!r}),
            folder=folder / name,
            url="",
            is_ready=lambda _pid, name=name: (folder / name / "up").exists(),
        )
        for name in ("first", "second")
    ]
    supervisor = Supervisor(specs, folder / "logs")
    await supervisor.start()
    print(*(child.pid for child in supervisor.children), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(text) for text in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process outlived its supervisor"
        time.sleep(0.02)


async def test_a_start_is_not_ready_while_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_cli.supervisor.READY_WAIT_S", 3.0)  # time to print
    spec = _spec(tmp_path, "silent", "import time; print('waiting', flush=True); time.sleep(60)")
    supervisor = Supervisor([spec], tmp_path / "logs")
    try:
        with pytest.raises(StartError, match="waiting"):
            await supervisor.start()
    finally:
        await supervisor.stop()
