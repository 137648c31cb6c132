"""From the bytes of a log entry to audit records, by the schema that came with them.

Nothing of an entry is dropped: what the schema does not know is stored under a name of its own.
"""

import functools
from typing import Any, Final

import msgspec

from payhub_platform.contracts.audit import AuditRecord, EntryShape, EventShape, ScopeShape

SCHEMAS_KEPT_MAX: Final = 16  # one for each release that exports at the same time
# What a record has a field of its own for; everything else of an event is its ``data``.
_OWN_FIELDS: Final = frozenset({"instance", "element", "tenant", "process", "payment", "trace"})
_NO_SHAPES: Final[dict[int, EventShape]] = {}
_entry_decoder: Final = msgspec.msgpack.Decoder(EntryShape)
_schema_decoder: Final = msgspec.msgpack.Decoder(dict[int, EventShape])


class RecordReader:
    """Reads the entries of one batch.

    Raises:
        msgspec.MsgspecError: (all methods, and the constructor) these are no such bytes.
    """

    def __init__(self, schema: bytes) -> None:
        self._shapes = _shapes(schema) if schema else _NO_SHAPES

    def records(self, entry: bytes) -> list[AuditRecord]:
        """Return the records of an entry, one an event, positions contiguous."""
        decoded = _entry_decoder.decode(entry)
        return [
            self._record(decoded, position, event)
            for position, event in enumerate(decoded.events, decoded.first_position)
        ]

    def _record(self, entry: EntryShape, position: int, event: list[Any]) -> AuditRecord:
        name, fields = self._named(event)
        instance = fields.get("instance", 0)
        scope = entry.scopes.get(instance) if instance else None
        if scope is None:
            scope = _scope_of(fields)
        data = {field: value for field, value in fields.items() if field not in _OWN_FIELDS}
        return AuditRecord(
            position=position,
            at_ms=entry.at_ms,
            tenant=scope.tenant,
            type=name,
            instance=instance,
            process=scope.process,
            payment=scope.payment,
            element=fields.get("element", ""),
            trace=scope.trace,
            data=msgspec.to_builtins(data, str_keys=True),
        )

    def _named(self, event: list[Any]) -> tuple[str, dict[str, Any]]:
        """Return an event's name and its fields by name."""
        tag, values = event[0] if event else 0, event[1:]
        shape = self._shapes.get(tag) if isinstance(tag, int) else None
        if shape is None:
            return f"Event{tag}", {f"field{number}": value for number, value in enumerate(values, 1)}
        names, missing = shape.fields, len(shape.fields) - len(values)
        if missing > 0:
            values += shape.defaults[-missing:]
        elif missing < 0:
            names = [*names, *(f"field{number}" for number in range(len(names) + 1, len(values) + 1))]
        return shape.name, dict(zip(names, values, strict=False))


def _scope_of(fields: dict[str, Any]) -> ScopeShape:
    """Tell whose an event outside any instance is: a message's, a hand-over's, a definition's."""
    callback = fields.get("callback")
    if isinstance(callback, dict):
        return _scope(callback, process="start_process")
    return _scope(fields)


def _scope(fields: dict[str, Any], process: str = "process") -> ScopeShape:
    names = ("tenant", process, "payment", "trace")
    return ScopeShape(*(str(fields.get(name, "")) for name in names))


@functools.lru_cache(maxsize=SCHEMAS_KEPT_MAX)
def _shapes(schema: bytes) -> dict[int, EventShape]:
    return _schema_decoder.decode(schema)
