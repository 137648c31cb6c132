"""Applies entries of which later ones are known already: what begins and ends meanwhile is passed over."""

from collections.abc import Iterable
from typing import Final

from payhub_engines.core import events
from payhub_engines.core.appliers.elements import bring
from payhub_engines.core.appliers.registry import CURRENT_VERSION, OLDEST_VERSION, Applier, appliers_of
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.events import (
    Event,
    InstanceStarted,
    LogEntry,
    VariablesMerged,
)
from payhub_engines.core.state import State

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


class Passing:
    """Hears of entries as they come, and applies them later, in order, with what it has heard by then.

    Of an instance that starts and ends within what it has heard of, nothing stays but its end: what happened
    inside it in between is passed over. The state is the same, byte for byte.
    """

    def __init__(self) -> None:
        self._ended: set[int] = set()  # in entries that are not applied yet
        self._passed: set[int] = set()  # whose start was applied, and whose end was not yet
        self._appliers: dict[int, dict[type[Event], Applier]] = {}  # by version

    def look(self, ended: Iterable[int]) -> None:
        """Take note of the instances that end in an entry, which will be applied after all others so far."""
        self._ended.update(ended)

    def apply(self, entry: LogEntry, state: State) -> None:
        """Apply the next entry.

        Raises:
            ReplayError: it is not the state's next one, or of a release that this one cannot follow.
        """
        _check(entry, state)
        known, passed = self._known(entry.version), self._passed
        for event in entry.events:
            kind = type(event)
            if kind is InstanceStarted:
                # A called instance tells its caller, with which alone it can be passed over.
                is_apart = not event.parent or event.parent in passed  # type: ignore[union-attr] # its kind
                if is_apart and event.instance in self._ended:  # type: ignore[union-attr]
                    passed.add(event.instance)  # type: ignore[union-attr]
            elif kind in _INSIDE and event.instance in passed:  # type: ignore[union-attr] # each of these has one
                continue
            elif kind in _BRINGING and event.instance in passed:  # type: ignore[union-attr]
                if event.variables:  # type: ignore[union-attr]
                    bring(event, state)  # type: ignore[arg-type]
                continue
            elif kind is VariablesMerged and event.scope and event.instance in passed:  # type: ignore[union-attr]
                continue
            known[kind](event, state)
        passed.difference_update(entry.ended)
        self._ended.difference_update(entry.ended)
        state.next_key = entry.next_key
        state.next_position = entry.first_position + len(entry.events)

    def _known(self, version: int) -> dict[type[Event], Applier]:
        found = self._appliers.get(version)
        if found is None:
            found = self._appliers[version] = appliers_of(version)
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
