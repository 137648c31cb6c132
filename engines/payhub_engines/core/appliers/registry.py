"""Appliers by event and version.

A released applier is never edited: a change is a new one that names the next version, and ``CURRENT_VERSION``
grows. An entry of the log names the version that decided it, so that replay uses the appliers of then.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from payhub_engines.core.errors import ReplayError
from payhub_engines.core.events import Event
from payhub_engines.core.records import ElementInstance
from payhub_engines.core.state import State

CURRENT_VERSION: Final = 4
OLDEST_VERSION: Final = 2  # 1 was never released

Applier = Callable[[Any, State], None]
_ApplierT = TypeVar("_ApplierT", bound=Applier)
_APPLIERS: Final[dict[int, dict[type[Event], Applier]]] = {}


def applier(*event_types: type[Event], version: int = OLDEST_VERSION) -> Callable[[_ApplierT], _ApplierT]:
    """Register how events change the state, from a version of the log on."""

    def register(function: _ApplierT) -> _ApplierT:
        registered = _APPLIERS.setdefault(version, {})
        for event_type in event_types:
            if event_type in registered:
                raise ValueError(f"{event_type.__name__} has an applier of version {version} already")
            registered[event_type] = function
        return function

    return register


def appliers_of(version: int) -> dict[type[Event], Applier]:
    """Return, for each event, the newest applier that is not newer than a version of the log."""
    found: dict[type[Event], Applier] = {}
    for known in sorted(_APPLIERS):
        if known <= version:
            found.update(_APPLIERS[known])
    return found


def changed_element(state: State, key: int, element_instance: int) -> ElementInstance:
    """Return an element instance to change."""
    found = state.instances.change(key).elements.get(element_instance)
    if found is None:
        detail = f"An event names element instance {element_instance}, which is not in instance {key}."
        raise ReplayError("unknown-element", detail)
    return found
