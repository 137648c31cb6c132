"""The instances that run, as documents in memory; the store holds them as of the last time it was written."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from payhub_engines.core import tables
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import Instance
from payhub_engines.core.store import Store

INSTANCES_CACHED_MAX: Final = (
    20_000  # idle ones beyond are read from the store when something happens to them
)

_decode: Final = msgspec.msgpack.Decoder(Instance).decode


class Instances:
    """Finds documents by key, remembers which have changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents: dict[int, Instance] = {}
        self._changed: set[int] = set()
        self._stored: set[int] = set()  # keys of the running ones that the store holds
        self._forgotten: set[int] = set()  # keys whose rows are still in the store

    def load(self) -> Iterator[Instance]:
        """Read all running instances; to be called once."""
        for _, raw in self._store.scan(tables.RUNNING):
            instance = _decode(raw)
            self._documents[instance.key] = instance
            self._stored.add(instance.key)
            yield instance

    def oldest(self) -> int | None:
        """Return the lowest key of an instance that is kept, running or ended; None where there is none."""
        stored = (next(self._store.scan(table), None) for table in (tables.RUNNING, tables.ENDED))
        keys = [tables.last_number(found[0]) for found in stored if found is not None]
        return min([*keys, *self._changed], default=None)

    def add(self, instance: Instance) -> None:
        """Take a new instance."""
        self._documents[instance.key] = instance
        self._changed.add(instance.key)

    def find(self, key: int) -> Instance | None:
        """Return an instance, running or ended, to read it."""
        found = self._documents.get(key)
        if found is not None or not 0 < key <= tables.NUMBER_MAX or key in self._forgotten:
            return found
        number = tables.number(key)
        raw = self._store.get(tables.RUNNING + number) or self._store.get(tables.ENDED + number)
        return None if raw is None else _decode(raw)

    def change(self, key: int) -> Instance:
        """Return an instance whose document the caller is about to change.

        Raises:
            ReplayError: ``unknown-instance``.
        """
        self._changed.add(key)
        found = self._documents.get(key)
        return self._fetch(key) if found is None else found

    def _fetch(self, key: int) -> Instance:
        found = self.find(key)
        if found is None:
            self._changed.discard(key)
            raise ReplayError("unknown-instance", f"Instance {key} is named, but it is not in the state.")
        self._documents[key] = found
        return found

    def forget(self, key: int) -> None:
        """Let go of an ended instance; it may have ended after its row as a running one was written."""
        self._documents.pop(key, None)
        self._changed.discard(key)
        self._stored.discard(key)
        self._forgotten.add(key)

    def take(self) -> dict[bytes, bytes | None]:
        """Return the rows of the documents that changed since the last call."""
        rows: dict[bytes, bytes | None] = {}
        for key in self._forgotten:
            number = tables.number(key)
            rows[tables.RUNNING + number] = rows[tables.ENDED + number] = None
        self._forgotten.clear()
        for key in sorted(self._changed):
            instance, number = self._documents[key], tables.number(key)
            if instance.is_running:
                rows[tables.RUNNING + number] = tables.encode(instance)
                self._stored.add(key)
                continue
            rows[tables.ENDED + number] = tables.encode(instance)
            del self._documents[key]
            if key in self._stored:
                self._stored.discard(key)
                rows[tables.RUNNING + number] = None
        self._changed.clear()
        return rows

    def evict(self) -> None:
        """Let go of the oldest documents beyond the bound; the store must hold all that ``take`` gave."""
        beyond = len(self._documents) - INSTANCES_CACHED_MAX
        if beyond > 0:
            for key in [key for key in self._documents if key not in self._changed][:beyond]:
                del self._documents[key]


def visible(instance: Instance, key: int) -> dict[str, Any]:
    """Return a copy of the variables that an element instance sees: its own over those around it."""
    chain: list[dict[str, Any]] = []
    elements = instance.elements
    while key:
        element = elements[key]
        if element.variables:
            chain.append(element.variables)
        key = element.scope
    found = elements[0].variables.copy()
    for variables in reversed(chain):
        found.update(variables)
    return found


def owned_by_job(instance: Instance, key: int) -> dict[str, Any]:
    """Return the variables that a task sees, for a connector, who may change what is given to it."""
    found = visible(instance, key)
    for name, value in found.items():
        if type(value) is dict or type(value) is list:
            found[name] = _owned(value)
    return found


def _owned(value: Any) -> Any:
    """Copy a value as deep as it goes."""
    if type(value) is dict:
        return {name: _owned(item) for name, item in value.items()}
    return [_owned(item) for item in value] if type(value) is list else value
