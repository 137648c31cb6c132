"""Appliers turn events into state. Nothing else changes it, live or on replay."""

from collections.abc import Sequence
from typing import Final

from payhub_engines.core import events
from payhub_engines.core.appliers import elements, instances, messages, waits
from payhub_engines.core.appliers.registry import CURRENT_VERSION, OLDEST_VERSION, appliers_of
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.events import (
    InstanceCompleted,
    InstanceStarted,
    InstanceTerminated,
    LogEntry,
    VariablesMerged,
)
from payhub_engines.core.state import State

__all__ = ["APPLIERS", "CURRENT_VERSION", "apply_entries", "apply_entry"]

_ROOMS: Final = (elements, instances, messages, waits)  # imported so that they register theirs
APPLIERS: Final = appliers_of(CURRENT_VERSION)

_ENDS: Final = frozenset({InstanceCompleted, InstanceTerminated})
_BRINGING: Final = frozenset({events.ElementCompleted, events.ElementPassed, events.JobCompleted})
_INSIDE: Final = frozenset(
    {
        events.CompensationHandled,
        events.CompensationSubscribed,
        events.CompensationTriggered,
        events.ElementActivated,
        events.ElementTerminated,
        events.ErrorThrown,
        events.EscalationThrown,
        events.IncidentRaised,
        events.IncidentResolved,
        events.InstanceCancelling,
        events.InstanceModified,
        events.JobCancelled,
        events.JobCreated,
        events.JobErrorThrown,
        events.JobFailed,
        events.JobRetriesUpdated,
        events.LoopItemCompleted,
        events.LoopStarted,
        events.SequenceFlowTaken,
        events.SubscriptionClosed,
        events.SubscriptionOpened,
        events.TimerCancelled,
        events.TimerCreated,
        events.TimerTriggered,
    }
)


def apply_entry(entry: LogEntry, state: State) -> None:
    """Apply an entry of the log: on restart and on followers.

    Raises:
        ReplayError: the entry is not the next one, or of a release that this one cannot follow.
    """
    apply_entries((entry,), state)


def apply_entries(entries: Sequence[LogEntry], state: State) -> None:
    """Apply entries of the log; together they cost less than one after the other.

    Of an instance that starts and ends within them nothing stays but its end: what happened inside it in
    between is passed over. The state is the same, byte for byte.

    Raises:
        ReplayError: an entry is not the next one, or of a release that this one cannot follow.
    """
    passed = _started_and_ended(entries)
    for entry in entries:
        _check(entry, state)
        known = APPLIERS if entry.version == CURRENT_VERSION else appliers_of(entry.version)
        for event in entry.events:
            kind = type(event)
            if kind in _INSIDE and event.instance in passed:  # type: ignore[union-attr] # each of these has one
                continue
            if kind is VariablesMerged and event.scope and event.instance in passed:  # type: ignore[union-attr]
                continue
            if kind in _BRINGING and event.instance in passed:  # type: ignore[union-attr]
                if event.variables:  # type: ignore[union-attr]
                    elements.bring(event, state)  # type: ignore[arg-type]
                continue
            known[kind](event, state)
        state.next_key = entry.next_key
        state.next_position = entry.first_position + len(entry.events)


def _started_and_ended(entries: Sequence[LogEntry]) -> set[int]:
    """Return the instances that start and end within entries, with the one that called them if any did."""
    started: dict[int, int] = {}
    found: set[int] = set()
    for entry in entries:
        for event in entry.events:
            kind = type(event)
            if kind is InstanceStarted:
                started[event.instance] = event.parent  # type: ignore[union-attr] # narrowed by its kind
            elif kind in _ENDS and event.instance in started:  # type: ignore[union-attr]
                found.add(event.instance)  # type: ignore[union-attr]
    # A called instance tells its caller's call activity; that is passed over only together with it.
    called = sorted(instance for instance in found if started[instance])
    for instance in called:
        if started[instance] not in found:
            found.discard(instance)
    return found


def _check(entry: LogEntry, state: State) -> None:
    if entry.first_position != state.next_position:
        detail = f"Position {state.next_position} is next, the entry begins at {entry.first_position}."
        raise ReplayError("position-gap", detail)
    if not OLDEST_VERSION <= entry.version <= CURRENT_VERSION:
        detail = (
            f"The entry needs appliers of version {entry.version}; "
            f"this release has {OLDEST_VERSION} to {CURRENT_VERSION}."
        )
        raise ReplayError("log-version", detail)
