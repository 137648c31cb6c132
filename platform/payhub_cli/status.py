"""`payhub status`: each process, whether it serves, and the memory it holds."""

from pathlib import Path
from typing import Final

import click
import msgspec
import psutil

from payhub_cli import state
from payhub_cli.errors import NotRunningError
from payhub_cli.process import Health, ask_health

_MEBIBYTE: Final = 1024 * 1024
SUPERVISOR: Final = "supervisor"


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One process as it is at this moment."""

    name: str
    pid: int
    url: str
    ready: bool
    role: str  # of an engine's replica: leader or follower
    restarts: int
    resident_mb: float | None  # None where the process is gone
    is_python: bool


class InstallationStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `payhub status --json` prints. Memory is resident memory in MiB."""

    profile: str
    data: str
    ready: bool
    processes: list[ProcessStatus]
    python_resident_mb: float


def find(root: Path) -> Path:
    """Return the folder of the installation under ``root`` that runs.

    Raises:
        NotRunningError: none runs, or several do and one must be named.
    """
    found = [file.parent for file in sorted(root.glob(f"*/{state.FILE_NAME}"))]
    running = [folder for folder in found if psutil.pid_exists(state.read(folder).supervisor_pid)]
    if not running:
        raise NotRunningError(f"No installation runs under {root.resolve()}. Start one: payhub up.")
    if len(running) > 1:
        names = ", ".join(str(folder) for folder in running)
        raise NotRunningError(f"Several installations run: {names}. Name one with --data.")
    return running[0].resolve()


def measure(folder: Path) -> InstallationStatus:
    """Look at each process of the installation in ``folder``."""
    known = state.read(folder)
    supervisor = ProcessStatus(
        name=SUPERVISOR,
        pid=known.supervisor_pid,
        url="",
        ready=psutil.pid_exists(known.supervisor_pid),
        role="",
        restarts=0,
        resident_mb=_resident_mb(known.supervisor_pid),
        is_python=True,
    )
    processes = [supervisor, *(_process(record) for record in known.processes)]
    total = sum(process.resident_mb or 0.0 for process in processes if process.is_python)
    return InstallationStatus(
        profile=known.profile,
        data=str(folder),
        ready=all(process.ready for process in processes),
        processes=processes,
        python_resident_mb=round(total, 1),
    )


def run(folder: Path, *, as_json: bool) -> int:
    """Print the status; return 0 when all processes serve, else 1."""
    status = measure(folder)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        _print_table(status)
    return 0 if status.ready else 1


def _process(record: state.ProcessRecord) -> ProcessStatus:
    resident_mb = _resident_mb(record.pid)
    health = ask_health(record.url) if record.is_python else Health(is_ready=record.state == "ready")
    return ProcessStatus(
        name=record.name,
        pid=record.pid,
        url=record.url,
        ready=resident_mb is not None and health.is_ready,
        role=health.role,
        restarts=record.restarts,
        resident_mb=resident_mb,
        is_python=record.is_python,
    )


def _resident_mb(pid: int) -> float | None:
    """Return the resident memory of a process in MiB."""
    try:
        process = psutil.Process(pid)
        return round(process.memory_info().rss / _MEBIBYTE, 1)
    except psutil.NoSuchProcess:
        return None


def _print_table(status: InstallationStatus) -> None:
    click.echo(f"profile {status.profile}, data {status.data}")
    click.echo(f"{'process':16} {'pid':>8} {'ready':>6} {'role':8} {'restarts':>9} {'MB':>8}  address")
    for process in status.processes:
        memory = "gone" if process.resident_mb is None else f"{process.resident_mb:.1f}"
        ready = "yes" if process.ready else "no"
        head = (
            f"{process.name:16} {process.pid:8} {ready:>6} {process.role:8} {process.restarts:9} {memory:>8}"
        )
        click.echo(f"{head}  {process.url}")
    click.echo(f"Python processes together: {status.python_resident_mb:.1f} MB resident")
