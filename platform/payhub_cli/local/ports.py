"""Ports on the loopback interface: chosen free, and the same again at the next start where still free."""

import secrets
import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from payhub_cli.local import files

LOOPBACK: Final = "127.0.0.1"
# A port that is kept must not be one that the system gives to others meanwhile: on Linux from 32,768 on.
PORTS: Final = range(20_000, 30_000)
TRIES_MAX: Final = 100


def choose_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """Return a free port for each name, no two the same, and remember them in ``file``."""
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name)
        if port is None or not is_free(port):
            port = _another({*known.values(), *chosen.values()})
        chosen[name] = port
    if chosen != known:
        files.write_private(file, msgspec.json.encode(chosen))
    return chosen


def _another(given: Collection[int]) -> int:
    for _ in range(TRIES_MAX):
        port = secrets.choice(PORTS)
        if port not in given and is_free(port):
            return port
    raise OSError(f"no free port on {LOOPBACK} from {PORTS.start} to {PORTS.stop - 1}")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as probe:
        # Connections of the previous run in TIME_WAIT do not make a port taken; a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
