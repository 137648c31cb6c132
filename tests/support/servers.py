"""Real NATS and PostgreSQL servers for tests: the ones that `payhub up` starts, without syncing to disk."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from payhub_cli.local import nats, postgres
from payhub_cli.local.server import LocalServer, running


@contextlib.contextmanager
def running_nats(folder: Path, *, port: int | None = None) -> Iterator[LocalServer]:
    """Run a NATS server on a folder; again on the same folder, it has the same streams, port and user."""
    with running(nats.prepare(folder, port=port, sync=False), folder / "server.log") as server:
        yield server


@contextlib.contextmanager
def running_postgres(folder: Path, *, port: int | None = None) -> Iterator[LocalServer]:
    """Run a PostgreSQL server on a folder; again on the same folder, it has the same data, port and role."""
    try:
        with running(postgres.prepare(folder, port=port, sync=False), folder / "server.log") as server:
            yield server
    finally:
        # Under root with a closed temporary folder the data lies elsewhere.
        if not (folder / "data").exists():
            postgres.remove(folder)
