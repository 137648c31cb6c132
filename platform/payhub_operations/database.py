"""The only way to PostgreSQL: one transaction at a time, in the role that the work needs.

The service logs in as the owner of the schema, but row level security is forced on it and its
membership in the roles is not inherited, so that a query outside these helpers sees no tenant's rows.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from payhub_operations.schema import OPERATOR, OVERSEER, READER, WRITER
from payhub_platform.errors import UnavailableError

POOL_SIZE: Final = 3
POOL_WAIT_S: Final = 5
CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_S: Final = 15
RETRY_AFTER_S: Final = 2

# asyncpg's own errors reach us unwrapped while a connection is being made.
_FAILURES: Final = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


class DatabaseError(UnavailableError):
    """PostgreSQL is not reachable or refused the work; nothing of the transaction was done."""


class Database:
    """A small pool of connections and the roles that transactions run in."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": STATEMENT_TIMEOUT_S},
        )

    @contextlib.asynccontextmanager
    async def owner(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction as the schema's owner, for migrations and the health check.

        Raises:
            DatabaseError: PostgreSQL could not do it.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except _FAILURES as error:
            raise DatabaseError(
                "database-unavailable",
                f"The database could not do this now ({_name(error)}).",
                retry_after_s=RETRY_AFTER_S,
            ) from error

    @contextlib.asynccontextmanager
    async def tenant(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees this tenant's rows only, and cannot write.

        Role and tenant end with the transaction, so the next user of the connection has neither.
        """
        async with self._as(READER, tenant) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def operator(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees this tenant's rows only, and has its webhooks sent again."""
        async with self._as(OPERATOR, tenant) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def overseer(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees how far the audit got, and no payment."""
        async with self._as(OVERSEER) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def writer(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that stores what is of all tenants; for audit consumer and webhooks alone."""
        async with self._as(WRITER) as connection:
            yield connection

    async def ping(self) -> None:
        """Ask PostgreSQL for an answer.

        Raises:
            DatabaseError: there was none.
        """
        async with self.owner() as connection:
            await connection.execute(select(1))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def _as(self, role: str, tenant: str = "") -> AsyncIterator[AsyncConnection]:
        async with self.owner() as connection:
            await connection.execute(text(f"SET LOCAL ROLE {role}"))
            if tenant:
                await connection.execute(select(func.set_config("app.tenant", tenant, True)))  # noqa: FBT003 - SQL
            yield connection


def _name(error: BaseException) -> str:
    """Name what went wrong; never its message, which holds the values of the statement."""
    original = getattr(error, "orig", None)
    return type(getattr(original, "__cause__", None) or original or error).__name__
