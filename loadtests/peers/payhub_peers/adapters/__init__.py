"""The peers that can be run, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from payhub_peers.adapters.dbos_postgres import DbosPostgres
from payhub_peers.adapters.payhub_engine import PayhubEngine
from payhub_peers.adapters.restate import Restate
from payhub_peers.adapters.spiff_sqlite import SpiffSqlite
from payhub_peers.peer import Peer

PEERS: Final[Mapping[str, Callable[[Path], Peer]]] = {
    "payhub-1": partial(PayhubEngine, replicas=1),
    "payhub-3": partial(PayhubEngine, replicas=3),
    "dbos-postgres": DbosPostgres,
    "restate": Restate,
    "spiff-sqlite": SpiffSqlite,
}
