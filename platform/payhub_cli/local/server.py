"""A server on this machine: how it is started, when it is ready, how it is stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from payhub_cli.local import guard
from payhub_cli.local.errors import LocalServerError

READY_WAIT_S: Final = 20.0
READY_POLL_S: Final = 0.02
STOP_WAIT_S: Final = 10.0

Probe = Callable[[int], bool]
"""Tells whether the process with this id serves; may block for up to a second."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A program that serves on the loopback interface.

    Attributes:
        name: such as ``nats``.
        url: where it serves, with its credentials.
        command: the program and its arguments.
        folder: its working folder.
        is_ready: tells whether it serves.
        user_id: whom it runs as; None means as we do.
        stop_signal: asks it to stop cleanly.
        death_signal: what the system sends it when we end without stopping it.
    """

    name: str
    url: str
    command: tuple[str, ...]
    folder: Path
    is_ready: Probe
    user_id: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


def guarded(command: Sequence[str], death_signal: signal.Signals, user_id: int | None) -> list[str]:
    """Return the command that runs ``command`` so that it ends when this process ends."""
    user = guard.KEEP_USER if user_id is None else user_id
    head = [sys.executable, "-I", "-S", guard.__file__]
    return [*head, str(os.getpid()), str(int(death_signal)), str(user), *command]


@contextlib.contextmanager
def running(server: LocalServer, log_file: Path) -> Iterator[LocalServer]:
    """Run a server for the length of a block, without a supervisor: for tests and one-off work.

    Raises:
        LocalServerError: it did not become ready; the end of its log is in the text.
    """
    command = guarded(server.command, server.death_signal, server.user_id)
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is payhub's own
            command,
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        _wait_until_ready(server, process, log_file)
        yield server
    finally:
        _stop(process, server.stop_signal)


def _wait_until_ready(server: LocalServer, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while not server.is_ready(process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            reason = "stopped" if process.poll() is not None else f"is not ready after {READY_WAIT_S:.0f} s"
            raise LocalServerError("local-server-start", f"{server.name} {reason}. {tail(log_file)}")
        time.sleep(READY_POLL_S)


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is not None:
        return
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tail(log_file: Path, lines: int = 5) -> str:
    """Return where a log is and its last lines, for an error message."""
    text = log_file.read_text(errors="replace") if log_file.exists() else ""
    return f"Log: {log_file}" + "".join(f"\n  {line}" for line in text.splitlines()[-lines:])
