"""The base of every event."""

import msgspec


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that happened. Nobody changes what it carries: it is written after it was applied.

    An event is a tree: the garbage collector, which looks for cycles, need not know of it.
    """
