"""The state file of a running installation: written by its supervisor, read by `payhub status`."""

from pathlib import Path
from typing import Final

import msgspec

from payhub_cli.errors import NotRunningError
from payhub_cli.local import files
from payhub_cli.process import ProcessState

DATA_ROOT: Final = Path(".payhub")  # below it each profile has a folder, unless another one is named
FILE_NAME: Final = "state.json"


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One process as the supervisor last saw it."""

    name: str
    pid: int
    url: str
    state: ProcessState
    restarts: int
    is_python: bool
    log: str


class InstallationState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that may be known of an installation without asking it; no secrets."""

    profile: str
    supervisor_pid: int
    processes: list[ProcessRecord]


def write(folder: Path, state: InstallationState) -> None:
    """Replace the state file."""
    files.write_private(folder / FILE_NAME, msgspec.json.encode(state))


def read(folder: Path) -> InstallationState:
    """Read the state file.

    Raises:
        NotRunningError: there is none.
    """
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=InstallationState)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotRunningError(f"No installation in {folder}. Start one: payhub up.") from error
    except PermissionError as error:
        raise NotRunningError(f"{folder} belongs to somebody else.") from error
