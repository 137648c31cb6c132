"""Where records belong in an engine's log: pure decisions over positions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from payhub_operations.audit.errors import MalformedBatchError
from payhub_platform.contracts.audit import AuditBatch, AuditRecord

FIRST_POSITION: Final = 1
_BIGINT_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999
_batch_decoder: Final = msgspec.msgpack.Decoder(AuditBatch)


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


class TenantOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many records of a tenant are stored, and in which table."""

    tenant: str
    events: int
    table: str


class AuditOverview(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/v1/audit``."""

    engines: list[EngineOverview]
    tenants: list[TenantOverview]


def decode_batch(data: bytes) -> AuditBatch:
    """Read one message of the audit stream or one answer of a replay.

    Raises:
        MalformedBatchError: it cannot be read, or its records are not consecutive.
    """
    try:
        batch = _batch_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise MalformedBatchError(f"The message cannot be read: {error}.") from error
    if not batch.engine or batch.first_position < FIRST_POSITION:
        raise MalformedBatchError("The batch names no engine or no position.")
    for expected, record in enumerate(batch.records, batch.first_position):
        if record.position != expected:
            raise MalformedBatchError(f"Position {record.position} stands where {expected} belongs.")
    return batch


def plan(next_position: int, batches: Iterable[AuditBatch]) -> Plan:
    """Decide which records of one engine follow what is stored.

    Batches may overlap, repeat each other and what is stored, and come in any order. What lies behind a
    gap is not stored now: rows arrive in the order of the log.
    """
    records: list[AuditRecord] = []
    for batch in sorted(batches, key=lambda batch: batch.first_position):
        if not batch.records or batch.records[-1].position < next_position:
            continue
        if batch.first_position > next_position:
            gap = Gap(from_position=next_position, to_position=batch.first_position - 1)
            return Plan(records=records, next_position=next_position, gap=gap)
        records += batch.records[next_position - batch.first_position :]
        next_position = records[-1].position + 1
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
        # Unlike json.dumps this writes no NaN and no Infinity, which jsonb refuses.
        "data": msgspec.json.encode(_without_nul(record.data)).decode(),
    }


def moment(at_ms: int) -> datetime:
    """Turn milliseconds since the Unix epoch into a time that PostgreSQL can hold."""
    return _EPOCH + timedelta(milliseconds=min(max(at_ms, 0), _AT_MS_MAX))


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
