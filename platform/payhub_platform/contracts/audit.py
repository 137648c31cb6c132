"""Engine to operations: the committed log, exported in order with contiguous positions."""

from typing import Any

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
    """One message on ``payhub.audit.<engine>``: consecutive records, msgpack."""

    engine: str
    first_position: int
    records: list[AuditRecord]


class ReplayRequest(Contract, frozen=True, kw_only=True):
    """Request on ``payhub.replay.<engine>``: operations saw a gap and asks for records again.

    The engine answers ``AuditBatch`` with up to ``count`` records from ``from_position``.
    """

    from_position: int
    count: int
