"""Files as the journal needs them, behind an interface that a simulated disk can stand in for."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from payhub_engines.consensus.errors import ReplicaIdentityError

LOCK_NAME: Final = "replica.lock"
_UNFINISHED_SUFFIX: Final = ".new"
_PARTS_MAX: Final = 1024  # the system takes no more in one call


class AppendFile(Protocol):
    """A file that only grows."""

    def append(self, parts: list[bytes]) -> None:
        """Write at the end, one part behind the other; not durable before ``sync``."""

    def sync(self) -> None:
        """Make everything appended so far durable."""

    def close(self) -> None:
        """Close without syncing."""


class Disk(Protocol):
    """One flat folder of files. A new or removed name is durable only after ``sync_directory``.

    Errors of the machine are ``OSError``.
    """

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes; fewer only at the end of the file."""

    def create(self, name: str) -> AppendFile:
        """Make a file that does not exist and open it."""

    def open(self, name: str) -> AppendFile:
        """Open an existing file at its end."""

    def truncate(self, name: str, length: int) -> None:
        """Cut a file, durably."""

    def rewrite(self, name: str, offset: int) -> None:
        """Write again, durably, what a file is read to hold from an offset on.

        After a failed sync a file shows bytes that are nowhere but in memory, and a second sync does
        nothing about them.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Write a whole small file, atomically and durably."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def sync_directory(self) -> None:
        """Make new and removed names durable."""

    def close(self) -> None:
        """Release the folder."""


class _FileAppend:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, parts: list[bytes]) -> None:
        for begin in range(0, len(parts), _PARTS_MAX):
            some = parts[begin : begin + _PARTS_MAX]
            written = os.writev(self._descriptor, some)
            if written < sum(map(len, some)):
                _write(self._descriptor, b"".join(some)[written:])

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class FileDisk:
    """A real folder, locked against a second process for as long as it is open."""

    def __init__(self, directory: Path) -> None:
        _make_directory(directory)
        self._directory = directory
        with contextlib.ExitStack() as undo:
            self._lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, self._lock)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                detail = f"Another process uses {directory}; stop it first."
                raise ReplicaIdentityError("replica-in-use", detail) from error
            undo.pop_all()

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(path.name for path in self._directory.iterdir() if path.name != LOCK_NAME)

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return (self._directory / name).stat().st_size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes; fewer only at the end of the file."""
        with (self._directory / name).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def create(self, name: str) -> AppendFile:
        """Make a file that does not exist and open it."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return _FileAppend(os.open(self._directory / name, flags, 0o600))

    def open(self, name: str) -> AppendFile:
        """Open an existing file at its end."""
        return _FileAppend(os.open(self._directory / name, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))

    def truncate(self, name: str, length: int) -> None:
        """Cut a file, durably."""
        with (self._directory / name).open("r+b") as file:
            file.truncate(length)
            os.fsync(file.fileno())

    def rewrite(self, name: str, offset: int) -> None:
        """Write again, durably, what a file is read to hold from an offset on."""
        data = self.read(name, offset, self.size(name) - offset)
        descriptor = os.open(self._directory / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # Over itself: what is durable already never goes away meanwhile.
            os.lseek(descriptor, offset, os.SEEK_SET)
            _write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, name: str, data: bytes) -> None:
        """Write a whole small file, atomically and durably."""
        unfinished = self._directory / (name + _UNFINISHED_SUFFIX)
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._directory / name)
        self.sync_directory()

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self._directory / name).unlink()

    def sync_directory(self) -> None:
        """Make new and removed names durable."""
        _sync_directory(self._directory)

    def close(self) -> None:
        """Release the folder."""
        os.close(self._lock)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_directory(directory: Path) -> None:
    """Make a folder and its parents, each durably: a journal is no safer than the path to it."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
