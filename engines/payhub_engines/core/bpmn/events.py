"""Reads events: what start, catch and boundary events wait for, and what throw and end events throw."""

from dataclasses import replace
from typing import Final, Literal

from payhub_engines.core.bpmn.declarations import Declarations
from payhub_engines.core.bpmn.expressions import value_of
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
    Throw,
    TimerTrigger,
    Trigger,
)
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.tasks import job_of
from payhub_engines.core.bpmn.xml import BPMN, Node

_DEFINITION: Final = "EventDefinition"
_START_OF_PROCESS: Final = "startEvent of a process"
_START_OF_SUB_PROCESS: Final = "startEvent of a sub-process"
_START_OF_EVENT_SUB_PROCESS: Final = "startEvent of an event sub-process"
_ALLOWED: Final = {
    _START_OF_PROCESS: "none message timer signal".split(),
    _START_OF_SUB_PROCESS: ["none"],
    _START_OF_EVENT_SUB_PROCESS: "message timer signal error escalation".split(),
    "intermediateCatchEvent": "message timer signal link".split(),
    "intermediateThrowEvent": "none message signal escalation compensate link".split(),
    "boundaryEvent": "message timer signal error escalation compensate".split(),
    "endEvent": "none message signal error escalation compensate terminate".split(),
}
_INSTEAD: Final = {
    "conditional": "use a message event, or a timer and a gateway that tests the condition",
    "cancel": "transactions are not executed; throw an error and compensate",
    "multiple": "an event has one trigger; use one event for each",
}
_TIMES: Final[dict[str, Literal["duration", "date", "cycle"]]] = {
    "timeDuration": "duration",
    "timeDate": "date",
    "timeCycle": "cycle",
}
EVENTS: Final = frozenset(
    "startEvent intermediateCatchEvent intermediateThrowEvent boundaryEvent endEvent".split()
)


class EventReader:
    """Completes the elements of events."""

    def __init__(self, declared: Declarations, report: Report) -> None:
        self._declared = declared
        self._report = report
        self.links: dict[str, str] = {}  # names of link events, by the event's id

    def event(self, node: Node, element: Element, parent: Kind | None) -> Element:
        """Complete an event's element; what is wrong is reported.

        Args:
            node: the event.
            element: with what all flow nodes have.
            parent: kind of the sub-process around it; None directly in the process.
        """
        definitions = [child for child in node.children if child.name.endswith(_DEFINITION)]
        references = any(node.all(BPMN + "eventDefinitionRef"))
        kind = definitions[0].name.removesuffix(_DEFINITION) if definitions else "none"
        if len(definitions) > 1 or references:
            kind = "multiple"
        place = _place(node.name, parent)
        if kind not in _ALLOWED[place]:
            self._refuse(element, place, kind)
            return element
        definition = definitions[0] if definitions else node
        if node.name in {"endEvent", "intermediateThrowEvent"}:
            return self._throwing(node, definition, kind, element)
        if node.name == "boundaryEvent":
            element = replace(
                element,
                attached_to=node.get("attachedToRef"),
                interrupting=kind in {"error", "compensate"} or node.get("cancelActivity") != "false",
            )
        if kind == "link":
            return self._link(definition, element)
        trigger = self._trigger(definition, kind, element, place)
        return replace(element, trigger=trigger)

    def message(self, reference: str, element: Element, *, starts_process: bool = False) -> Trigger | None:
        """Return the message that an element waits for; None where it is not said, which is reported."""
        return self._declared.message(reference, element.id, element.line, starts_process=starts_process)

    def _refuse(self, element: Element, place: str, kind: str) -> None:
        if place == _START_OF_SUB_PROCESS:
            detail = "A sub-process begins with a none start event; only event sub-processes have triggers."
            self._report.add(Problem("sub-process-start", detail, element.id, element.line))
        elif place == _START_OF_EVENT_SUB_PROCESS and kind == "none":
            detail = "An event sub-process begins with a message, timer, signal, error or escalation."
            self._report.add(Problem("event-sub-process-start", detail, element.id, element.line))
        else:
            instead = _INSTEAD.get(kind, f"use one of: {', '.join(_ALLOWED[place])}")
            detail = f"A {place} with the trigger {kind} is not executed; {instead}."
            self._report.add(Problem("unsupported-element", detail, element.id, element.line))

    def _trigger(self, definition: Node, kind: str, element: Element, place: str) -> Trigger | None:
        starts_process = place == _START_OF_PROCESS
        match kind:
            case "message":
                reference = definition.get("messageRef")
                return self.message(reference, element, starts_process=starts_process)
            case "timer":
                return self._timer(definition, element)
            case "signal":
                name = self._declared.signal(definition.get("signalRef"), element, static=starts_process)
                return SignalTrigger(name)
            case "error":
                return ErrorTrigger(self._declared.caught("error", definition, element))
            case "escalation":
                return EscalationTrigger(self._declared.caught("escalation", definition, element))
            case _:
                return None

    def _throwing(self, node: Node, definition: Node, kind: str, element: Element) -> Element:
        is_end = node.name == "endEvent"
        if kind == "message":
            job = job_of(node, self._report, definition)
            return replace(element, kind=Kind.JOB, job=job)
        if kind == "link":
            return self._link(definition, element)
        throw = self._throw(definition, kind, element)
        if throw is None:
            return element
        return replace(element, kind=Kind.END if is_end else Kind.THROW, throw=throw)

    def _throw(self, definition: Node, kind: str, element: Element) -> Throw | None:
        match kind:
            case "error":
                return ErrorThrow(self._declared.thrown("error", definition, element))
            case "escalation":
                return EscalationThrow(self._declared.thrown("escalation", definition, element))
            case "signal":
                return SignalThrow(self._declared.signal(definition.get("signalRef"), element, static=False))
            case "compensate":
                return CompensationThrow(definition.get("activityRef"))
            case "terminate":
                return TerminateThrow()
            case _:
                return None

    def _link(self, definition: Node, element: Element) -> Element:
        self.links[element.id] = definition.get("name")
        return replace(element, kind=Kind.PASS)

    def _timer(self, definition: Node, element: Element) -> TimerTrigger | None:
        for child in definition.children:
            kind, text = _TIMES.get(child.name), child.text.strip()
            if kind is not None and text:
                value = value_of(text, element.id, child.line, self._report)
                return TimerTrigger(kind, value)
        detail = "The timer has no time; add a timeDuration such as PT10S."
        self._report.add(Problem("timer-missing", detail, element.id, element.line))
        return None


def _place(tag: str, parent: Kind | None) -> str:
    if tag != "startEvent":
        return tag
    if parent is Kind.EVENT_SUB_PROCESS:
        return _START_OF_EVENT_SUB_PROCESS
    return _START_OF_PROCESS if parent is None else _START_OF_SUB_PROCESS
