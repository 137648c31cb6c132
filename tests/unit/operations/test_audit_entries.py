"""Operations reads an engine's entries as the engine itself would, whatever the release of either."""

import random
import types
import typing
from typing import Any

import msgspec

from payhub_engines.core import events
from payhub_engines.core.audit import audit_records
from payhub_engines.export.schema import SCHEMA, event_shapes
from payhub_operations.audit.entries import RecordReader
from payhub_platform.contracts.audit import AuditRecord, EntryShape, EventShape, ScopeShape
from payhub_platform.contracts.handover import Callback, Subject

KINDS = typing.get_args(events.AnyEvent)
WORDS = ("", "a", "naïve", "\0", "x" * 300, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


INTEGERS = (0, 1, 127, 128, 255, 65_536, 2**31, 2**53, 2**63)
PLAIN = {
    int: lambda dice: dice.choice(INTEGERS),
    str: lambda dice: dice.choice(WORDS),
    bytes: lambda dice: dice.choice(WORDS).encode(),
    bool: lambda dice: dice.random() < 0.5,
    float: lambda dice: dice.choice((0.0, -1.5, 1e300)),
    types.NoneType: lambda _: None,
}
JSON = (int, str, bool, float, types.NoneType, list[Any], dict[str, Any])


def made(kind: Any, dice: random.Random, depth: int = 0) -> Any:
    """A random value of a field's type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return made(dice.choice(JSON[:-2] if depth > 3 else JSON), dice, depth + 1)
    if origin is list:
        return [made(arguments[0], dice, depth + 1) for _ in range(dice.randrange(3))]
    if origin is dict:
        key, value = arguments
        return {made(key, dice): made(value, dice, depth + 1) for _ in range(dice.randrange(3))}
    if origin in (typing.Union, types.UnionType):
        return made(dice.choice(arguments), dice, depth)
    return made_struct(kind, dice) if kind in (Callback, Subject) else PLAIN[kind](dice)


def made_struct(kind: type[msgspec.Struct], dice: random.Random) -> msgspec.Struct:
    fields = msgspec.structs.fields(kind)
    given = [field for field in fields if field.required or dice.random() < 0.5]
    return kind(**{field.name: made(field.type, dice) for field in given})


def made_entry(dice: random.Random) -> events.LogEntry:
    kinds = dice.choices(KINDS, k=dice.randrange(1, 60))
    chosen = [kind(*(made(field.type, dice) for field in msgspec.structs.fields(kind))) for kind in kinds]
    instances = {getattr(event, "instance", 0) for event in chosen} - {0}
    scopes = {instance: events.Scope(*(dice.choice(WORDS) for _ in range(4))) for instance in instances}
    return events.LogEntry(dice.randrange(1, 2**40), dice.randrange(2**45), chosen, scopes, 7, 1)


def read(entry: bytes, schema: bytes = SCHEMA) -> list[AuditRecord]:
    return RecordReader(schema).records(entry)


def test_random_entries_are_read_as_the_engine_reads_them():
    seen = set()
    for seed in range(300):
        data = events.encode_entry(made_entry(random.Random(seed)))
        expected = audit_records(events.decode_entry(data))
        assert read(data) == expected, f"seed {seed}"
        seen |= {record.type for record in expected}
    assert seen == {kind.__name__ for kind in KINDS}


def test_an_event_of_an_older_release_ends_earlier_and_has_the_defaults():
    shapes = event_shapes()
    shortened = [(tag, shape) for tag, shape in shapes.items() if shape.defaults]
    assert shortened
    dice = random.Random(1)
    for tag, shape in shortened:
        [kind] = [kind for kind in KINDS if kind.__name__ == shape.name]
        required = [made(field.type, dice) for field in msgspec.structs.fields(kind) if field.required]
        entry = events.LogEntry(1, 2, [kind(*required)], {}, 3, 1)
        instance = getattr(entry.events[0], "instance", 0)
        scopes = {instance: events.Scope("t", "p", "x", "y")} if instance else {}
        raw = [1, 2, [[tag, *required]], scopes, 3, 1]
        data = msgspec.msgpack.encode(raw)
        assert read(data) == audit_records(events.decode_entry(data))


def test_the_layout_of_an_entry_is_the_engines():
    def names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
        return kind.__struct_fields__

    assert names(events.LogEntry)[: len(names(EntryShape))] == names(EntryShape)
    assert names(events.Scope) == names(ScopeShape)
    assert events.LogEntry.__struct_config__.array_like
    assert events.Scope.__struct_config__.array_like


def test_an_event_that_only_the_exporting_release_knows_is_stored_by_its_name():
    schema = msgspec.msgpack.encode({99: EventShape("Teleported", ["instance", "element", "speed"], [1])})
    entry = EntryShape(5, 6, [[99, 3, "here"]], {3: ScopeShape("lion", "p", "tx", "t")})
    [record] = read(msgspec.msgpack.encode(entry), schema)
    assert record == AuditRecord(
        position=5,
        at_ms=6,
        tenant="lion",
        type="Teleported",
        instance=3,
        process="p",
        payment="tx",
        element="here",
        trace="t",
        data={"speed": 1},
    )


def test_what_no_schema_tells_is_kept_under_a_name_of_its_own():
    entry = msgspec.msgpack.encode(EntryShape(1, 2, [[77, 1, {"a": b"x"}], [], [2, 3, 4, "more"]], {}))
    unknown, empty, longer = read(entry)
    assert (unknown.type, unknown.data) == ("Event77", {"field1": 1, "field2": {"a": "eA=="}})
    assert (empty.type, empty.data) == ("Event0", {})
    assert longer.type == "InstanceCompleted"
    assert longer.data == {"at_ms": 4, "field3": "more"}
    assert [record.position for record in (unknown, empty, longer)] == [1, 2, 3]


def test_the_schema_is_small_beside_what_it_explains():
    assert len(SCHEMA) < 16 * 1024
