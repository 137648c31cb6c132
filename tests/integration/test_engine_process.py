"""An engine's process alone: it serves without anybody else, stops when asked, refuses what cannot be."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import free_port

from payhub_cli.process import Health, ask_health
from payhub_cli.supervisor import STOP_WAIT_S
from payhub_platform.security.secrets import SecretBox


def environment(folder: Path, **changes: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PAYHUB_")}
    return {
        **ours,
        "PAYHUB_ENGINE_ID": "north",
        "PAYHUB_SITE": "north",
        "PAYHUB_DATA_DIR": str(folder),
        "PAYHUB_PORT": str(free_port()),
        "PAYHUB_NATS_URL": "nats://127.0.0.1:1",
        "PAYHUB_INTERNAL_TOKEN": "t",
        "PAYHUB_SECRETS_KEY": SecretBox.new_key(),
        **changes,
    }


async def until_ready(url: str, process: asyncio.subprocess.Process) -> Health:
    async with asyncio.timeout(20):
        while not (health := await asyncio.to_thread(ask_health, url)).is_ready:
            assert process.returncode is None
            await asyncio.sleep(0.05)
    return health


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_engine_alone_leads_and_stops_cleanly(tmp_path: Path, number: signal.Signals):
    told = environment(tmp_path / "engine")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "payhub_engines", env=told)
    try:
        health = await until_ready(f"http://127.0.0.1:{told['PAYHUB_PORT']}", process)
        assert (health.role, health.replica) == ("leader", "1")
        process.send_signal(number)
        async with asyncio.timeout(STOP_WAIT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_group_that_does_not_hold_together_does_not_start(tmp_path: Path):
    told = environment(tmp_path / "engine", PAYHUB_PEERS="1=127.0.0.1:1,2=127.0.0.1:2")
    done = subprocess.run(
        [sys.executable, "-m", "payhub_engines"],
        env=told,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "PAYHUB_PEERS: A group has 1, 3 or 5 replicas, not 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "engine").exists()


async def test_a_folder_of_another_engine_is_refused_in_one_line(tmp_path: Path):
    told = environment(tmp_path / "engine")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "payhub_engines", env=told)
    try:
        await until_ready(f"http://127.0.0.1:{told['PAYHUB_PORT']}", process)
    finally:
        process.terminate()
        await process.wait()
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "payhub_engines",
        env={**told, "PAYHUB_ENGINE_ID": "south"},
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        _, told_why = await other.communicate()
    [line] = told_why.decode().splitlines()
    assert other.returncode == 1
    assert "the engine does not start" in line
    assert "belongs to replica 1 of north" in line
