"""Events that throw: errors and escalations outwards, signals to all, compensation, a scope's end."""

from typing import TYPE_CHECKING, Any, Literal

from payhub_engines.core import broadcasts, business_keys, compensation, events, waits
from payhub_engines.core.bpmn.model import (
    CompensationThrow,
    Element,
    ErrorThrow,
    ErrorTrigger,
    EscalationThrow,
    EscalationTrigger,
    Kind,
    SignalThrow,
    SignalTrigger,
    TerminateThrow,
)
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import ElementInstance
from payhub_engines.core.tables import fits_key

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun


def throw(run: "InstanceRun", element: Element, key: int) -> None:
    """Throw what an intermediate event throws, and go on unless it ended itself."""
    match element.throw:
        case EscalationThrow():
            _throw_escalation(run, element, key)
        case SignalThrow():
            _throw_signal(run, element, key)
        case CompensationThrow():
            compensation.begin(run, element, key)
        case _:
            _leave(run, key)


def end(run: "InstanceRun", element: Element, key: int) -> None:
    """End a token as the end event says."""
    match element.throw:
        case None:
            _leave(run, key)
        case TerminateThrow():
            _terminate_scope(run, key)
        case ErrorThrow():
            _throw_error(run, element, key)
        case _:
            throw(run, element, key)


def _leave(run: "InstanceRun", key: int) -> None:
    if key in run.instance.elements and run.instance.is_running:
        run.leave(key, {})


def _terminate_scope(run: "InstanceRun", key: int) -> None:
    active = run.instance.elements[key]
    scope = active.scope
    run.leave(key, {})
    if key not in run.instance.elements:  # else its output mappings failed; nothing ends before they hold
        run.terminate_inside(scope)


def _throw_error(run: "InstanceRun", element: Element, key: int) -> None:
    error = element.throw
    if not isinstance(error, ErrorThrow):
        return
    try:
        code = run.text(error.code, key, "An error code")
    except ExpressionError as failure:
        run.raise_incident(key, element.id, failure.code, failure.detail, "activate")
        return
    run.decision.append(events.ErrorThrown(run.key, key, element.id, code))
    if not throw_error(run, key, code, {}):
        detail = f"Nothing catches the error {code}."
        run.raise_incident(key, element.id, "unhandled-error", detail, "activate")


def throw_error(run: "InstanceRun", key: int, code: str, results: dict[str, Any]) -> bool:
    """Give a BPMN error to what catches it, from an element outwards; tell whether something does."""
    caught = _catcher(run, key, code, "errors")
    if caught is None:
        return False
    catching, host, event_id = caught
    waits.trigger(catching, host, event_id, results)
    return True


def _throw_escalation(run: "InstanceRun", element: Element, key: int) -> None:
    escalation = element.throw
    if not isinstance(escalation, EscalationThrow):
        return
    try:
        code = run.text(escalation.code, key, "An escalation code")
    except ExpressionError as failure:
        run.raise_incident(key, element.id, failure.code, failure.detail, "activate")
        return
    caught = _catcher(run, key, code, "escalations")
    caught_by = "" if caught is None else caught[2]
    run.decision.append(events.EscalationThrown(run.key, key, element.id, code, caught_by))
    if caught is not None:
        waits.trigger(*caught, {})
    _leave(run, key)


def _catcher(
    run: "InstanceRun", key: int, code: str, what: Literal["errors", "escalations"]
) -> tuple["InstanceRun", int, str] | None:
    """Return run, host and event that catch a code: the nearest scope first, exact codes before catch-all."""
    while True:
        comes_from = ""  # kind of catcher that cannot catch, for it is what throws
        while key:
            active = run.instance.elements[key]
            element = run.elements[active.element]
            for event_id in _catchers(run, element, active, what):
                event = run.elements[event_id]
                if event.kind is Kind.EVENT_SUB_PROCESS and comes_from:
                    continue
                if _catches(event, code):
                    return run, key, event_id
            comes_from = element.id if element.kind is Kind.EVENT_SUB_PROCESS else ""
            key = active.scope
        if not comes_from:
            for event_id in getattr(run.definition, what):
                if _catches(run.elements[event_id], code):
                    return run, 0, event_id
        if not run.instance.parent:
            return None
        key, run = run.instance.parent_element, run.decision.run(run.instance.parent)


def _catchers(
    run: "InstanceRun", element: Element, active: ElementInstance, what: Literal["errors", "escalations"]
) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(element, what)
    if element.loop is None:
        return found
    is_body = not active.index
    return tuple(event for event in found if (run.elements[event].kind is Kind.BOUNDARY) is is_body)


def _catches(event: Element, code: str) -> bool:
    trigger = event.trigger
    return isinstance(trigger, ErrorTrigger | EscalationTrigger) and trigger.code in {code, ""}


def _throw_signal(run: "InstanceRun", element: Element, key: int) -> None:
    signal = element.throw
    if not isinstance(signal, SignalThrow):
        return
    try:
        name = _signal_name(run, signal, key)
    except ExpressionError as failure:
        run.raise_incident(key, element.id, failure.code, failure.detail, "activate")
        return
    refusal = broadcasts.refusal(run.decision, run.instance.tenant, name)
    if refusal is not None:
        run.raise_incident(key, element.id, refusal.code, refusal.detail, "activate")
        return
    broadcast(run.decision, run.instance.tenant, name, {}, run.key)
    _leave(run, key)


def _signal_name(run: "InstanceRun", signal: SignalThrow, key: int) -> str:
    name = run.text(signal.name, key, "A signal name")
    if not fits_key(name):
        raise ExpressionError("A signal name has at most 512 characters.")
    return name


def broadcast(
    decision: Decision, tenant: str, name: str, variables: dict[str, Any], thrown_by: int = 0
) -> int:
    """Give a signal to all of a tenant that waits for it, and start what it starts; return how many.

    Thrown inside a process it reaches a few at once and is else left to further commands: here tokens move.
    """
    listening = len(decision.state.index.listening.get((tenant, name), ()))
    starting = [
        (definition, start)
        for definition in decision.catalogue.all()
        for start in definition.starts
        if _is_signal(definition.elements[start], name)
    ]
    count = listening + len(starting)
    decision.append(events.SignalBroadcast(tenant, name, count, thrown_by))
    decision.count_step(count if listening <= broadcasts.RECEIVERS_INSIDE_MAX else len(starting))
    broadcast = broadcasts.signal(decision, tenant, name, variables)
    if not thrown_by:
        broadcasts.begin(decision, broadcast)
    elif listening <= broadcasts.RECEIVERS_INSIDE_MAX:
        broadcasts.reach_all(decision, broadcast)
    else:
        broadcasts.queue(decision, broadcast)
    for definition, start in starting:
        key = business_keys.make(decision.state, "signal", decision.state.next_key)
        decision.start(definition, (tenant, key, ""), "", variables).start(start)
    return count


def _is_signal(start: Element, name: str) -> bool:
    return isinstance(start.trigger, SignalTrigger) and start.trigger.name == name
