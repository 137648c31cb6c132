"""The audit trail is the log: one record an event, made from the entry alone."""

from typing import Any, Final

import msgspec

from payhub_engines.core import events
from payhub_platform.contracts.audit import AuditRecord
from payhub_platform.contracts.handover import Callback

_OWN_FIELDS: Final = frozenset({"instance", "element", "tenant", "process", "payment", "trace"})


def audit_records(entry: events.LogEntry) -> list[AuditRecord]:
    """Return the audit records of an entry, one an event, positions contiguous."""
    return [_record(entry, entry.first_position + index, event) for index, event in enumerate(entry.events)]


def _record(entry: events.LogEntry, position: int, event: events.AnyEvent) -> AuditRecord:
    instance: int = getattr(event, "instance", 0)
    scope = entry.scopes[instance] if instance else _scope_of(event)
    return AuditRecord(
        position=position,
        at_ms=entry.at_ms,
        tenant=scope.tenant,
        type=type(event).__name__,
        instance=instance,
        process=scope.process,
        payment=scope.payment,
        element=getattr(event, "element", ""),
        trace=scope.trace,
        data=_data(event),
    )


def _scope_of(event: events.AnyEvent) -> events.Scope:
    """Tell whose an event outside any instance is: a message's, a hand-over's, a definition's."""
    callback: Callback | None = getattr(event, "callback", None)
    if callback is not None:
        return events.Scope(callback.tenant, callback.start_process, callback.payment, callback.trace)
    return events.Scope(
        getattr(event, "tenant", ""),
        getattr(event, "process", ""),
        getattr(event, "payment", ""),
        getattr(event, "trace", ""),
    )


def _data(event: events.AnyEvent) -> dict[str, Any]:
    return {
        name: msgspec.to_builtins(getattr(event, name), str_keys=True)
        for name in event.__struct_fields__
        if name not in _OWN_FIELDS
    }
