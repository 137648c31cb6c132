"""A state on its way from one replica to another: folders of files with a manifest, read and written safely.

Names come over the network, so that every one is checked before it becomes a path.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

import msgspec

from payhub_engines.consensus.errors import SnapshotError
from payhub_engines.consensus.messages import CHUNK_BYTES, SNAPSHOT_FILES_MAX, SnapshotFile, SnapshotOffer

SNAPSHOT_BYTES_MAX: Final = 64 * 1024**3
PARTS_MAX: Final = 4
INCOMING: Final = "incoming"
READY: Final = "ready"
OUTGOING: Final = "outgoing"
PENDING_NAME: Final = "install.json"
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Pending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``install.json``: a state that is being taken over, with the log below its end."""

    index: int  # of the last entry that the state holds
    log_index: int  # of the entry that the journal begins with
    log_term: int


def path_in(folder: Path, name: str) -> Path:
    """Return where a file of a snapshot belongs.

    Raises:
        SnapshotError: the name is none that a snapshot has.
    """
    parts = name.split("/")
    if len(parts) > PARTS_MAX or not all(_PART.fullmatch(part) for part in parts):
        raise SnapshotError(f"A snapshot has no file of the name {name!r}")
    return folder.joinpath(*parts)


def check_offer(offer: SnapshotOffer) -> None:
    """Check names and sizes before anything is written.

    Raises:
        SnapshotError: something of it cannot be.
    """
    names = [file.name for file in offer.files]
    for name in names:
        path_in(Path(), name)
    if len(set(names)) != len(names):
        raise SnapshotError("A snapshot names a file twice.")
    folders = {name.rsplit("/", depth)[0] for name in names for depth in range(1, name.count("/") + 1)}
    if folders & set(names):
        raise SnapshotError("A snapshot has a file and a folder of one name.")
    if sum(file.size for file in offer.files) > SNAPSHOT_BYTES_MAX:
        raise SnapshotError("A snapshot is too large.")


def manifest(folder: Path) -> list[SnapshotFile]:
    """Read all files of a copy and return what a receiver checks them by; call it in a thread.

    Raises:
        SnapshotError: the copy has files that cannot be sent.
    """
    found: list[SnapshotFile] = []
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or path_in(folder, name) != path or len(found) == SNAPSHOT_FILES_MAX:
            raise SnapshotError(f"The copy of the state cannot be sent because of {name}.")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        found.append(SnapshotFile(name, path.stat().st_size, digest))
    return found


def read_chunk(folder: Path, file: SnapshotFile, offset: int) -> bytes:
    """Read a piece of a copy; call it in a thread."""
    with path_in(folder, file.name).open("rb") as opened:
        opened.seek(offset)
        return opened.read(CHUNK_BYTES)


class Incoming:
    """A copy being written, file by file, piece by piece; call it in one thread at a time."""

    def __init__(self, folder: Path, files: list[SnapshotFile]) -> None:
        self._folder = folder
        self._files = files
        self._position = 0
        self._descriptor: int | None = None
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write what follows; an empty file is there as soon as its turn comes.

        Raises:
            SnapshotError: a file is not what was offered.
            OSError: the disk refuses.
        """
        file = self._files[self._position]
        if self._descriptor is None:
            path = path_in(self._folder, file.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._digest.update(data)
        self._size += len(data)
        if self._size >= file.size:
            self._finish(file)

    def close(self) -> None:
        """Close what is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _finish(self, file: SnapshotFile) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        self.close()
        if self._size != file.size or self._digest.digest() != file.sha256:
            raise SnapshotError(f"{file.name} did not arrive as it was sent.")
        self._position += 1
        self._size = 0
        self._digest = hashlib.sha256()


def begin(root: Path) -> Path:
    """Return an empty folder for what comes in; what was there is removed. Call it in a thread."""
    folder = root / INCOMING
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(root / READY, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def finish(root: Path) -> Path:
    """Make a whole copy durable under its final name; return where it is. Call it in a thread."""
    incoming = root / INCOMING
    for folder in [incoming, *(path for path in incoming.rglob("*") if path.is_dir())]:
        _sync(folder)
    incoming.rename(root / READY)
    _sync(root)
    return root / READY


def mark(root: Path, pending: Pending) -> None:
    """Note, durably, that a state is being taken over: until it is cleared, the journal may be behind it."""
    unfinished = root / (PENDING_NAME + ".new")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(pending))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(root / PENDING_NAME)
    _sync(root)


def pending(root: Path) -> Pending | None:
    """Return which state was being taken over when the replica stopped.

    Raises:
        SnapshotError: the note cannot be read.
    """
    try:
        return msgspec.json.decode((root / PENDING_NAME).read_bytes(), type=Pending)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{root / PENDING_NAME} cannot be read.") from error


def clear(root: Path) -> None:
    """Remove the note and all copies: state and journal belong together again."""
    if not root.exists():
        return
    (root / PENDING_NAME).unlink(missing_ok=True)
    _sync(root)
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
