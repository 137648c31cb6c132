"""Where records belong in an engine's log: pure decisions over positions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from payhub_operations.audit.entries import RecordReader
from payhub_operations.audit.errors import MalformedBatchError
from payhub_platform.contracts.audit import AuditBatch, AuditRecord

FIRST_POSITION: Final = 1
_BIGINT_MAX: Final = 2**63 - 1
_NUL_IN_JSON: Final = rb"\u0000"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Positions that are missing, both ends included."""

    from_position: int
    to_position: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with batches: the records to store now, in order, and the first gap behind them."""

    records: list[AuditRecord]
    next_position: int
    gap: Gap | None


class EngineOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far an engine's log is stored."""

    engine: str
    stored_events: int
    next_position: int
    gaps: int  # open ones
    lost_events: int = 0  # that no replica held any more when they were asked for


class TenantOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many records of a tenant are stored, and in which table."""

    tenant: str
    events: int
    table: str


class AuditOverview(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/v1/audit``."""

    engines: list[EngineOverview]
    tenants: list[TenantOverview]


class RecordBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consecutive records of one engine; none, but a ``count``, where they have yet to be asked for.

    Release 0.1 exported these themselves, without a count.
    """

    engine: str
    first_position: int
    records: list[AuditRecord]
    count: int = 0

    @property
    def next_position(self) -> int:
        """The position behind the last record."""
        return self.first_position + max(self.count, len(self.records))


_batch_decoder: Final = msgspec.msgpack.Decoder(AuditBatch)
_old_batch_decoder: Final = msgspec.msgpack.Decoder(RecordBatch)


def decode_batch(data: bytes) -> RecordBatch:
    """Read one message of the audit stream.

    Raises:
        MalformedBatchError: it cannot be read, or its records are not consecutive.
    """
    return read_batch(decode_message(data))


def decode_message(data: bytes) -> AuditBatch | RecordBatch:
    """Read a message or an answer, but not the entries in it.

    Raises:
        MalformedBatchError: it cannot be read.
    """
    try:
        return _batch_decoder.decode(data)
    except msgspec.MsgspecError as error:
        try:
            return _old_batch_decoder.decode(data)
        except msgspec.MsgspecError:
            raise MalformedBatchError(f"The message cannot be read: {error}.") from error


def read_batch(batch: AuditBatch | RecordBatch) -> RecordBatch:
    """Read the entries of a batch.

    Raises:
        MalformedBatchError: they cannot be read, or are not consecutive.
    """
    if isinstance(batch, AuditBatch):
        try:
            reader = RecordReader(batch.schema)
            records = [record for entry in batch.entries for record in reader.records(entry)]
        except msgspec.MsgspecError as error:
            raise MalformedBatchError(f"An entry cannot be read: {error}.") from error
        if batch.count < 0 or (batch.entries and len(records) != batch.count):
            raise MalformedBatchError(f"The batch has {len(records)} events and not {batch.count}.")
        batch = RecordBatch(
            engine=batch.engine, first_position=batch.first_position, records=records, count=batch.count
        )
    if not batch.engine or batch.first_position < FIRST_POSITION:
        raise MalformedBatchError("The batch names no engine or no position.")
    for expected, record in enumerate(batch.records, batch.first_position):
        if record.position != expected:
            raise MalformedBatchError(f"Position {record.position} stands where {expected} belongs.")
    return batch


def plan(next_position: int, batches: Iterable[RecordBatch]) -> Plan:
    """Decide which records of one engine follow what is stored.

    Batches may overlap, repeat each other and what is stored, and come in any order. What lies behind a
    gap is not stored now: rows arrive in the order of the log. Records that a batch only announces are a gap.
    """
    records: list[AuditRecord] = []
    for batch in sorted(batches, key=lambda batch: (batch.first_position, not batch.records)):
        if batch.next_position <= max(next_position, batch.first_position):
            continue
        if batch.first_position > next_position or not batch.records:
            last = (
                batch.first_position - 1 if batch.first_position > next_position else batch.next_position - 1
            )
            gap = Gap(from_position=next_position, to_position=last)
            return Plan(records=records, next_position=next_position, gap=gap)
        records += batch.records[next_position - batch.first_position :]
        next_position = batch.next_position
    return Plan(records=records, next_position=next_position, gap=None)


def row_of(engine: str, record: AuditRecord) -> dict[str, Any]:
    """Turn a record into a row of the events table that PostgreSQL is sure to take.

    PostgreSQL holds no NUL character, 64-bit integers and years to 9999. An engine writes nothing else,
    but a record that could not be stored would stop its engine's audit for good.
    """
    return {
        "tenant": _text(record.tenant),
        "engine": engine,
        "position": record.position,
        "at": moment(record.at_ms),
        "type": _text(record.type),
        "process": _text(record.process),
        "payment": _text(record.payment),
        "instance": min(max(record.instance, 0), _BIGINT_MAX),
        "element": _text(record.element),
        "trace": _text(record.trace),
        "data": _json(record.data),
    }


def moment(at_ms: int) -> datetime:
    """Turn milliseconds since the Unix epoch into a time that PostgreSQL can hold."""
    return _EPOCH + timedelta(milliseconds=min(max(at_ms, 0), _AT_MS_MAX))


def _json(data: dict[str, Any]) -> str:
    """Write JSON that jsonb takes: unlike json.dumps msgspec writes no NaN and no Infinity."""
    encoded = msgspec.json.encode(data)
    if _NUL_IN_JSON in encoded:
        encoded = msgspec.json.encode(_without_nul(data))
    return encoded.decode()


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(key)): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value
