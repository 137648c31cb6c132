"""Where operators are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.operators.model import Operator
from payhub_tenants.schema import operators


class OperatorRepository(Protocol):
    """Operators within one transaction of the registry; the removed ones stay, with their names."""

    async def add(self, operator: Operator) -> bool:
        """Keep a new operator; False where its id is or was taken."""
        ...

    async def save(self, operator: Operator) -> None:
        """Keep what changed of an operator."""
        ...

    async def get(self, operator_id: str) -> Operator | None:
        """Return an operator, also one that was removed."""
        ...

    async def by_digest(self, digest: str) -> Operator | None:
        """Return the active operator whose token has this digest."""
        ...

    async def all(self) -> list[Operator]:
        """Return all operators that were not removed, in the order of their ids."""
        ...

    async def founders(self) -> int:
        """Return how many approvers were ever let in by nobody."""
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

    async def save(self, operator: Operator) -> None:
        """Write all columns."""
        same = operators.c.operator_id == operator.operator_id
        await self._connection.execute(update(operators).where(same).values(asdict(operator)))

    async def get(self, operator_id: str) -> Operator | None:
        """Return an operator."""
        rows = await self._connection.execute(select(operators).where(operators.c.operator_id == operator_id))
        row = rows.mappings().first()
        return None if row is None else Operator(**row)

    async def by_digest(self, digest: str) -> Operator | None:
        """Find by the digest, which tells nothing of the token."""
        active = select(operators).where(operators.c.token_digest == digest, operators.c.state == "active")
        row = (await self._connection.execute(active)).mappings().first()
        return None if row is None else Operator(**row)

    async def all(self) -> list[Operator]:
        """Return all operators."""
        present = select(operators).where(operators.c.state != "removed")
        rows = await self._connection.execute(present.order_by(operators.c.operator_id))
        return [Operator(**row) for row in rows.mappings()]

    async def founders(self) -> int:
        """Count them."""
        alone = operators.c.roles.contains(["approver"]) & (operators.c.approved_by == "")
        counted = select(func.count()).where(alone, operators.c.state != "waiting")
        return int((await self._connection.execute(counted)).scalar() or 0)
