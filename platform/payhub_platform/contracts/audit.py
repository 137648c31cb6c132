"""Engine to operations: the committed log, exported in order with contiguous positions.

What travels are the log's own bytes: the engine forwards entries without reading them, and operations makes
the records. How to read an entry travels with it, so that neither needs to know the other's release.
"""

from typing import Any

import msgspec

from payhub_platform.contracts.base import Contract


class AuditRecord(Contract, frozen=True, kw_only=True):
    """One event of an engine's log."""

    position: int  # contiguous per engine, from 1
    at_ms: int
    tenant: str
    type: str  # the event's name, such as JobCompleted
    instance: int = 0  # process instance key; 0 where the event belongs to none
    process: str = ""  # BPMN process id
    payment: str = ""  # transaction id
    element: str = ""  # BPMN element id
    trace: str = ""  # W3C traceparent
    data: dict[str, Any] = {}


class AuditBatch(Contract, frozen=True, kw_only=True):
    """One message on ``payhub.audit.<engine>``, msgpack: consecutive entries of the log.

    A message without entries announces one that is too large to travel in it: it is asked for.
    """

    engine: str
    first_position: int  # of the first event
    count: int  # events in the entries, or in the one announced
    entries: list[bytes] = []  # each an ``EntryShape``
    schema: bytes = b""  # msgpack of ``dict[int, EventShape]`` by the events' tags
    entry_bytes: int = (
        0  # answers only: the length of the one entry of which a part is given; 0: all are whole
    )


class EventShape(msgspec.Struct, frozen=True, array_like=True):
    """How to read an event, which is written as ``[tag, *fields]``."""

    name: str
    fields: list[str]
    defaults: list[Any]  # of the last fields; an event of an older release ends before them


class ScopeShape(msgspec.Struct, frozen=True, array_like=True):
    """Whose a process instance is."""

    tenant: str
    process: str
    payment: str
    trace: str


class EntryShape(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the log, as far as operations reads it; more may follow."""

    first_position: int
    at_ms: int
    events: list[list[Any]]
    scopes: dict[int, ScopeShape]  # by process instance


class ReplayRequest(Contract, frozen=True, kw_only=True):
    """Request on ``payhub.replay.<engine>``: operations lacks events and asks for them (again).

    The leader answers ``AuditBatch``: whole entries, of which the first holds ``from_position``. They begin
    later where its log no longer holds that. Operations then asks on ``payhub.replay.<engine>.held``, where
    every replica answers that holds it. An entry too large for one message comes in parts, by ``offset``.
    """

    from_position: int
    count: int
    offset: int = 0  # byte


class Confirmed(Contract, frozen=True, kw_only=True):
    """Answer on ``payhub.confirmed.<engine>``: operations has stored all before this position for good."""

    next_position: int
