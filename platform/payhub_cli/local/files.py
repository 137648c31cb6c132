"""Small files that only their owner may read, written whole or not at all; folders of their own."""

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from payhub_cli.errors import FolderError


def new_folder(root: Path, prefix: str) -> Path:
    """Make a folder of a name that nobody has.

    Raises:
        FolderError: none can be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    except OSError as error:
        raise FolderError(f"None can be made in {root}: {error.strerror}.") from error


def write_private(file: Path, content: bytes) -> None:
    """Write a file with mode 600; after a crash it holds the old content or the new."""
    unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(file)


def load_secrets(file: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Return the secrets kept in ``file``; those that are missing are made once and kept."""
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
    complete = {name: known.get(name) or make() for name, make in makers.items()}
    if complete != known:
        write_private(file, msgspec.json.encode({**known, **complete}))
    return complete


def new_password() -> str:
    """Make a random password that needs no quoting in a URL, in SQL or in a configuration file."""
    return secrets.token_hex(16)
