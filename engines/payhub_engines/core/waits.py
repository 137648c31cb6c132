"""What an element waits for: opens jobs, timers and subscriptions, closes them, acts when they trigger."""

from typing import TYPE_CHECKING, Any

import msgspec

from payhub_engines.core import compensation, events
from payhub_engines.core.bpmn.model import Element, Kind, MessageTrigger, SignalTrigger, TimerTrigger, Value
from payhub_engines.core.bpmn.timers import schedule
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.feel.values import number_of
from payhub_engines.core.limits import check_fits
from payhub_engines.core.records import ElementInstance, MessageRecord
from payhub_engines.core.tables import fits_key
from payhub_engines.core.variables import json_variables

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun

RETRIES_MAX = 1_000_000


def wait_for_job(run: "InstanceRun", element: Element, key: int) -> None:
    """Ask a connector, and open what else can happen meanwhile."""
    definition = element.job
    opening = _prepared(run, element, key)
    if opening is None or definition is None:
        return
    try:
        job_type = run.text(definition.type, key, "The job type")
        headers = definition.headers
        if definition.computed:
            headers = {**headers, **_computed(run, definition.computed, key)}
        retries = definition.retries
        if not isinstance(retries, int):
            retries = _retries(run.compute(retries, key))
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    decision = run.decision
    job = decision.new_key()
    decision.append(events.JobCreated(run.key, job, key, element.id, job_type, retries, headers))
    if opening:
        _open(run, key, opening)


def enter_job(run: "InstanceRun", element: Element, scope: int) -> None:
    """Enter a plain task and ask a connector: in one event where nothing is computed or awaited besides."""
    definition, decision = element.job, run.decision
    if definition is None or not definition.is_static or element.waits or not decision.count_step():
        run.activate(element, scope)
        return
    key, job = decision.new_key(), decision.new_key()
    decision.append(
        events.JobCreated(
            run.key,
            job,
            key,
            element.id,
            definition.type,  # type: ignore[arg-type] # static, as is the next
            definition.retries,  # type: ignore[arg-type]
            definition.headers,
            scope,
        )
    )


def _computed(run: "InstanceRun", computed: dict[str, Value], key: int) -> dict[str, str]:
    """Compute headers; as in Zeebe, what is no text is written as JSON, and null leaves the header out."""
    values = {name: run.compute(value, key) for name, value in computed.items()}
    found = json_variables({name: value for name, value in values.items() if value is not None})
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in found.items()
    }


def _retries(value: object) -> int:
    number = number_of(value)
    if number is None or not 1 <= number <= RETRIES_MAX or number != int(number):
        raise ExpressionError(f"The retries must be a whole number from 1 to {RETRIES_MAX}.")
    return int(number)


def wait_for_events(run: "InstanceRun", element: Element, key: int) -> None:
    """Wait for the element's own event, or those behind it."""
    open_all(run, element, key)


def open_all(run: "InstanceRun", element: Element, key: int) -> bool:
    """Open everything that an element waits for; tell whether it goes on afterwards.

    It does not after an incident, nor when a message that was kept interrupts it at once.
    """
    opening = _prepared(run, element, key)
    return opening is not None and _open(run, key, opening)


def open_for_process(run: "InstanceRun", start: str) -> bool:
    """Open what the event sub-processes of the process wait for; tell whether its start event goes on."""
    if not run.definition.waits:
        return True
    opening = _prepared_events(run, run.definition.waits, 0, start)
    return opening is not None and _open(run, 0, opening)


def _prepared(run: "InstanceRun", element: Element, key: int) -> list[events.AnyEvent] | None:
    waits = element.waits
    if not waits:
        return []
    if element.loop is not None:
        # Boundary events are attached to the whole; what is inside belongs to each instance.
        is_body = not run.instance.elements[key].index
        waits = tuple(event for event in waits if (run.elements[event].kind is Kind.BOUNDARY) is is_body)
    return _prepared_events(run, waits, key, element.id)


def _prepared_events(
    run: "InstanceRun", waits: tuple[str, ...], key: int, element_id: str
) -> list[events.AnyEvent] | None:
    """Compute all timers and subscriptions before any is opened; None after an incident."""
    prepared: list[events.AnyEvent] = []
    event_id = ""
    try:
        for event_id in waits:
            prepared.append(_prepared_event(run, event_id, key))
    except ExpressionError as error:
        run.raise_incident(key, element_id, error.code, f"{event_id}: {error.detail}", "activate")
        return None
    return prepared


def _prepared_event(run: "InstanceRun", event_id: str, key: int) -> events.AnyEvent:
    decision, trigger = run.decision, run.elements[event_id].trigger
    match trigger:
        case TimerTrigger():
            found = schedule(trigger, run.visible(key), decision.now_ms)
            return events.TimerCreated(
                run.key, decision.new_key(), key, event_id, found.due_ms, found.interval_ms, found.repetitions
            )
        case MessageTrigger():
            name = run.text(trigger.name, key, "A message name")
            if trigger.correlation_key is None:
                raise ExpressionError("The event has no correlation key.")
            correlation_key = run.text(trigger.correlation_key, key, "A correlation key")
            _check_key(name, correlation_key)
            return events.SubscriptionOpened(
                run.key, decision.new_key(), key, event_id, name, correlation_key
            )
        case SignalTrigger():
            name = run.text(trigger.name, key, "A signal name")
            _check_key(name)
            return events.SubscriptionOpened(
                run.key, decision.new_key(), key, event_id, name, "", is_signal=True
            )
        case _:
            raise ExpressionError("The event waits for nothing.")


def _check_key(*names: str) -> None:
    if not fits_key(*names):
        raise ExpressionError("Names and correlation keys have at most 512 characters.")


def _open(run: "InstanceRun", key: int, opening: list[events.AnyEvent]) -> bool:
    """Open timers and subscriptions, and give them the messages that are kept; False when one interrupts."""
    for event in opening:
        run.decision.append(event)
    for opened in opening:
        if isinstance(opened, events.SubscriptionOpened) and not opened.is_signal:
            while (kept := _kept_message(run, opened)) is not None:
                _consume(run, key, opened, kept)
                if not _is_open(run, key, opened):
                    return False
    return True


def _is_open(run: "InstanceRun", key: int, opened: events.SubscriptionOpened) -> bool:
    active = run.instance.elements.get(key)
    subscriptions = () if active is None else active.subscriptions
    return any(known.key == opened.subscription for known in subscriptions)


def _kept_message(run: "InstanceRun", opened: events.SubscriptionOpened) -> MessageRecord | None:
    decision = run.decision
    found = decision.state.index.messages.get((run.instance.tenant, opened.name, opened.correlation_key))
    for key in found or ():
        message = decision.state.message(key)
        # One whose time is over may still stand here: it is only reported a little later.
        if message is not None and message.expires_at_ms > decision.now_ms:
            return message
    return None


def _consume(run: "InstanceRun", key: int, opened: events.SubscriptionOpened, kept: MessageRecord) -> None:
    run.decision.append(
        events.MessageCorrelated(
            run.key,
            opened.subscription,
            opened.element,
            opened.name,
            kept.key,
            kept.via,
            kept.callback.known_as,
        )
    )
    trigger(run, key, opened.element, kept.callback.variables)


def close(run: "InstanceRun", active: ElementInstance, *, only_inside: bool = False) -> None:
    """Close the timers and subscriptions of an element that goes on; all are closed when it is left.

    ``only_inside``: those of its event sub-processes.
    """
    for timer in active.timers:
        if not only_inside or run.elements[timer.element].kind is Kind.EVENT_SUB_PROCESS:
            run.decision.append(events.TimerCancelled(run.key, timer.key, timer.element))
    for subscription in active.subscriptions:
        if not only_inside or run.elements[subscription.element].kind is Kind.EVENT_SUB_PROCESS:
            run.decision.append(
                events.SubscriptionClosed(run.key, subscription.key, subscription.element, active.key)
            )


def trigger(run: "InstanceRun", host_key: int, event_id: str, payload: dict[str, Any]) -> None:
    """A timer, message, signal, error or escalation reached an event that an element instance waits for."""
    event, elements = run.elements[event_id], run.instance.elements
    host = elements[host_key]
    if event.kind is Kind.BOUNDARY:
        if event.interrupting:
            run.terminate(host_key)
            compensation.interrupted(run, host)
        enter_triggered(run, event, host.scope, payload)
    elif event.kind is Kind.EVENT_SUB_PROCESS:
        if event.interrupting:
            run.terminate_inside(host_key)
            close(run, host, only_inside=True)
        _enter_event_sub_process(run, event, host_key, payload)
    elif run.elements[host.element].kind is Kind.EVENT_GATEWAY:
        gateway = run.elements[host.element]
        flow = next(flow for flow in gateway.outgoing if flow.target == event_id)
        run.resolve_incident(host)
        run.decision.append(events.ElementCompleted(run.key, host_key, gateway.id, flow.id))
        enter_triggered(run, event, host.scope, payload)
    else:
        run.leave(host_key, payload)


def enter_triggered(run: "InstanceRun", event: Element, scope: int, payload: dict[str, Any]) -> None:
    """Enter an event that has happened, and leave it with what it brought."""
    decision = run.decision
    if event.is_plain and run.is_of_instance(scope) and _fits(run, payload):
        run.pass_through(event, scope, event.outgoing, payload)
        return
    key = decision.new_key()
    decision.append(events.ElementActivated(run.key, key, event.id, {}, scope))
    run.leave(key, payload)


def _fits(run: "InstanceRun", payload: dict[str, Any]) -> bool:
    try:
        check_fits(run.decision, run.instance, payload)
    except ExpressionError:
        return False
    return True


def _enter_event_sub_process(
    run: "InstanceRun", element: Element, scope: int, payload: dict[str, Any]
) -> None:
    decision = run.decision
    key = decision.new_key()
    decision.append(events.ElementActivated(run.key, key, element.id, {}, scope))
    if open_all(run, element, key):
        enter_triggered(run, run.elements[element.start], key, payload)


def trigger_timer(run: "InstanceRun", element_instance: int, key: int) -> None:
    """A timer is due; a cycle runs again unless what it triggers ends its host."""
    host = run.instance.elements[element_instance]
    timer = next(timer for timer in host.timers if timer.key == key)
    decision = run.decision
    decision.append(events.TimerTriggered(run.key, key, timer.element))
    trigger(run, element_instance, timer.element, {})
    goes_on = timer.repetitions and element_instance in run.instance.elements and run.instance.is_running
    if goes_on and not run.elements[timer.element].interrupting:
        left = timer.repetitions - 1 if timer.repetitions > 0 else timer.repetitions
        due_ms = max(timer.due_ms + timer.interval_ms, decision.now_ms)
        decision.append(
            events.TimerCreated(
                run.key,
                decision.new_key(),
                element_instance,
                timer.element,
                due_ms,
                timer.interval_ms,
                left,
            )
        )
