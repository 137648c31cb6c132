"""How the state follows what happens to instances and definitions."""

from collections.abc import Callable

from msgspec.structs import replace

from payhub_engines.core import events, tables
from payhub_engines.core.appliers.registry import applier
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import Deployed, ElementInstance, Instance, StartTimer, Undoable
from payhub_engines.core.state import State


def business_key_row(tenant: str, process: str, payment: str) -> bytes:
    """Return the row that finds an instance by tenant, process and business key."""
    return tables.BUSINESS_KEY + tables.texts(tenant, process, payment)


def business_key(instance: Instance | events.InstanceStarted) -> bytes:
    """Return the row of an instance's own business key."""
    return business_key_row(instance.tenant, instance.process, instance.payment)


@applier(events.InstanceStarted)
def _started(event: events.InstanceStarted, state: State) -> None:
    # The event's variables are copied, for the document's are changed in place and the event is not.
    root = ElementInstance(0, "", variables=dict(event.variables))
    instance = Instance(
        event.instance,
        event.process,
        event.version,
        event.tenant,
        event.payment,
        event.fingerprint,
        event.trace,
        event.at_ms,
        {0: root},
        parent=event.parent,
        parent_element=event.parent_element,
    )
    state.instances.add(instance)
    state.index.add_running(event.tenant, event.instance)
    if event.parent:
        # A called instance has no business key: its caller's is the payment's.
        caller = state.instances.change(event.parent).elements.get(event.parent_element)
        if caller is not None:  # it is not there when all of it is passed over
            caller.called = event.instance
    else:
        state.rows.put(business_key(event), tables.number(event.instance))


@applier(events.InstanceCompleted)
def _completed(event: events.InstanceCompleted, state: State) -> None:
    _end(state, event.instance, event.at_ms, "completed")


@applier(events.InstanceTerminated)
def _terminated(event: events.InstanceTerminated, state: State) -> None:
    _end(state, event.instance, event.at_ms, "terminated")


def _end(state: State, key: int, at_ms: int, outcome: str) -> None:
    instance = state.instances.change(key)
    root = instance.elements[0]
    if len(instance.elements) > 1 or root.timers or root.subscriptions:
        raise ReplayError("instance-not-done", f"Instance {key} ends, but something in it goes on.")
    instance.ended_at_ms = at_ms
    instance.outcome = outcome
    instance.elements = {0: ElementInstance(0, "", variables=root.variables)}
    state.index.remove_running(instance.tenant, key)
    state.rows.put(tables.ENDED_AT + tables.number(at_ms) + tables.number(key), b"")
    if instance.parent:
        caller = state.instances.change(instance.parent).elements.get(instance.parent_element)
        if caller is not None:
            caller.called = 0


@applier(events.InstanceCancelling)
def _cancelling(event: events.InstanceCancelling, state: State) -> None:
    state.instances.change(event.instance).outcome = "cancelling"


@applier(events.InstanceModified)
def _modified(event: events.InstanceModified, state: State) -> None:
    state.instances.change(event.instance)  # what it ended and activated follows in events of their own


@applier(events.InstanceMigrated)
def _migrated(event: events.InstanceMigrated, state: State) -> None:
    instance = state.instances.change(event.instance)
    instance.version = event.version

    def renamed(old: str) -> str:
        return event.mapping.get(old, old)

    for element in instance.elements.values():
        element.element = renamed(element.element)
        if element.incident is not None:
            element.incident = replace(element.incident, element=renamed(element.incident.element))
        element.timers = tuple(replace(one, element=renamed(one.element)) for one in element.timers)
        element.subscriptions = tuple(
            replace(one, element=renamed(one.element)) for one in element.subscriptions
        )
        element.undoables = tuple(_renamed(one, renamed) for one in element.undoables)
        element.undoing = tuple(_renamed(one, renamed) for one in element.undoing)
        element.joins = {renamed(join): flows for join, flows in element.joins.items()}


def _renamed(one: Undoable, renamed: Callable[[str], str]) -> Undoable:
    return replace(one, activity=renamed(one.activity), handler=renamed(one.handler))


@applier(events.InstancesForgotten)
def _forgotten(event: events.InstancesForgotten, state: State) -> None:
    for key in event.instances:
        instance = state.document(key)
        if instance is None or instance.ended_at_ms is None:
            raise ReplayError("unknown-instance", f"Instance {key} is forgotten, but is not among the ended.")
        state.instances.forget(key)
        number = tables.number(key)
        state.rows.delete(tables.ENDED_AT + tables.number(instance.ended_at_ms) + number)
        if not instance.parent:
            state.rows.delete(business_key(instance))


@applier(events.InstancesForgotten, version=4)
def _forgotten_4(event: events.InstancesForgotten, state: State) -> None:
    for key in event.instances:
        instance = state.document(key)
        if instance is not None:
            for known_as in instance.known_as:
                state.rows.delete(business_key_row(instance.tenant, instance.process, known_as))
    _forgotten(event, state)


@applier(events.ProcessDeployed)
def _deployed(event: events.ProcessDeployed, state: State) -> None:
    record = Deployed(event.process, event.version, event.number, event.xml, event.tenant, event.at_ms)
    key = tables.DEFINITION + tables.texts(event.process, event.version)
    state.rows.put(key, tables.encode(record))
    state.catalogue.add(parse(event.xml))


@applier(events.StartTimerCreated)
def _start_timer_created(event: events.StartTimerCreated, state: State) -> None:
    timer = StartTimer(
        event.timer,
        event.process,
        event.version,
        event.element,
        event.tenant,
        event.due_ms,
        event.interval_ms,
        event.repetitions,
    )
    state.rows.put(tables.START_TIMER + tables.number(event.timer), tables.encode(timer))
    state.index.add_timer(event.timer, (0, 0), event.due_ms)


@applier(events.StartTimerEnded)
def _start_timer_ended(event: events.StartTimerEnded, state: State) -> None:
    state.rows.delete(tables.START_TIMER + tables.number(event.timer))
    state.index.remove_timer(event.timer)


@applier(events.EngineFounded)
def _founded(event: events.EngineFounded, state: State) -> None:
    state.rows.put(tables.META_ORIGIN, event.origin.encode())


@applier(events.TenantFenced, version=4)
def _tenant_fenced(event: events.TenantFenced, state: State) -> None:
    fence = tables.number(event.epoch) + tables.number(event.first_key)
    state.rows.put(tables.FENCE + tables.texts(event.tenant), fence)
