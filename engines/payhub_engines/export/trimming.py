"""How much of the log may be forgotten: what operations has stored, and never more than the disk can bear."""

from typing import Final

import msgspec

LOG_BYTES_KEPT_MAX: Final = 16 * 1024**3


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds on disk."""

    first_index: int
    next_index: int  # behind the last entry
    size_bytes: int


class Trim(msgspec.Struct, frozen=True, kw_only=True):
    """Entries below an index may go; ``unconfirmed`` of them were not known to be stored elsewhere."""

    below_index: int
    unconfirmed: int = 0


def decide_trim(
    held: Held,
    exported_index: int | None,
    confirmed_index: int | None,
    *,
    waits_for_operations: bool = True,
    bytes_kept_max: int = LOG_BYTES_KEPT_MAX,
) -> Trim:
    """Decide below which index the log may be forgotten.

    Args:
        held: what there is.
        exported_index: JetStream has acknowledged all below it; None where this replica does not know.
        confirmed_index: operations has stored all below it; None where it has not said so yet.
        waits_for_operations: whether JetStream's acknowledgement is not enough.
        bytes_kept_max: beyond it the oldest entries go whatever was stored: an engine whose disk is full
            can finish no payment.
    """
    safe_index = _stored_index(exported_index, confirmed_index, waits_for_operations=waits_for_operations)
    if safe_index is None:
        safe_index = held.first_index
    safe_index = min(max(safe_index, held.first_index), held.next_index)
    forced_index = held.first_index + _entries_too_many(held, bytes_kept_max)
    return Trim(
        below_index=max(safe_index, forced_index),
        unconfirmed=max(forced_index - safe_index, 0),
    )


def _stored_index(exported: int | None, confirmed: int | None, *, waits_for_operations: bool) -> int | None:
    """Return below which index all is stored elsewhere; None where that is not known."""
    if exported is None:
        # Operations stores nothing that was not exported, so its word is enough.
        return confirmed
    if not waits_for_operations:
        return exported
    return None if confirmed is None else min(exported, confirmed)


def _entries_too_many(held: Held, bytes_kept_max: int) -> int:
    """Return how many entries to drop, taking all for equally large; the next look corrects it."""
    excess_bytes = held.size_bytes - bytes_kept_max
    if excess_bytes <= 0:
        return 0
    entries = held.next_index - held.first_index
    return -(-entries * excess_bytes // held.size_bytes)
