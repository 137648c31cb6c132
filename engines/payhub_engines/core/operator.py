"""What operators do to instances: resolve incidents, set variables, cancel, modify, migrate, forget."""

from typing import Any, Final

from payhub_engines.core import compensation, events, loops, timers, waits
from payhub_engines.core.bpmn.model import Element, Kind, ProcessDefinition
from payhub_engines.core.commands import (
    CancelInstance,
    ForgetInstances,
    MigrateInstance,
    ModifyInstance,
    ResolveIncident,
    SetVariables,
)
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import check_fits
from payhub_engines.core.records import ElementInstance, Incident
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.run import InstanceRun
from payhub_engines.core.tables import fits_key
from payhub_engines.core.variables import json_variables

FORGOTTEN_AT_ONCE: Final = 500
RETRIES_MAX: Final = 1_000
_NEVER_ACTIVATED: Final = frozenset({Kind.BOUNDARY, Kind.EVENT_SUB_PROCESS})


def resolve_incident(decision: Decision, command: ResolveIncident) -> Reply:
    """Set the variables that were wrong, and do the step again."""
    place = decision.state.index.incidents.get(command.incident)
    if place is None:
        return Rejected("incident-not-found", f"Incident {command.incident} is not open.")
    if not 1 <= command.retries <= RETRIES_MAX:
        return Rejected("invalid-retries", f"Give 1 to {RETRIES_MAX} retries.")
    try:
        variables = json_variables(command.variables)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    run, key = decision.run(place[0]), place[1]
    active = run.instance.elements[key]
    incident = active.incident
    payload = decision.state.incident_payload(command.incident)
    if variables:
        run.merge(key, variables)
        # What the operator sets takes the place of what could not be taken.
        payload = {name: value for name, value in payload.items() if name not in variables}
    run.resolve_incident(active)
    if incident is not None:
        _retry(run, key, incident, command.retries, payload)
    return Accepted(command.incident)


def _retry(run: InstanceRun, key: int, incident: Incident, retries: int, payload: dict[str, Any]) -> None:
    active, decision, step = run.instance.elements[key], run.decision, incident.retry
    element = run.elements.get(active.element)
    if step == "trigger":
        _trigger_again(run, active, incident.element, payload)
    elif step == timers.RETRY_STEP:
        _fire_again(run, active, incident.element)
    elif element is None:
        if step == "activate":
            run.start(incident.element)  # the start event that it began with
        else:
            decision.touched.append((run, key))
    elif step == "job" and active.job is not None:
        decision.append(events.JobRetriesUpdated(run.key, active.job.key, element.id, retries))
    elif step == "new-job":
        waits.close(run, active)
        run.execute(element, key)
    elif step == "leave":
        run.leave(key, payload)
    elif step == "loop":
        loops.look(run, element, active)
    elif step == "activate":
        _activate_again(run, element, key)
    else:
        decision.touched.append((run, key))


def _trigger_again(run: InstanceRun, active: ElementInstance, event_id: str, payload: dict[str, Any]) -> None:
    """Give an event what it could not be given, where it is still waited for."""
    found = next((one for one in active.subscriptions if one.element == event_id), None)
    if found is None:
        run.decision.touched.append((run, active.key))
        return
    if not found.is_signal:
        run.decision.append(events.MessageCorrelated(run.key, found.key, event_id, found.name))
    waits.trigger(run, active.key, event_id, payload)


def _fire_again(run: InstanceRun, active: ElementInstance, event_id: str) -> None:
    """Fire a due timer at once; the leader goes on trying it in any case."""
    for timer in active.timers:
        if timer.element == event_id and timer.due_ms <= run.decision.now_ms:
            waits.trigger_timer(run, active.key, timer.key)
            return


def _activate_again(run: InstanceRun, element: Element, key: int) -> None:
    active = run.instance.elements[key]
    is_body = element.loop is not None and not active.index
    if element.inputs and not is_body:
        try:
            local = run.mapped(element.inputs, {**run.visible(key)})
        except ExpressionError as error:
            run.raise_incident(key, element.id, error.code, error.detail, "activate")
            return
        if local:
            run.decision.append(events.VariablesMerged(run.key, local, key))
    run.execute(element, key)


def set_variables(decision: Decision, command: SetVariables) -> Reply:
    """Set variables where an operator says."""
    run = _running(decision, command.instance)
    if isinstance(run, Rejected):
        return run
    if command.element_instance not in run.instance.elements:
        return Rejected("element-not-active", f"No element instance {command.element_instance} is active.")
    try:
        variables = json_variables(command.variables)
        check_fits(decision, run.instance, variables)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    decision.append(events.VariablesMerged(run.key, variables, command.element_instance))
    return Accepted(run.key)


def cancel(decision: Decision, command: CancelInstance) -> Reply:
    """End an instance now, or after what it had completed is undone."""
    run = _running(decision, command.instance)
    if isinstance(run, Rejected):
        return run
    if run.instance.parent:
        return Rejected("instance-called", f"Cancel its caller, instance {run.instance.parent}.")
    if run.instance.outcome == "cancelling" and command.compensate:
        return Accepted(run.key, duplicate=True)
    if not command.compensate:
        run.terminate_instance()
        return Accepted(run.key)
    decision.append(events.InstanceCancelling(run.key, decision.now_ms))
    # What open sub-processes had completed is undone too: it moves out as they are interrupted.
    for active in reversed(list(run.instance.elements.values())):
        element = run.elements.get(active.element)
        if element is not None:
            compensation.move_out(run, element, active, active.undoables)
            compensation.put_back(run, active)
    run.terminate_inside(0)
    waits.close(run, run.instance.elements[0])
    compensation.begin_for_instance(run)
    return Accepted(run.key)


def modify(decision: Decision, command: ModifyInstance) -> Reply:
    """Move tokens: elements are activated before others are interrupted, so no scope ends between."""
    run = _running(decision, command.instance)
    if isinstance(run, Rejected):
        return run
    refusal = _modification_refusal(run, command)
    if refusal is not None:
        return refusal
    try:
        variables = [json_variables(activation.variables) for activation in command.activate]
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    activated = [activation.element for activation in command.activate]
    decision.append(events.InstanceModified(run.key, list(command.terminate), activated, decision.now_ms))
    for element_id, local in zip(activated, variables, strict=True):
        _activate(run, run.elements[element_id], local)
    for key in command.terminate:
        active = run.instance.elements.get(key)
        if active is not None:
            run.terminate(key)
            compensation.interrupted(run, active)
            decision.touched.append((run, active.scope))
    return Accepted(run.key)


def _modification_refusal(run: InstanceRun, command: ModifyInstance) -> Rejected | None:
    for activation in command.activate:
        element = run.elements.get(activation.element)
        if element is None or element.kind in _NEVER_ACTIVATED or _is_inside_loop(run, element):
            return Rejected("element-not-activatable", f"{activation.element} cannot be activated by hand.")
    for key in command.terminate:
        active = run.instance.elements.get(key)
        if not key or active is None:
            return Rejected("element-not-active", f"No element instance {key} is active.")
        if active.index:
            return Rejected("element-in-loop", f"Element instance {key} belongs to a loop; interrupt that.")
    return None


def _activate(run: InstanceRun, element: Element, local: dict[str, Any]) -> None:
    """Activate an element by hand, unless what was activated before has ended the instance."""
    if not run.instance.is_running:
        return
    scope = _scope_for(run, element)
    if scope not in run.instance.elements:
        return  # a message that was kept has interrupted it
    if element.loop is not None:
        loops.begin(run, element, scope, local)
    else:
        run.activate(element, scope, local)


def _is_inside_loop(run: InstanceRun, element: Element) -> bool:
    scope = element.scope
    while scope:
        around = run.elements[scope]
        if around.loop is not None or around.kind is Kind.EVENT_SUB_PROCESS:
            return True
        scope = around.scope
    return False


def _scope_for(run: InstanceRun, element: Element) -> int:
    """Return the instance of the sub-process around an element; activate it where there is none."""
    if not element.scope:
        return 0
    for active in run.instance.elements.values():
        if active.element == element.scope:
            return active.key
    around = run.elements[element.scope]
    outer = _scope_for(run, around)
    if outer not in run.instance.elements:
        return outer
    decision = run.decision
    key = decision.new_key()
    decision.append(events.ElementActivated(run.key, key, around.id, {}, outer))
    waits.open_all(run, around, key)
    return key


def migrate(decision: Decision, command: MigrateInstance) -> Reply:
    """Let an instance follow another version from where it stands."""
    run = _running(decision, command.instance)
    if isinstance(run, Rejected):
        return run
    if not fits_key(*command.mapping, *command.mapping.values()):
        return Rejected("invalid-key", "Names have at most 512 characters of valid Unicode.")
    target = decision.catalogue.get(run.definition.id, command.version)
    if target is None:
        detail = f"Version {command.version} of {run.definition.id} is not deployed."
        return Rejected("unknown-version", detail)
    refusal = _migration_refusal(run, target, command.mapping)
    if refusal is not None:
        return refusal
    decision.append(events.InstanceMigrated(run.key, command.version, command.mapping, decision.now_ms))
    run.follow(target)
    return Accepted(run.key)


def _migration_refusal(
    run: InstanceRun, target: ProcessDefinition, mapping: dict[str, str]
) -> Rejected | None:
    """Check that everything the instance is in or waits for is there in the new version, of the same kind."""
    for active in run.instance.elements.values():
        named = [
            active.element,
            *(timer.element for timer in active.timers),
            *(subscription.element for subscription in active.subscriptions),
            *(undoable.handler for undoable in (*active.undoables, *active.undoing)),
            *active.joins,
        ]
        for element_id in filter(None, named):
            old, new = run.elements[element_id], target.elements.get(mapping.get(element_id, element_id))
            if new is None or new.kind is not old.kind or (new.loop is None) is not (old.loop is None):
                detail = f"{element_id} has no element of the same kind in version {target.version}."
                return Rejected("migration-impossible", detail)
            if new.scope != mapping.get(old.scope, old.scope):
                return Rejected("migration-impossible", f"{element_id} would change its sub-process.")
            if mapping.get(old.attached_to, old.attached_to) != new.attached_to:
                return Rejected("migration-impossible", f"{element_id} would change its task.")
            orders = {loop.is_sequential for loop in (old.loop, new.loop) if loop is not None}
            if len(orders) > 1:
                return Rejected("migration-impossible", f"{element_id} would change the order of its loop.")
        refusal = _waiting_refusal(active, target, mapping)
        if refusal is not None:
            return refusal
    return None


def _waiting_refusal(
    active: ElementInstance, target: ProcessDefinition, mapping: dict[str, str]
) -> Rejected | None:
    """Check that what is awaited is awaited at the same place, and joins know their tokens' flows."""
    host = target.elements[mapping.get(active.element, active.element)] if active.key else target
    events_awaited = [timer.element for timer in active.timers]
    events_awaited += [subscription.element for subscription in active.subscriptions]
    for event in events_awaited:
        if mapping.get(event, event) not in host.waits:
            return Rejected("migration-impossible", f"{event} would not be awaited here any more.")
    for join, flows in active.joins.items():
        incoming = target.elements[mapping.get(join, join)].incoming
        if not set(flows) <= set(incoming):
            return Rejected("migration-impossible", f"Tokens wait at {join} that came along other flows.")
    return None


def forget(decision: Decision, command: ForgetInstances) -> Reply:
    """Forget the oldest ended instances; the reply's key is how many."""
    if command.ended_before_ms > decision.now_ms:
        return Rejected("invalid-time", "Only what has ended can be forgotten.")
    found = decision.state.ended_before(command.ended_before_ms, FORGOTTEN_AT_ONCE)
    if found:
        decision.append(events.InstancesForgotten(found))
    return Accepted(len(found))


def _running(decision: Decision, key: int) -> InstanceRun | Rejected:
    found = decision.state.document(key)
    if found is None or not found.is_running:
        return Rejected("instance-not-running", f"No instance {key} is running.")
    return decision.run(key)
