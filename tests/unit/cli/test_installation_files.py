"""Files of an installation: private, whole, the same at the next start."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from payhub_cli import state
from payhub_cli.errors import AlreadyRunningError, FolderError, NotRunningError
from payhub_cli.installation import Installation, _locked, _make_folder, _replicas, _to_the_end
from payhub_cli.local import files, postgres
from payhub_cli.main import cli
from payhub_cli.process import ask_health, without_credentials
from payhub_cli.profiles import Secrets, Surroundings
from payhub_cli.status import find, measure


def _state(folder: Path, pid: int) -> None:
    folder.mkdir(parents=True)
    record = state.ProcessRecord(
        name="nats", pid=pid, url="nats://127.0.0.1:1", state="ready", restarts=0, is_python=False, log="l"
    )
    state.write(folder, state.InstallationState(profile="barebone", supervisor_pid=pid, processes=[record]))


def test_secrets_are_made_once_and_are_private(tmp_path: Path):
    file = tmp_path / "secrets.json"
    first = files.load_secrets(file, {"one": files.new_password})
    second = files.load_secrets(file, {"one": files.new_password, "two": files.new_password})
    assert second["one"] == first["one"] != second["two"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert files.load_secrets(file, {"two": files.new_password}) == {"two": second["two"]}
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_status_finds_the_installation_that_runs(tmp_path: Path):
    _state(tmp_path / "old", pid=2**22 + 1)  # above every process id
    with pytest.raises(NotRunningError, match="No installation runs"):
        find(tmp_path)
    _state(tmp_path / "new", pid=os.getpid())
    assert find(tmp_path) == tmp_path / "new"
    _state(tmp_path / "other", pid=os.getpid())
    with pytest.raises(NotRunningError, match="--data"):
        find(tmp_path)


def test_status_measures_memory_and_sees_what_is_gone(tmp_path: Path):
    _state(tmp_path / "here", pid=os.getpid())
    measured = measure(tmp_path / "here")
    assert measured.ready
    assert measured.python_resident_mb > 5
    _state(tmp_path / "gone", pid=2**22 + 1)
    measured = measure(tmp_path / "gone")
    assert not measured.ready
    assert [process.resident_mb for process in measured.processes] == [None, None]


def test_status_of_nothing_is_refused_in_a_sentence(tmp_path: Path):
    result = CliRunner().invoke(cli, ["status", "--data", str(tmp_path)])
    assert isinstance(result.exception, NotRunningError)
    assert "payhub up" in result.exception.detail


def test_a_folder_is_used_by_one_installation_at_a_time(tmp_path: Path):
    with _locked(tmp_path / "lock"), pytest.raises(AlreadyRunningError), _locked(tmp_path / "lock"):
        pass
    with _locked(tmp_path / "lock"):
        pass


def test_a_folder_of_somebody_elses_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "letter.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(FolderError, match="other things"):
        _make_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_logs_and_traces_are_private(tmp_path: Path):
    folder = tmp_path / "new"
    _make_folder(folder)
    _make_folder(folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_dir()}
    assert modes == {"logs": 0o700, "traces": 0o700}


@pytest.mark.parametrize("folder", ["/proc/payhub", "/dev/null", "/dev/null/payhub"])
def test_a_folder_that_cannot_be_is_refused_in_a_sentence(folder: str):
    result = CliRunner().invoke(cli, ["up", "--data", folder])
    assert isinstance(result.exception, FolderError)
    assert folder in result.exception.detail
    assert isinstance(CliRunner().invoke(cli, ["status", "--data", folder]).exception, NotRunningError)


def test_a_state_file_that_cannot_be_written_stops_nothing(tmp_path: Path):
    secrets = Secrets(internal_token="", secrets_key="", aggregator_token="", operator_token="")
    around = Surroundings(
        folder=tmp_path / "removed", ports={}, nats_url="", database_url="", secrets=secrets
    )
    Installation("barebone", around, [])._record([])
    assert not (tmp_path / "removed").exists()


def test_a_database_that_was_never_made_can_be_removed(tmp_path: Path):
    postgres.remove(tmp_path / "postgres")


def test_the_number_of_replicas_is_chosen_once(tmp_path: Path):
    assert _replicas(tmp_path, "barebone", 3) == 3
    assert _replicas(tmp_path, "barebone", None) == 3
    with pytest.raises(FolderError, match="has 3 replica"):
        _replicas(tmp_path, "barebone", 1)


def test_a_folder_of_an_engine_alone_keeps_it_alone(tmp_path: Path):
    (tmp_path / "engine-north").mkdir()
    with pytest.raises(FolderError, match="has 1 replica"):
        _replicas(tmp_path, "barebone", 3)
    assert _replicas(tmp_path, "barebone", None) == 1


@pytest.mark.parametrize(
    ("body", "status", "role"),
    [
        (b'{"status":"ready","replica":"1","leader":"1"}', 200, "leader"),
        (b'{"status":"ready","replica":"1","leader":"2"}', 200, "follower"),
        (b'{"status":"starting","replica":"1","leader":null}', 503, ""),
        (b'{"status":"ready"}', 200, ""),
        (b"ready", 200, ""),
    ],
)
def test_health_tells_who_leads(body: bytes, status: int, role: str):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        health = ask_health(f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert (health.role, health.is_ready) == (role, status == 200)


async def test_what_must_be_done_is_done_however_often_it_is_interrupted():
    release, done = asyncio.Event(), []

    async def work() -> None:
        await release.wait()
        done.append("stopped")

    task = asyncio.create_task(_to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["stopped"]


def test_a_missing_part_of_payhub_is_named_in_a_sentence():
    code = (
        "import sys; sys.modules['psutil'] = None; sys.argv = ['payhub', 'status']\n"
        "from payhub_cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "psutil" in done.stderr
    assert "Traceback" not in done.stderr


def test_addresses_are_shown_without_credentials():
    assert without_credentials("nats://payhub:secret@127.0.0.1:4222") == "nats://127.0.0.1:4222"
    assert without_credentials("http://127.0.0.1:80/x") == "http://127.0.0.1:80/x"


@pytest.mark.parametrize("command", ["up", "status", "demo", "version"])
def test_each_command_has_help(command: str):
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_version_is_told():
    result = CliRunner().invoke(cli, ["version"])
    assert result.output.startswith("payhub ")
