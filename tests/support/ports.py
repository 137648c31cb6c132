"""Ports for servers of tests: free, and never another worker's.

What the system chooses may be chosen again before the server has bound it; these neither the system nor
``payhub up`` chooses. Each worker of pytest-xdist has its own, and takes one again only after all others.
"""

import itertools
import os
import random

from payhub_cli.local.ports import is_free

FIRST = 10_000
PORTS_PER_WORKER = 500
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
    return next(port for port in itertools.islice(_next, PORTS_PER_WORKER) if is_free(port))
