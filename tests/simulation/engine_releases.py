"""Two releases in one group: each replica decides and applies as its own release does, which a life tells.

The newer release differs by one applier, so that whoever applies an entry with another release's is found.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from msgspec.structs import replace
from simulation.engine_loop import release_of_life

from payhub_engines.core import decision, events
from payhub_engines.core.appliers import passing, registry
from payhub_engines.core.appliers.registry import CURRENT_VERSION, appliers_of
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.processor import Batch
from payhub_engines.core.state import State

OLD, NEW = CURRENT_VERSION, CURRENT_VERSION + 1
_job_failed_before = appliers_of(OLD)[events.JobFailed]


def release() -> int:
    """Return which release runs: that of the process; outside of all, the newer one."""
    return release_of_life() or NEW


def _job_failed(event: events.JobFailed, state: State) -> None:
    """Count an attempt twice, as no release does."""
    _job_failed_before(event, state)
    place = state.index.jobs[event.job]
    job = state.instances.change(place[0]).elements[place[1]].job
    assert job is not None
    job.attempt += 1


class _AppliersOfRelease(dict[type[events.Event], Any]):
    def __missing__(self, kind: type[events.Event]) -> Any:
        return appliers_of(release())[kind]


@contextlib.contextmanager
def two_releases() -> Iterator[None]:
    """Let the release of each process count."""
    check, seal = passing._check, Batch.seal

    def checked(entry: events.LogEntry, state: State) -> None:
        if entry.version > release():
            raise ReplayError("log-version", f"The entry needs appliers of version {entry.version}.")
        check(entry, state)

    def sealed(batch: Batch) -> events.LogEntry | None:
        entry = seal(batch)
        return None if entry is None else replace(entry, version=release())

    known = {**registry._APPLIERS, NEW: {events.JobFailed: _job_failed}}
    with (
        mock.patch.object(registry, "_APPLIERS", known),
        mock.patch.object(passing, "CURRENT_VERSION", NEW),
        mock.patch.object(decision, "APPLIERS", _AppliersOfRelease()),
        mock.patch.object(passing, "_check", checked),
        mock.patch.object(Batch, "seal", sealed),
    ):
        yield
