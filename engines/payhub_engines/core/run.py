"""Moves the tokens of one instance: enters elements, leaves them, goes along flows, ends scopes."""

from typing import Any, Final

from payhub_engines.core import compensation, events, gateways, loops, waits
from payhub_engines.core.bpmn.model import (
    Attribute,
    CompensationThrow,
    Element,
    Flow,
    Kind,
    Mapped,
    ProcessDefinition,
    text_of,
)
from payhub_engines.core.decision import STEPS_MAX, Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.instances import visible
from payhub_engines.core.limits import check_fits, spend, units_of
from payhub_engines.core.records import ElementInstance, Instance
from payhub_engines.core.steps import ENTER, EXECUTE
from payhub_engines.core.variables import assign, json_variables

_NOTHING: Final[dict[str, Any]] = {}  # nobody changes what an event carries


class InstanceRun:
    """One instance during one command.

    Attributes:
        decision: collects what is decided.
        instance: its document, always as decided so far.
        key: of the instance.
        definition: what it follows.
        elements: of the definition, by id.
    """

    __slots__ = ("decision", "definition", "elements", "instance", "key")

    def __init__(self, decision: Decision, instance: Instance, definition: ProcessDefinition) -> None:
        self.decision = decision
        self.instance = instance
        self.key = instance.key
        self.definition = definition
        self.elements = definition.elements

    def follow(self, definition: ProcessDefinition) -> None:
        """Go on with another version; later commands of the same batch use this run too."""
        self.definition = definition
        self.elements = definition.elements

    def start(self, element_id: str) -> None:
        """Put the first token on a start event."""
        if waits.open_for_process(self, element_id):
            self.decision.pending.append((self, self.elements[element_id], 0))

    def element_of(self, key: int) -> Element:
        """Return the model's element that an element instance is of."""
        return self.elements[self.instance.elements[key].element]

    def visible(self, key: int) -> dict[str, Any]:
        """Return the variables that an element instance sees; not to be changed."""
        elements = self.instance.elements
        inner = key
        while inner:
            found = elements[inner]
            if found.variables:
                return visible(self.instance, key)
            inner = found.scope
        return elements[0].variables

    def compute(self, attribute: Attribute, key: int) -> Any:
        """Compute an attribute of the model with what an element instance sees."""
        if isinstance(attribute, str):
            return attribute
        return attribute(self.visible(key), now_ms=self.decision.now_ms)

    def text(self, attribute: Attribute, key: int, what: str) -> str:
        """Compute an attribute that must be a text."""
        if isinstance(attribute, str):
            return attribute
        return text_of(attribute, self.visible(key), what, self.decision.now_ms)

    def enter(self, element: Element, scope: int) -> None:
        """Take a token into an element, unless it waits for others at a join."""
        if scope not in self.instance.elements:
            return  # the scope was interrupted while the token was on its way
        if element.is_plain:
            ENTER[element.kind](self, element, scope)
        elif element.is_join and not gateways.is_join_ready(self, element, scope):
            self.decision.touched.append((self, scope))
        elif element.loop is not None:
            loops.begin(self, element, scope)
        else:
            self.activate(element, scope)

    def pass_through(
        self, element: Element, scope: int, flows: tuple[Flow, ...], variables: dict[str, Any] = _NOTHING
    ) -> None:
        """Enter a plain element and leave it at once along flows; ``variables`` fit, for the instance."""
        decision = self.decision
        if not decision.count_step():
            self.activate(element, scope)  # which raises the incident
            return
        flow = self._named(flows)
        decision.append(
            events.ElementPassed(self.key, decision.new_key(), element.id, flow, scope, variables)
        )
        self._go_along(flows, scope, is_told=bool(flow))

    def activate(
        self,
        element: Element,
        scope: int,
        local: dict[str, Any] | None = None,
        index: int = 0,
        undoes: int = 0,
    ) -> None:
        """Activate an element and do what it does; arguments as in ``ElementActivated``."""
        decision = self.decision
        key = decision.new_key()
        variables, failure = local or {}, None
        if element.inputs:
            try:
                seen = {**self.visible(scope), **variables}
                variables = {**variables, **self.mapped(element.inputs, seen)}
            except ExpressionError as error:
                failure = error
        decision.append(events.ElementActivated(self.key, key, element.id, variables, scope, index, undoes))
        if failure is not None:
            self.raise_incident(key, element.id, failure.code, failure.detail, "activate")
        elif not decision.count_step():
            detail = f"One command entered {STEPS_MAX} elements without a wait."
            self.raise_incident(key, element.id, "too-many-steps", detail, "activate")
        else:
            EXECUTE[element.kind](self, element, key)

    def execute(self, element: Element, key: int) -> None:
        """Do what an active element does, again after an incident."""
        if element.loop is not None and not self.instance.elements[key].index:
            loops.execute(self, element, key)
        else:
            EXECUTE[element.kind](self, element, key)

    def mapped(self, mappings: tuple[Mapped, ...], seen: dict[str, Any]) -> dict[str, Any]:
        """Compute mappings in order; later ones see what earlier ones set."""
        result: dict[str, Any] = {}
        for mapping in mappings:
            source = mapping.source
            value = source if isinstance(source, str) else source(seen, now_ms=self.decision.now_ms)
            assign(result, mapping.target, value, seen)
            if len(mappings) > 1:
                seen = {**seen, **result}
        checked = json_variables(result)
        check_fits(self.decision, self.instance, checked)
        return checked

    def leave(self, key: int, results: dict[str, Any], *, is_checked: bool = False) -> None:
        """Merge what an element brought and go on.

        As in Zeebe: with output mappings the results stay at the element and only what is mapped leaves it;
        without, everything goes to the nearest scope that knows the name, or to the instance.
        ``is_checked``: the results are known to fit.
        """
        active = self.instance.elements[key]
        element = self.elements[active.element]
        if results and not is_checked:
            try:
                check_fits(self.decision, self.instance, results)
            except ExpressionError as error:
                waits.close(self, active)  # what has arrived is kept, and nothing more can
                self.raise_incident(key, element.id, error.code, error.detail, "leave", results)
                return
        if element.outputs or active.index:
            waits.close(self, active)  # what follows may fail, and nothing else is to happen then
        if element.outputs:
            if not self._map_out(element, active, results):
                return
            results = _NOTHING
        if results and (active.index or not self.is_of_instance(key)):
            self.merge(key, results)
            results = _NOTHING
        if active.index:
            loops.leave_item(self, element, active)
        else:
            self.complete(element, active, element.outgoing, results)

    def _map_out(self, element: Element, active: ElementInstance, results: dict[str, Any]) -> bool:
        """Set what the output mappings make of results; False where they fail, which is an incident."""
        if results:
            self.decision.append(events.VariablesMerged(self.key, results, active.key))
        try:
            mapped = self.mapped(element.outputs, self.visible(active.key))
        except ExpressionError as error:
            self.raise_incident(active.key, element.id, error.code, error.detail, "leave")
            return False
        if mapped:
            self.merge(active.scope, mapped)
        return True

    def leave_task(self, active: ElementInstance, job: int, results: dict[str, Any]) -> None:
        """Leave a task whose job is done; the results are known to fit."""
        element, key = self.elements[active.element], active.key
        is_special = active.incident or active.index or active.undoes
        if element.is_plain and not is_special and self.is_of_instance(key):
            flows, scope = element.outgoing, active.scope
            flow = self._named(flows)
            self.decision.append(
                events.JobCompleted(self.key, job, element.id, is_left=True, flow=flow, variables=results)
            )
            self._go_along(flows, scope, is_told=bool(flow))
            return
        self.decision.append(events.JobCompleted(self.key, job, element.id))
        self.resolve_incident(active)
        self.leave(key, results, is_checked=True)

    def is_of_instance(self, key: int) -> bool:
        """Tell whether variables that an element instance brings are the instance's: no scope has its own."""
        elements = self.instance.elements
        while key:
            found = elements[key]
            if found.variables:
                return False
            key = found.scope
        return True

    def merge(self, key: int, variables: dict[str, Any]) -> None:
        """Set variables in the nearest scope that knows each, from an element instance outwards."""
        elements = self.instance.elements
        while key:
            found = elements[key]
            known = {name: value for name, value in variables.items() if name in found.variables}
            if known:
                self.decision.append(events.VariablesMerged(self.key, known, key))
                variables = {name: value for name, value in variables.items() if name not in known}
                if not variables:
                    return
            key = found.scope
        self.decision.append(events.VariablesMerged(self.key, variables))

    def complete(
        self,
        element: Element,
        active: ElementInstance,
        flows: tuple[Flow, ...],
        variables: dict[str, Any] = _NOTHING,
    ) -> None:
        """Complete an element and send tokens along flows; ``variables`` are set in the instance."""
        decision, scope = self.decision, active.scope
        self.resolve_incident(active)
        undoables = active.undoables
        flow = "" if active.undoes else self._named(flows)
        decision.append(events.ElementCompleted(self.key, active.key, element.id, flow, variables))
        if element.compensation or undoables:
            compensation.subscribe(self, element, active, undoables)
        if active.undoes:
            compensation.undone(self, active.undoes, scope)
            return
        self._go_along(flows, scope, is_told=bool(flow))

    def _named(self, flows: tuple[Flow, ...]) -> str:
        """Return the flow that stands in the event with which a token leaves; the others have their own."""
        if len(flows) == 1 and not self.elements[flows[0].target].is_join:
            return flows[0].id
        return ""

    def _go_along(self, flows: tuple[Flow, ...], scope: int, *, is_told: bool) -> None:
        """Send tokens along flows; ``is_told``: the only flow stands in an event already."""
        decision = self.decision
        if is_told:
            decision.pending.append((self, self.elements[flows[0].target], scope))
        elif not flows:
            decision.touched.append((self, scope))
            return
        else:
            decision.count_step(len(flows) - 1)
            for flow in flows:
                target = self.elements[flow.target]
                join = target.id if target.is_join else ""
                decision.append(events.SequenceFlowTaken(self.key, flow.id, join, scope))
                decision.pending.append((self, target, scope))
        if self.instance.elements[scope].joins:
            decision.touched.append((self, scope))  # an inclusive join may wait for nobody any more

    def settle(self, key: int) -> None:
        """End a scope in which nothing is left; let a join go on that nothing more can reach."""
        scope = self.instance.elements.get(key)
        if scope is None or not self.instance.is_running:
            return
        if scope.joins and gateways.release_joins(self, key, scope):
            self.decision.touched.append((self, key))
            return
        if scope.children:
            return
        if scope.undoing:
            compensation.go_on(self, key)
        elif scope.joins:
            detail = "No other token can reach this gateway any more."
            self.raise_incident(key, next(iter(scope.joins)), "join-incomplete", detail)
        elif not key:
            self._end()
        else:
            self._settle_element(self.elements[scope.element], scope)

    def _settle_element(self, element: Element, active: ElementInstance) -> None:
        if active.loop is not None:
            loops.go_on(self, element, active)
        elif element.kind is Kind.EVENT_SUB_PROCESS:
            self.complete(element, active, ())
        elif element.kind is Kind.SUB_PROCESS or isinstance(element.throw, CompensationThrow):
            self.leave(active.key, {})

    def _end(self) -> None:
        instance, decision = self.instance, self.decision
        root = instance.elements[0]
        waits.close(self, root)
        self.resolve_incident(root)
        if instance.outcome == "cancelling":
            self._end_with(events.InstanceTerminated(self.key, decision.now_ms))
            return
        self._end_with(events.InstanceCompleted(self.key, decision.now_ms))
        if instance.parent:
            caller = decision.run(instance.parent)
            active = caller.instance.elements.get(instance.parent_element)
            if active is not None:
                called = caller.element_of(active.key).called
                propagates = called is not None and called.propagate_child
                has_outputs = bool(caller.element_of(active.key).outputs)
                caller.leave(active.key, dict(root.variables) if propagates or has_outputs else {})

    def terminate(self, key: int) -> None:
        """Interrupt an element and all that is inside it."""
        active = self.instance.elements[key]
        self.terminate_inside(key)
        if active.job is not None:
            self.decision.append(events.JobCancelled(self.key, active.job.key, active.element))
        if active.called:
            self.decision.run(active.called).terminate_instance()
        self.resolve_incident(active)
        self.decision.append(events.ElementTerminated(self.key, key, active.element))

    def terminate_inside(self, key: int, but: int = 0) -> None:
        """Interrupt everything inside a scope, but one element."""
        scope = self.instance.elements[key]
        if scope.children:
            inside = [
                other.key for other in self.instance.elements.values() if other.scope == key and other.key
            ]
            for other in inside:
                if other != but and other in self.instance.elements:
                    self.terminate(other)
        pending = self.decision.pending
        if pending:
            kept = [token for token in pending if token[0] is not self or token[2] != key]
            pending.clear()
            pending.extend(kept)
        gateways.drop_joins(self, key, scope)

    def terminate_instance(self) -> None:
        """End the instance at once."""
        self.terminate_inside(0)
        root = self.instance.elements[0]
        waits.close(self, root)
        self.resolve_incident(root)
        self._end_with(events.InstanceTerminated(self.key, self.decision.now_ms))

    def _end_with(self, event: events.InstanceCompleted | events.InstanceTerminated) -> None:
        self.decision.append(event)
        self.decision.ended.append(self.key)

    def raise_incident(
        self, key: int, element_id: str, code: str, message: str, retry: str = "", payload: Any = None
    ) -> None:
        """Stop a token until an operator helps, and keep what it could not take; one incident an element."""
        active, decision = self.instance.elements.get(key), self.decision
        if active is not None and payload:
            spend(decision, units_of(payload))
            self.resolve_incident(active)  # one without a payload, which this one takes the place of
        if active is not None and active.incident is None:
            incident, now_ms = decision.new_key(), decision.now_ms
            named = (self.key, incident, key, element_id, code, message)
            decision.append(events.IncidentRaised(*named, now_ms, retry, payload or {}))

    def resolve_incident(self, active: ElementInstance) -> None:
        """Note that what an element's incident was about is over."""
        if active.incident is not None:
            incident = active.incident
            self.decision.append(events.IncidentResolved(self.key, incident.key, incident.element))
