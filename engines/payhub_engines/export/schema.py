"""How this release writes events, for those who read the export: made from the event classes themselves."""

import typing
from typing import Any, Final

import msgspec

from payhub_engines.core.events import AnyEvent, Event
from payhub_platform.contracts.audit import EventShape


def event_shapes() -> dict[int, EventShape]:
    """Return how each event is written, by tag."""
    kinds: tuple[type[Event], ...] = typing.get_args(AnyEvent)
    return {_tag(kind): _shape(kind) for kind in kinds}


def _tag(kind: type[Event]) -> int:
    tag = kind.__struct_config__.tag
    if not isinstance(tag, int):
        raise TypeError(f"{kind.__name__} has no number as its tag.")
    return tag


def _shape(kind: type[Event]) -> EventShape:
    fields = msgspec.structs.fields(kind)
    return EventShape(
        name=kind.__name__,
        fields=[field.name for field in fields],
        defaults=[_default(field) for field in fields if not field.required],
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default_factory())
    return msgspec.to_builtins(field.default)


SCHEMA: Final = msgspec.msgpack.encode(event_shapes())
