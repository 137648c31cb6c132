"""The operating system's side: starting a peer's processes, killing them, and what they cost."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

STOP_S_MAX: Final = 20.0
SYNC_PROBES: Final = 50
SYNC_BYTES: Final = 4096


class PeerError(Exception):
    """A peer cannot be installed, started or reached; the message says what is missing."""


@dataclass(slots=True)
class Processes:
    """The running processes of one peer, by name."""

    log: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def is_running(self, name: str) -> bool:
        """Whether a process was started and has not ended."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        user: str | None = None,
    ) -> None:
        """Start a process; what it says goes to the log."""
        with self.log.open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    def kill(self, names: Sequence[str]) -> None:
        """Kill processes and their children with -9, and wait until they are gone."""
        for name in names:
            process = self._running[name]
            for member in reversed(_tree(process.pid)):
                _kill(member)
            process.wait()

    def stop(self) -> None:
        """Stop all, the last started first; what does not end in time is killed."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                for member in reversed(_tree(process.pid)):
                    _kill(member)
                process.wait()
        self._running.clear()

    def names(self) -> list[str]:
        """Return the names of all that were started."""
        return list(self._running)

    def cpu_s(self) -> float:
        """Return the processor time of all of them and their children, those that ended included.

        A process that has ended and was waited for is in its parent's figures, so the sum over the living
        is the whole.
        """
        return sum(_cpu_s(member) for process in self._running.values() for member in _tree(process.pid))


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def sync_us(folder: Path) -> float:
    """Return the median time to write 4 KiB at the end of a file and sync it, in microseconds."""
    path, times = folder / "sync-probe", []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    try:
        for _ in range(SYNC_PROBES):
            began = time.perf_counter()
            os.write(descriptor, bytes(SYNC_BYTES))
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(times)[len(times) // 2] * 1e6


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; none where it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
