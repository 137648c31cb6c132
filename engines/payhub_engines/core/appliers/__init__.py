"""Appliers turn events into state. Nothing else changes it, live or on replay."""

from collections.abc import Sequence
from typing import Final

from payhub_engines.core.appliers import allowances, elements, instances, messages, waits
from payhub_engines.core.appliers.passing import Passing
from payhub_engines.core.appliers.registry import CURRENT_VERSION, appliers_of
from payhub_engines.core.events import LogEntry
from payhub_engines.core.state import State

__all__ = ["APPLIERS", "CURRENT_VERSION", "Passing", "apply_entries", "apply_entry"]

_ROOMS: Final = (allowances, elements, instances, messages, waits)  # imported so that they register theirs
APPLIERS: Final = appliers_of(CURRENT_VERSION)


def apply_entry(entry: LogEntry, state: State) -> None:
    """Apply an entry of the log: on restart and on followers.

    Raises:
        ReplayError: the entry is not the next one, or of a release that this one cannot follow.
    """
    apply_entries((entry,), state)


def apply_entries(entries: Sequence[LogEntry], state: State) -> None:
    """Apply entries of the log; together they cost less than one after the other (``Passing``).

    Raises:
        ReplayError: an entry is not the next one, or of a release that this one cannot follow.
    """
    passing = Passing()
    for entry in entries:
        passing.look(entry.ended)
    for entry in entries:
        passing.apply(entry, state)
