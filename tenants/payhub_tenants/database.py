"""PostgreSQL: a small pool, transactions over the repositories, and the migrations.

The service logs in as the owner of the schema, but row level security is forced on it and its membership
in the roles is not inherited: outside of these transactions it sees no tenant's rows.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from payhub_platform.errors import UnavailableError
from payhub_tenants.approvals.repository import SqlApprovalRepository
from payhub_tenants.audit.repository import SqlAuditRepository, SqlInstallationAudit
from payhub_tenants.clients.repository import SqlClientRepository
from payhub_tenants.documents.repository import SqlDocumentRepository
from payhub_tenants.identifiers.repository import SqlIdentifierRepository
from payhub_tenants.keys.repository import SqlKeyRepository
from payhub_tenants.lifecycle.repository import SqlLifecycleRepository
from payhub_tenants.operators.repository import SqlOperatorRepository
from payhub_tenants.schema import REGISTRY_ROLE, SCHEMA, SCHEMA_VERSION, TENANT_ROLE, VERSION_TABLE
from payhub_tenants.tenants.repository import SqlTenantRepository

_logger = logging.getLogger(__name__)

POOL_SIZE: Final = 3
POOL_WAIT_S: Final = 3
CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_MS: Final = 5_000
RETRY_AFTER_S: Final = 2
MIGRATION_LOCK: Final = 7_163_001  # any number that only this schema's migrations use

# SQLSTATE classes that pass: connection lost, resources short, operator intervention (a shut down),
# lock not available; and the two codes of transactions that collided.
_PASSING_CLASSES: Final = ("08", "53", "55", "57")
_PASSING_CODES: Final = ("40001", "40P01")


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL is down, starting or overloaded; the same request may be sent again."""

    def __init__(self) -> None:
        super().__init__(
            "database-unavailable", "The database cannot be reached now.", retry_after_s=RETRY_AFTER_S
        )


@dataclass(frozen=True, slots=True)
class SqlTransaction:
    """One tenant's repositories on one connection."""

    tenants: SqlTenantRepository
    clients: SqlClientRepository
    identifiers: SqlIdentifierRepository
    lifecycle: SqlLifecycleRepository
    approvals: SqlApprovalRepository
    audit: SqlAuditRepository
    documents: SqlDocumentRepository
    keys: SqlKeyRepository


@dataclass(frozen=True, slots=True)
class SqlRegistry:
    """The registry's repositories on one connection."""

    tenants: SqlTenantRepository
    clients: SqlClientRepository
    lifecycle: SqlLifecycleRepository
    documents: SqlDocumentRepository
    operators: SqlOperatorRepository
    audit: SqlInstallationAudit


class Database:
    """PostgreSQL as a ``Store``; unavailable until ``is_current`` or ``migrate`` has found the schema."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            hide_parameters=True,  # parameters are personal data and sealed secrets
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_S,
                "server_settings": {
                    "application_name": "payhub-tenants",
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                },
            },
        )
        self._migrated = False

    @contextlib.asynccontextmanager
    async def transaction(self, tenant_id: str) -> AsyncIterator[SqlTransaction]:
        """Open a transaction of one tenant; role and tenant end with it, as the connection is shared."""
        async with self._as(TENANT_ROLE) as connection:
            await connection.execute(select(func.set_config("app.tenant", tenant_id, True)))  # noqa: FBT003 - SQL
            yield SqlTransaction(
                tenants=SqlTenantRepository(connection),
                clients=SqlClientRepository(connection),
                identifiers=SqlIdentifierRepository(connection),
                lifecycle=SqlLifecycleRepository(connection),
                approvals=SqlApprovalRepository(connection),
                audit=SqlAuditRepository(connection),
                documents=SqlDocumentRepository(connection),
                keys=SqlKeyRepository(connection),
            )

    @contextlib.asynccontextmanager
    async def registry(self) -> AsyncIterator[SqlRegistry]:
        """Open a transaction over all tenants' configuration; it sees no member and no audit."""
        async with self._as(REGISTRY_ROLE) as connection:
            yield SqlRegistry(
                tenants=SqlTenantRepository(connection),
                clients=SqlClientRepository(connection),
                lifecycle=SqlLifecycleRepository(connection),
                documents=SqlDocumentRepository(connection),
                operators=SqlOperatorRepository(connection),
                audit=SqlInstallationAudit(connection),
            )

    async def is_ready(self) -> bool:
        """Tell whether the schema is there and PostgreSQL answers."""
        if not self._migrated:
            return False
        try:
            async with self._begin() as connection:
                await connection.execute(select(1))
        except DatabaseUnavailableError:
            return False
        return True

    async def is_current(self) -> bool:
        """Tell whether the schema has the version that this code works with, and open the store if so.

        Raises:
            DatabaseUnavailableError: PostgreSQL is not there yet.
        """
        async with self._begin() as connection:
            table = f"{SCHEMA}.{VERSION_TABLE}"
            if await connection.scalar(select(func.to_regclass(table))) is not None:
                found = await connection.scalar(text(f"SELECT version_num FROM {table}"))  # noqa: S608 - constants
                self._migrated = found == SCHEMA_VERSION
        return self._migrated

    async def migrate(self) -> None:
        """Bring the schema to the newest version, in one transaction; copies of the process take turns.

        Raises:
            DatabaseUnavailableError: PostgreSQL is not there yet.
        """
        async with self._begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            await connection.run_sync(_upgrade)
        self._migrated = True

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def _as(self, role: str) -> AsyncIterator[AsyncConnection]:
        if not self._migrated:
            raise DatabaseUnavailableError
        async with self._begin() as connection:
            await connection.execute(text(f"SET LOCAL ROLE {role}"))
            yield connection

    @contextlib.asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # asyncpg's own errors arrive unwrapped while a connection is made; a TimeoutError is an OSError.
            if not _passes(error):
                raise
            _logger.warning("PostgreSQL: %s", type(error).__name__)
            raise DatabaseUnavailableError from error


def _passes(error: Exception) -> bool:
    if isinstance(error, PoolTimeoutError | InterfaceError | asyncpg.InterfaceError | OSError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error.orig, OSError):
            return True
        code = getattr(error.orig, "sqlstate", None) or ""
    else:
        code = getattr(error, "sqlstate", None) or ""
    return code[:2] in _PASSING_CLASSES or code in _PASSING_CODES


def _upgrade(connection: Connection) -> None:
    # Imported here, because it is only needed once.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
