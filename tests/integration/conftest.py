"""Servers that integration tests share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import running_nats, running_postgres

from payhub_cli.local.server import LocalServer


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder outside pytest's own, which is closed to the user that root's PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="payhub-tests-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def nats_server(server_folder: Path) -> Iterator[LocalServer]:
    """A NATS server with JetStream; ``nats_server.url`` has the credentials."""
    with running_nats(server_folder / "nats") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[LocalServer]:
    """A PostgreSQL 18; ``postgres_server.url`` is the owner's (no superuser) of an empty database."""
    with running_postgres(server_folder / "postgres") as server:
        yield server
