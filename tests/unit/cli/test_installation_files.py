"""Files of an installation: private, whole, the same at the next start."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from payhub_cli import state
from payhub_cli.errors import AlreadyRunningError, NotRunningError
from payhub_cli.installation import _locked
from payhub_cli.local import files
from payhub_cli.main import cli
from payhub_cli.process import without_credentials
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
