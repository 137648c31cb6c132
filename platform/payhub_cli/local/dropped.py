"""Places that a server without root's privileges can reach, for PostgreSQL started by root.

Nothing of the user's own folders is opened up for it: where a parent folder is closed to others (``/root``
is), a folder of root's under ``/var/tmp`` takes its place.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from payhub_cli.local.errors import LocalServerError

NOBODY: Final = 65534
_OUTSIDE: Final = Path("/var/tmp")  # noqa: S108 - the folders in it are checked to be root's


def is_root() -> bool:
    """Tell whether this process runs as root."""
    return os.geteuid() == 0


def reachable_home(folder: Path) -> Path:
    """Return ``folder``, or the folder that stands for it where nobody could not reach it."""
    if not is_root() or _is_reachable(folder):
        return folder
    return _own_folder(_OUTSIDE / f"payhub-postgres-{_digest(folder)}")


def reachable_copy(source: Path, parts: Sequence[str]) -> Path:
    """Return ``source``, or a copy of the named parts of it where nobody could not reach one of them.

    The copy is kept for the next time; everybody may read and run it.
    """
    if not is_root() or all(_is_reachable(source / part) for part in parts):
        return source
    base = _own_folder(_OUTSIDE / f"payhub-postgres-{_digest(source)}")
    # Another release in the same place is another copy.
    copy = base / f"programs-{max((source / part).stat().st_mtime_ns for part in parts)}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=base))
        for part in parts:
            _copy(source / part, unfinished / part)
        _open_up(unfinished)
        unfinished.rename(copy)
    return copy


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _open_up(folder: Path) -> None:
    """Let everybody read a folder; under a strict umask its owner alone could."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)


def _is_reachable(folder: Path) -> bool:
    """Tell whether everybody may pass through the folder and all its parents."""
    resolved = folder.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (resolved, *resolved.parents))


def _own_folder(folder: Path) -> Path:
    """Make a folder that only we may write to; refuse one that somebody else put there."""
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise LocalServerError("unsafe-folder", f"{folder} belongs to somebody else; remove it.")
    folder.chmod(0o711)
    return folder


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
