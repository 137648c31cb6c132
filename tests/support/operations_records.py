"""Audit records as engines export them, for the tests of operations."""

from typing import Any

import msgspec

from payhub_operations.audit.model import RecordBatch
from payhub_platform.contracts.audit import AuditBatch, AuditRecord, EntryShape, EventShape, ScopeShape

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
STARTED_MS = 1_790_000_000_000
PAYER = {"partyIdType": "MSISDN", "partyIdentifier": "254712345678", "fspId": "buffalo"}
PAYEE = {"partyIdType": "MSISDN", "partyIdentifier": "254798765432"}


def record(position: int, kind: str, **fields: Any) -> AuditRecord:
    """One record of a payment that buffalo sends, unless the fields say otherwise."""
    given = {
        "at_ms": STARTED_MS + position * 10,
        "tenant": "buffalo",
        "process": "payer-fund-transfer",
        "payment": "pay-1",
        "instance": 7,
        "trace": TRACE,
    }
    return AuditRecord(position=position, type=kind, **{**given, **fields})


def outgoing(first: int, payment: str = "pay-1", tenant: str = "buffalo") -> list[AuditRecord]:
    """Six records of an outgoing payment that completes."""
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        (
            "InstanceStarted",
            "",
            {
                "variables": {
                    "payer": PAYER,
                    "payee": PAYEE,
                    "amount": {"amount": "10.5", "currency": "KES"},
                    "error": None,
                }
            },
        ),
        ("JobCompleted", "reserve-funds", {"job": 3}),
        ("MessageCorrelated", "party-found", {"name": "party-response", "via": "south"}),
        ("VariablesMerged", "", {"variables": {"payeeFsp": "lion", "error": None}, "scope": 0}),
        ("VariablesMerged", "", {"variables": {"paymentState": "COMPLETED"}, "scope": 0}),
        ("InstanceCompleted", "", {}),
    ]
    return [
        record(position, kind, element=element, data=data, payment=payment, tenant=tenant)
        for position, (kind, element, data) in enumerate(kinds, first)
    ]


def batch(records: list[AuditRecord], engine: str = "north") -> RecordBatch:
    """The records as operations reads them."""
    return RecordBatch(engine=engine, first_position=records[0].position, records=records, count=len(records))


def exported(records: list[AuditRecord], engine: str = "north") -> AuditBatch:
    """The records as an engine exports them: one entry a record, with a schema that suits them."""
    shapes: dict[int, EventShape] = {}
    entries = []
    for tag, item in enumerate(records, 1):
        own = {"instance": item.instance, "element": item.element}
        scope = ScopeShape(item.tenant, item.process, item.payment, item.trace)
        if not item.instance:
            names = ("tenant", "process", "payment", "trace", "element")
            own = {name: getattr(item, name) for name in names}
        fields = {**own, **item.data}
        shapes[tag] = EventShape(item.type, list(fields), [])
        entry = EntryShape(
            item.position,
            item.at_ms,
            [[tag, *fields.values()]],
            {item.instance: scope} if item.instance else {},
        )
        entries.append(msgspec.msgpack.encode(entry))
    return AuditBatch(
        engine=engine,
        first_position=records[0].position,
        count=len(records),
        entries=entries,
        schema=msgspec.msgpack.encode(shapes),
    )


def encoded(records: list[AuditRecord], engine: str = "north") -> bytes:
    """The records as one message's bytes."""
    return msgspec.msgpack.encode(exported(records, engine))
