"""Ports on the loopback interface: chosen free, and the same again at the next start where still free."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from payhub_cli.local import files

LOOPBACK: Final = "127.0.0.1"


def choose_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """Return a free port for each name and remember them in ``file``.

    All ports are held at the same time while they are chosen, so that no two names get the same one.
    """
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
    chosen: dict[str, int] = {}
    with ExitStack() as held:
        for name in names:
            bound = _bind(known.get(name, 0)) or _bind(0)
            if bound is None:
                raise OSError(f"no free port on {LOOPBACK}")
            held.enter_context(bound)
            chosen[name] = bound.getsockname()[1]
    if chosen != known:
        files.write_private(file, msgspec.json.encode(chosen))
    return chosen


def _bind(port: int) -> socket.socket | None:
    """Bind a port, or a free one for 0; None where it is taken."""
    bound = socket.socket()
    # Connections of the previous run in TIME_WAIT do not make a port taken; a listener does.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        return None
    return bound
