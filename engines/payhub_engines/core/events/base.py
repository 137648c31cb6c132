"""The base of every event."""

import msgspec


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened. Nobody changes what it carries: it is written after it was applied."""
