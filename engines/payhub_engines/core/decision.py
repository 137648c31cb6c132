"""The working sheet of one command: events appended to it are applied at once, so the next step sees them."""

from typing import Any

from payhub_engines.core import appliers, events
from payhub_engines.core.bpmn.model import Catalogue, ProcessDefinition
from payhub_engines.core.records import InstanceRow
from payhub_engines.core.state import State
from payhub_engines.core.store import Store


class Decision:
    """Collects what one command does.

    Attributes:
        now_ms: the time of the command.
        state: reads what has been decided so far.
        events: in order; all applied already.
        scopes: of every instance that the events name.
    """

    def __init__(self, catalogue: Catalogue, store: Store, now_ms: int) -> None:
        self.catalogue = catalogue
        self.now_ms = now_ms
        self.state = State(store)
        self.events: list[events.AnyEvent] = []
        self.scopes: dict[int, events.Scope] = {}
        self._store = store
        self._next_key = self.state.next_key

    def append(self, event: events.AnyEvent) -> None:
        """Decide an event and apply it."""
        appliers.apply_event(event, self._store)
        self.events.append(event)

    def new_key(self) -> int:
        """Take a key that was never used before; an event must carry it."""
        key = self._next_key
        self._next_key += 1
        appliers.advance_key(self._store, self._next_key)
        return key

    def row(self, instance: int) -> InstanceRow:
        """Return a running or ended instance and note its scope for the log entry."""
        row = self.state.instance_row(instance)
        if row is None:
            detail = f"Instance {instance} is named by the state, but not in it."
            raise appliers.ReplayError("unknown-instance", detail)
        self.scopes[instance] = events.Scope(row.tenant, row.process, row.payment, row.trace)
        return row

    def definition(self, instance: int) -> ProcessDefinition | None:
        """Return what an instance follows; None where its version is not deployed here."""
        row = self.state.instance_row(instance)
        return None if row is None else self.catalogue.get(row.process, row.version)

    def start(
        self,
        definition: ProcessDefinition,
        identity: tuple[str, str, str],
        trace: str,
        variables: dict[str, Any],
    ) -> InstanceRow:
        """Begin an instance; ``identity`` is tenant, business key and fingerprint."""
        tenant, payment, fingerprint = identity
        key = self.new_key()
        self.append(
            events.InstanceStarted(
                instance=key,
                process=definition.id,
                version=definition.version,
                tenant=tenant,
                payment=payment,
                fingerprint=fingerprint,
                trace=trace,
                variables=variables,
                at_ms=self.now_ms,
            )
        )
        return self.row(key)
