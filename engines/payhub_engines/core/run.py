"""Moves the tokens of one instance: enters elements, leaves them, triggers events, raises incidents."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from payhub_engines.core import events, variables
from payhub_engines.core.bpmn.model import Element, Flow, Kind, Mapped, ProcessDefinition, text_of
from payhub_engines.core.bpmn.timers import due_ms
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import InstanceRow, MessageRecord
from payhub_engines.core.tables import fits_key

STEPS_MAX: Final = (
    1_000  # elements that one command may enter in an instance: a loop without a wait ends here
)


class InstanceRun:
    """One instance during one command."""

    def __init__(self, decision: Decision, row: InstanceRow, definition: ProcessDefinition) -> None:
        self._decision = decision
        self._row = row
        self._instance = row.key
        self._definition = definition
        self._pending: deque[Element] = deque()
        self._steps = 0

    def start(self) -> None:
        """Put the first token on the start event and go on until every token waits."""
        self._pending.append(self._definition.elements[self._definition.start])
        self._go_on()

    def job_completed(self, element_instance: int, results: dict[str, Any]) -> None:
        """Leave a task whose job is done."""
        self._leave(element_instance, results)
        self._go_on()

    def error_thrown(
        self, element_instance: int, code: str, description: str, results: dict[str, Any]
    ) -> None:
        """Catch a BPMN error at a task's boundary; the exact code goes before catch-all."""
        host = self._element_at(element_instance)
        for event_id in host.errors:
            event = self._definition.elements[event_id]
            if event.error is not None and event.error.code in {code, ""}:
                self._terminate(element_instance)
                self._enter_triggered(event, results)
                self._go_on()
                return
        if results:
            self._append(events.VariablesMerged(self._instance, results, element_instance))
        self.raise_incident(element_instance, host.id, "unhandled-error", f"{code}: {description}")

    def trigger(self, element_instance: int, event_id: str, payload: dict[str, Any]) -> None:
        """A message or timer arrived for an active element: itself, its boundary, or behind a gateway."""
        self._trigger(element_instance, event_id, payload)
        self._go_on()

    def raise_incident(self, element_instance: int, element_id: str, code: str, message: str) -> None:
        """Stop a token until an operator helps; an element has one incident at a time."""
        active = self._decision.state.tokens(self._instance).elements.get(element_instance)
        if active is None or not active.incident:
            key, now_ms = self._decision.new_key(), self._decision.now_ms
            self._append(
                events.IncidentRaised(
                    self._instance, key, element_instance, element_id, code, message, now_ms
                )
            )

    def _append(self, event: events.AnyEvent) -> None:
        self._decision.append(event)

    def _element_at(self, element_instance: int) -> Element:
        tokens = self._decision.state.tokens(self._instance)
        return self._definition.elements[tokens.elements[element_instance].element]

    def _scope(self, local: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._decision.state.variables(self._instance), **local}

    def _go_on(self) -> None:
        while self._pending:
            element = self._pending.popleft()
            if element.is_join and not self._join_is_complete(element):
                continue
            self._steps += 1
            self._activate(element)
        tokens = self._decision.state.tokens(self._instance)
        if tokens.elements:
            return
        if tokens.joins:
            join = next(iter(tokens.joins))
            self.raise_incident(0, join, "join-incomplete", "No other token can reach this gateway any more.")
        else:
            self._append(events.InstanceCompleted(self._instance, self._decision.now_ms))

    def _join_is_complete(self, element: Element) -> bool:
        waiting = self._decision.state.tokens(self._instance).joins.get(element.id, {})
        return all(flow in waiting for flow in element.incoming)

    def _activate(self, element: Element) -> None:
        key = self._decision.new_key()
        try:
            local = self._mapped(element.inputs, self._scope({})) if element.inputs else {}
        except ExpressionError as error:
            self._append(events.ElementActivated(self._instance, key, element.id))
            self.raise_incident(key, element.id, error.code, error.detail)
            return
        self._append(events.ElementActivated(self._instance, key, element.id, local))
        if self._steps > STEPS_MAX:
            detail = f"The instance entered {STEPS_MAX} elements without waiting."
            self.raise_incident(key, element.id, "too-many-steps", detail)
            return
        match element.kind:
            case Kind.JOB:
                self._wait_for_job(element, key)
            case Kind.CATCH | Kind.EVENT_GATEWAY:
                self._wait_for_events(element, key)
            case Kind.EXCLUSIVE:
                self._choose(element, key)
            case Kind.TERMINATE:
                self._terminate_all(element, key)
            case Kind.PASS | Kind.PARALLEL | Kind.END | Kind.BOUNDARY:
                self._pass(element, key)

    def _mapped(self, mappings: tuple[Mapped, ...], scope: dict[str, Any]) -> dict[str, Any]:
        """Compute mappings in order; later ones see what earlier ones set."""
        result: dict[str, Any] = {}
        for mapping in mappings:
            value = mapping.source({**scope, **result})
            variables.assign(result, mapping.target, value, scope)
        return variables.json_variables(result)

    def _pass(self, element: Element, key: int) -> None:
        if element.outputs:
            self._leave(key, {})
        else:
            self._complete(element, key, element.outgoing)

    def _wait_for_job(self, element: Element, key: int) -> None:
        waits = self._prepared_waits(element, key)
        if waits is None or element.job is None:
            return
        job, job_key = element.job, self._decision.new_key()
        self._append(
            events.JobCreated(self._instance, job_key, key, element.id, job.type, job.retries, job.headers)
        )
        self._open_waits(key, waits)

    def _wait_for_events(self, element: Element, key: int) -> None:
        waits = self._prepared_waits(element, key)
        if waits is not None:
            self._open_waits(key, waits)

    def _choose(self, element: Element, key: int) -> None:
        """Take the first flow whose condition is true, else the default; null is not true."""
        if len(element.outgoing) == 1 and element.outgoing[0].condition is None:
            self._complete(element, key, element.outgoing)
            return
        scope = self._scope({})
        try:
            chosen = next(
                (flow for flow in element.outgoing if flow.condition and flow.condition(scope) is True),
                element.default,
            )
        except ExpressionError as error:
            self.raise_incident(key, element.id, error.code, error.detail)
            return
        if chosen is None:
            detail = "No condition is true and there is no default flow."
            self.raise_incident(key, element.id, "no-matching-flow", detail)
        else:
            self._complete(element, key, (chosen,))

    def _terminate_all(self, element: Element, key: int) -> None:
        self._pass(element, key)
        tokens = self._decision.state.tokens(self._instance)
        if key in tokens.elements:
            return  # its output mappings failed; nothing ends before they hold
        self._pending.clear()
        for other in list(tokens.elements):
            self._terminate(other)
        self._drop_joins()

    def _drop_joins(self) -> None:
        """Consume tokens that wait at joins: as the instance ends, each join is entered and interrupted."""
        while joins := self._decision.state.tokens(self._instance).joins:
            key, join = self._decision.new_key(), next(iter(joins))
            self._append(events.ElementActivated(self._instance, key, join))
            self._append(events.ElementTerminated(self._instance, key, join))

    def _prepared_waits(self, element: Element, key: int) -> list[events.AnyEvent] | None:
        """Compute all timers and subscriptions of an element before any is opened; None after an incident."""
        active = self._decision.state.tokens(self._instance).elements[key]
        scope, now_ms = self._scope(active.local), self._decision.now_ms
        prepared: list[events.AnyEvent] = []
        event_id = element.id
        try:
            for event_id in element.waits:
                event = self._definition.elements[event_id]
                if event.timer is not None:
                    due = due_ms(event.timer, scope, now_ms)
                    timer = self._decision.new_key()
                    prepared.append(events.TimerCreated(self._instance, timer, key, event_id, due))
                elif event.message is not None:
                    correlation_key = _correlation_key(event, scope)
                    subscription = self._decision.new_key()
                    prepared.append(
                        events.SubscriptionOpened(
                            self._instance, subscription, key, event_id, event.message.name, correlation_key
                        )
                    )
        except ExpressionError as error:
            self.raise_incident(key, element.id, error.code, f"{event_id}: {error.detail}")
            return None
        return prepared

    def _open_waits(self, key: int, prepared: list[events.AnyEvent]) -> None:
        for event in prepared:
            self._append(event)
        for opened in prepared:
            if isinstance(opened, events.SubscriptionOpened):
                kept = self._kept_message(opened)
                if kept is not None and self._consume(key, opened, kept):
                    return

    def _kept_message(self, opened: events.SubscriptionOpened) -> MessageRecord | None:
        state = self._decision.state
        for key in state.messages(self._row.tenant, opened.name, opened.correlation_key):
            message = state.message(key)
            # One whose time is over may still stand here: it is only reported a little later.
            if message is not None and message.expires_at_ms > self._decision.now_ms:
                return message
        return None

    def _consume(self, key: int, opened: events.SubscriptionOpened, kept: MessageRecord) -> bool:
        """Trigger with a kept message; tells whether the element was left by it."""
        self._append(
            events.MessageCorrelated(
                self._instance, opened.subscription, opened.element, opened.name, kept.key, kept.via
            )
        )
        self._trigger(key, opened.element, kept.callback.variables)
        return key not in self._decision.state.tokens(self._instance).elements

    def _trigger(self, element_instance: int, event_id: str, payload: dict[str, Any]) -> None:
        host, event = self._element_at(element_instance), self._definition.elements[event_id]
        if event.kind is Kind.BOUNDARY:
            if event.interrupting:
                self._terminate(element_instance)
            self._enter_triggered(event, payload)
        elif host.kind is Kind.EVENT_GATEWAY:
            self._close_waits(element_instance)
            flow = next(flow for flow in host.outgoing if flow.target == event_id)
            self._append(events.ElementCompleted(self._instance, element_instance, host.id))
            self._append(events.SequenceFlowTaken(self._instance, flow.id))
            self._enter_triggered(event, payload)
        else:
            self._leave(element_instance, payload)

    def _enter_triggered(self, event: Element, payload: dict[str, Any]) -> None:
        key = self._decision.new_key()
        self._append(events.ElementActivated(self._instance, key, event.id))
        self._leave(key, payload)

    def _leave(self, key: int, results: dict[str, Any]) -> None:
        """Merge what an element brought and go on.

        As in Zeebe: with output mappings the results stay at the element and only what is mapped
        leaves it; without, everything leaves it but the names that input mappings made local.
        """
        active = self._decision.state.tokens(self._instance).elements[key]
        element = self._definition.elements[active.element]
        self._close_waits(key)
        if element.outputs:
            if results:
                self._append(events.VariablesMerged(self._instance, results, key))
            try:
                merged = self._mapped(element.outputs, self._scope({**active.local, **results}))
            except ExpressionError as error:
                self.raise_incident(key, element.id, error.code, error.detail)
                return
        else:
            merged = {name: value for name, value in results.items() if name not in active.local}
        if merged:
            self._append(events.VariablesMerged(self._instance, merged))
        self._complete(element, key, element.outgoing)

    def _complete(self, element: Element, key: int, flows: tuple[Flow, ...]) -> None:
        self._resolve_incident(key)
        self._append(events.ElementCompleted(self._instance, key, element.id))
        for flow in flows:
            target = self._definition.elements[flow.target]
            join = target.id if target.is_join else ""
            self._append(events.SequenceFlowTaken(self._instance, flow.id, join))
            self._pending.append(target)

    def _terminate(self, key: int) -> None:
        active = self._decision.state.tokens(self._instance).elements[key]
        if active.job:
            self._append(events.JobCancelled(self._instance, active.job, active.element))
        self._close_waits(key)
        self._resolve_incident(key)
        self._append(events.ElementTerminated(self._instance, key, active.element))

    def _close_waits(self, key: int) -> None:
        state = self._decision.state
        active = state.tokens(self._instance).elements[key]
        for timer_key in active.timers:
            timer = state.timer(timer_key)
            if timer is not None:
                self._append(events.TimerCancelled(self._instance, timer_key, timer.element))
        for subscription_key in active.subscriptions:
            subscription = state.subscription(subscription_key)
            if subscription is not None:
                self._append(
                    events.SubscriptionClosed(self._instance, subscription_key, subscription.element)
                )

    def _resolve_incident(self, key: int) -> None:
        active = self._decision.state.tokens(self._instance).elements[key]
        if active.incident:
            self._append(events.IncidentResolved(self._instance, active.incident, active.element))


def _correlation_key(event: Element, scope: Mapping[str, Any]) -> str:
    if event.message is None:
        raise ExpressionError("The event waits for no message.")
    key = text_of(event.message.correlation_key, scope, "A correlation key")
    if not fits_key(key):
        raise ExpressionError("A correlation key has at most 512 characters.")
    return key
