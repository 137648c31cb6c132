"""Ports for servers of tests: free, and never another worker's.

What the system chooses may be chosen again before the server has bound it; these it does not choose by
itself. Each worker of pytest-xdist has its own, and takes one again only when all have been taken.
"""

import contextlib
import itertools
import os
import random
import socket

FIRST = 12_000  # what Linux chooses for itself begins at 32,768
PORTS_PER_WORKER = 1_000
WORKERS_MAX = 20

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = FIRST + _worker % WORKERS_MAX * PORTS_PER_WORKER
# Another run on this machine has the same ports: each begins somewhere else.
_turn = random.Random().randrange(PORTS_PER_WORKER)
_next = itertools.cycle([_first + (_turn + number) % PORTS_PER_WORKER for number in range(PORTS_PER_WORKER)])


def free_ports(count):
    """Return ports on the loopback interface that nobody listens on."""
    return [free_port() for _ in range(count)]


def free_port():
    """Return one."""
    return next(port for port in itertools.islice(_next, PORTS_PER_WORKER) if _is_free(port))


def _is_free(port):
    with socket.socket() as probe, contextlib.suppress(OSError):
        # A connection of the past in TIME_WAIT does not make a port taken; a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
