"""The base of every contract."""

import msgspec


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A body or message between two processes: immutable, strict, written without defaults."""
