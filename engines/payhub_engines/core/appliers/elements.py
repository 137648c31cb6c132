"""How the state follows tokens through the elements of an instance."""

from payhub_engines.core import events, tables
from payhub_engines.core.appliers.registry import applier, changed_element
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import ElementInstance, Incident, Instance, Loop, Undoable
from payhub_engines.core.state import State

Bringing = events.ElementCompleted | events.ElementPassed | events.JobCompleted


@applier(events.ElementActivated)
def _activated(event: events.ElementActivated, state: State) -> None:
    instance = state.instances.change(event.instance)
    scope = instance.elements[event.scope]
    scope.children += 1
    waiting = scope.joins.pop(event.element, None) if scope.joins else None
    if waiting is not None:
        # A join takes one token of each flow; what a faster loop sent twice goes on waiting.
        left = {flow: count - 1 for flow, count in waiting.items() if count > 1}
        if left:
            scope.joins[event.element] = left
    # The event's variables are copied, for the element's are changed in place and the event is not.
    variables = dict(event.local) if event.local else {}
    active = ElementInstance(event.key, event.element, event.scope, variables)
    active.index = event.index
    active.undoes = event.undoes
    instance.elements[event.key] = active


@applier(events.ElementTerminated)
def _terminated(event: events.ElementTerminated, state: State) -> None:
    leave(state, state.instances.change(event.instance), event.key)


@applier(events.ElementCompleted)
def _completed(event: events.ElementCompleted, state: State) -> None:
    instance = state.instances.change(event.instance)
    leave(state, instance, event.key)
    if event.variables:
        bring(event, state)


@applier(events.ElementPassed)
def _passed(event: events.ElementPassed, state: State) -> None:
    if event.variables:
        bring(event, state)


def bring(event: Bringing, state: State) -> None:
    """Set the variables of an instance that a token brought as it left an element."""
    state.instances.change(event.instance).elements[0].variables.update(event.variables)


def leave(state: State, instance: Instance, key: int) -> None:
    """Take an element instance out of its instance, with its timers and subscriptions."""
    element = instance.elements.pop(key, None)
    if element is None or element.children or element.job:
        raise ReplayError("element-not-done", f"Element instance {key} is left, but it is not done.")
    for timer in element.timers:
        state.index.remove_timer(timer.key)
    for subscription in element.subscriptions:
        state.index.remove_subscription(instance.tenant, subscription)
    instance.elements[element.scope].children -= 1


@applier(events.SequenceFlowTaken)
def _flow_taken(event: events.SequenceFlowTaken, state: State) -> None:
    if event.join:
        scope = changed_element(state, event.instance, event.scope)
        waiting = scope.joins.setdefault(event.join, {})
        waiting[event.flow] = waiting.get(event.flow, 0) + 1


@applier(events.VariablesMerged)
def _variables_merged(event: events.VariablesMerged, state: State) -> None:
    changed_element(state, event.instance, event.scope).variables.update(event.variables)


@applier(events.LoopStarted)
def _loop_started(event: events.LoopStarted, state: State) -> None:
    changed_element(state, event.instance, event.key).loop = Loop(event.items)


@applier(events.LoopItemCompleted)
def _loop_item_completed(event: events.LoopItemCompleted, state: State) -> None:
    loop = changed_element(state, event.instance, event.key).loop
    if loop is None:
        raise ReplayError("unknown-element", f"Element instance {event.key} is no loop.")
    loop.completed += 1
    loop.outputs[event.index] = event.output


@applier(events.ErrorThrown, events.EscalationThrown)
def _thrown(_event: events.ErrorThrown | events.EscalationThrown, _state: State) -> None:
    """Change nothing: who catches it, if anybody, is activated by the next events."""


@applier(events.CompensationSubscribed)
def _compensation_subscribed(event: events.CompensationSubscribed, state: State) -> None:
    scope = changed_element(state, event.instance, event.scope)
    key = scope.undoables[-1].key + 1 if scope.undoables else 1
    undoable = Undoable(key, event.activity, event.handler, event.local)
    scope.undoables = (*scope.undoables, undoable)


@applier(events.CompensationTriggered)
def _compensation_triggered(event: events.CompensationTriggered, state: State) -> None:
    instance = state.instances.change(event.instance)
    scope, thrower = instance.elements[event.scope], instance.elements[event.key]
    known = {undoable.key: undoable for undoable in scope.undoables}
    following = tuple(known[key] for key in reversed(event.subscriptions))
    thrower.undoing = (*thrower.undoing, *following)
    scope.undoables = tuple(one for one in scope.undoables if one.key not in event.subscriptions)


@applier(events.CompensationHandled)
def _compensation_handled(event: events.CompensationHandled, state: State) -> None:
    thrower = changed_element(state, event.instance, event.key)
    thrower.undoing = thrower.undoing[:-1]


@applier(events.IncidentRaised)
def _incident_raised(event: events.IncidentRaised, state: State) -> None:
    instance = state.instances.change(event.instance)
    instance.incidents += 1
    instance.elements[event.element_instance].incident = Incident(
        event.incident, event.element, event.code, event.message, event.at_ms, event.retry
    )
    state.index.incidents[event.incident] = (event.instance, event.element_instance)


@applier(events.IncidentResolved)
def _incident_resolved(event: events.IncidentResolved, state: State) -> None:
    place = state.index.incidents.pop(event.incident, None)
    if place is None:
        raise ReplayError("unknown-incident", f"An event names incident {event.incident}, which is not open.")
    instance = state.instances.change(event.instance)
    instance.incidents -= 1
    instance.elements[place[1]].incident = None


@applier(events.IncidentRaised, version=3)
def _incident_raised_with_payload(event: events.IncidentRaised, state: State) -> None:
    _incident_raised(event, state)
    if event.payload:
        state.rows.put(tables.INCIDENT_PAYLOAD + tables.number(event.incident), tables.encode(event.payload))


@applier(events.IncidentResolved, version=3)
def _incident_resolved_with_payload(event: events.IncidentResolved, state: State) -> None:
    _incident_resolved(event, state)
    key = tables.INCIDENT_PAYLOAD + tables.number(event.incident)
    if state.rows.get(key) is not None:
        state.rows.delete(key)
