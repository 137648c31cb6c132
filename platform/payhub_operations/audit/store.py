"""Stores batches: events, payments, webhooks to send and the engine's position in one transaction."""

import logging
from collections.abc import Sequence
from typing import Protocol

from payhub_operations.audit import repository
from payhub_operations.audit.errors import ReplayError
from payhub_operations.audit.model import Gap, Plan, RecordBatch, moment, plan
from payhub_operations.database import Database
from payhub_operations.payments import repository as payment_repository
from payhub_operations.payments.identifiers import Identify
from payhub_operations.payments.projection import payment_key, project
from payhub_operations.webhooks.outbox import add_deliveries
from payhub_platform.clock import Clock
from payhub_platform.contracts.audit import AuditRecord

_logger = logging.getLogger(__name__)


class Replay(Protocol):
    """Asks an engine for records again."""

    async def __call__(self, engine: str, gap: Gap) -> RecordBatch:
        """Return a batch that holds the gap's first record; it begins later where nobody holds that one.

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

    async def store(self, engine: str, batches: Sequence[RecordBatch]) -> list[AuditRecord]:
        """Store batches of one engine and return the records that were new.

        What is before a gap is stored, the gap is recorded, and the engine is asked for it. Each turn of
        the loop stores at least the first missing record, or notes that it is lost, so it ends.

        Raises:
            DatabaseError: PostgreSQL is not there; what is not stored yet must be given again.
            ReplayError: the gap could not be filled now; what lies behind it must be given again.
        """
        done = await self._store_once(engine, batches)
        stored = done.records
        while done.gap is not None:
            replayed = await self._replay(engine, done.gap)
            if not replayed.records or replayed.next_position <= done.gap.from_position:
                raise ReplayError(engine, f"position {done.gap.from_position} could not be had again")
            done = await self._store_once(engine, [replayed, *batches], _lost(done.gap, replayed))
            stored = stored + done.records
        return stored

    async def _store_once(self, engine: str, batches: Sequence[RecordBatch], lost: Gap | None = None) -> Plan:
        now = moment(self._clock())
        async with self._database.writer() as connection:
            next_position = first_position = await repository.lock_position(connection, engine, now)
            if lost is not None and lost.from_position == next_position:
                await repository.note_lost(connection, engine, lost, now)
                next_position = lost.to_position + 1
            planned, count = plan(next_position, batches), 0
            if planned.records:
                count = await repository.insert_events(connection, engine, planned.records)
                keys = {key for record in planned.records if (key := payment_key(record)) is not None}
                known = await payment_repository.lock_rows(connection, keys)
                rows = project(known, engine, planned.records, self._identify)
                await payment_repository.save_rows(connection, rows)
                await add_deliveries(connection, engine, planned.records, now)
            if planned.next_position != first_position:
                await repository.advance(connection, engine, planned.next_position, count, now)
            if planned.gap is not None:
                await repository.open_gap(connection, engine, planned.gap, now)
        if next_position != first_position:
            _logger.critical(
                "engine %s: the events at positions %d to %d are lost: no replica holds them any more",
                engine,
                first_position,
                next_position - 1,
            )
        return planned


def _lost(gap: Gap, replayed: RecordBatch) -> Gap | None:
    """Return the part of a gap that nobody holds: what lies before the records that were had again."""
    if replayed.first_position <= gap.from_position:
        return None
    return Gap(from_position=gap.from_position, to_position=min(gap.to_position, replayed.first_position - 1))


def by_engine(batches: Sequence[RecordBatch]) -> dict[str, list[RecordBatch]]:
    """Sort batches by the engine they come from, which are independent of each other."""
    sorted_batches: dict[str, list[RecordBatch]] = {}
    for batch in batches:
        sorted_batches.setdefault(batch.engine, []).append(batch)
    return sorted_batches
