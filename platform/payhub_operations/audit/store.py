"""Stores batches: events, payments and the engine's position in one transaction."""

from collections.abc import Sequence
from typing import Protocol

from payhub_operations.audit import repository
from payhub_operations.audit.errors import ReplayError
from payhub_operations.audit.model import Gap, Plan, moment, plan
from payhub_operations.database import Database
from payhub_operations.payments import repository as payment_repository
from payhub_operations.payments.identifiers import Identify
from payhub_operations.payments.projection import payment_key, project
from payhub_platform.clock import Clock
from payhub_platform.contracts.audit import AuditBatch, AuditRecord


class Replay(Protocol):
    """Asks an engine for records again."""

    async def __call__(self, engine: str, gap: Gap) -> AuditBatch:
        """Return a batch that starts with the gap.

        Raises:
            ReplayError: the engine did not give it now.
        """


class AuditStore:
    """Keeps each engine's records exactly once, in order and without gaps."""

    def __init__(self, database: Database, identify: Identify, clock: Clock, replay: Replay) -> None:
        self._database = database
        self._identify = identify
        self._clock = clock
        self._replay = replay

    async def store(self, engine: str, batches: Sequence[AuditBatch]) -> list[AuditRecord]:
        """Store batches of one engine and return the records that were new.

        What is before a gap is stored, the gap is recorded, and the engine is asked for it. Each turn of
        the loop stores at least the first missing record, so it ends.

        Raises:
            DatabaseError: PostgreSQL is not there; what is not stored yet must be given again.
            ReplayError: the gap could not be filled now; what lies behind it must be given again.
        """
        done = await self._store_once(engine, batches)
        stored = done.records
        while done.gap is not None:
            replayed = await self._replay(engine, done.gap)
            if replayed.first_position != done.gap.from_position or not replayed.records:
                raise ReplayError(engine, f"position {done.gap.from_position} could not be had again")
            done = await self._store_once(engine, [replayed, *batches])
            stored = stored + done.records
        return stored

    async def _store_once(self, engine: str, batches: Sequence[AuditBatch]) -> Plan:
        now = moment(self._clock())
        async with self._database.writer() as connection:
            next_position = await repository.lock_position(connection, engine, now)
            planned = plan(next_position, batches)
            if planned.records:
                count = await repository.insert_events(connection, engine, planned.records)
                keys = {key for record in planned.records if (key := payment_key(record)) is not None}
                known = await payment_repository.lock_rows(connection, keys)
                rows = project(known, engine, planned.records, self._identify)
                await payment_repository.save_rows(connection, rows)
                await repository.advance(connection, engine, planned.next_position, count, now)
            if planned.gap is not None:
                await repository.open_gap(connection, engine, planned.gap, now)
        return planned


def by_engine(batches: Sequence[AuditBatch]) -> dict[str, list[AuditBatch]]:
    """Sort batches by the engine they come from, which are independent of each other."""
    sorted_batches: dict[str, list[AuditBatch]] = {}
    for batch in batches:
        sorted_batches.setdefault(batch.engine, []).append(batch)
    return sorted_batches
