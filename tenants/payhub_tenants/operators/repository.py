"""Where operators are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.operators.model import Operator
from payhub_tenants.schema import operators


class OperatorRepository(Protocol):
    """Operators within one transaction of the registry."""

    async def add(self, operator: Operator) -> bool:
        """Keep a new operator; False where its id is taken."""
        ...

    async def by_digest(self, digest: str) -> Operator | None:
        """Return the operator whose token has this digest."""
        ...

    async def all(self) -> list[Operator]:
        """Return all operators in the order of their ids."""
        ...

    async def remove(self, operator_id: str) -> bool:
        """Forget an operator, whose token then opens nothing; False where there is none."""
        ...


class SqlOperatorRepository:
    """Operators in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, operator: Operator) -> bool:
        """Keep a new operator."""
        statement = insert(operators).values(asdict(operator)).on_conflict_do_nothing()
        added = await self._connection.execute(statement.returning(operators.c.operator_id))
        return added.first() is not None

    async def by_digest(self, digest: str) -> Operator | None:
        """Find by the digest, which tells nothing of the token."""
        rows = await self._connection.execute(select(operators).where(operators.c.token_digest == digest))
        row = rows.mappings().first()
        return None if row is None else Operator(**row)

    async def all(self) -> list[Operator]:
        """Return all operators."""
        rows = await self._connection.execute(select(operators).order_by(operators.c.operator_id))
        return [Operator(**row) for row in rows.mappings()]

    async def remove(self, operator_id: str) -> bool:
        """Delete an operator."""
        gone = delete(operators).where(operators.c.operator_id == operator_id)
        return (await self._connection.execute(gone.returning(operators.c.operator_id))).first() is not None
