"""Events: where they stand, when their timers are due, and that no two wait for the same."""

from collections.abc import Iterable
from typing import Final

from payhub_engines.core.bpmn.checks.scopes import is_activity
from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import (
    Element,
    ErrorTrigger,
    EscalationTrigger,
    Kind,
    MessageTrigger,
    SignalTrigger,
    TimerTrigger,
    Trigger,
)
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.timers import schedule
from payhub_engines.core.bpmn.wiring import event_sub_processes, is_compensation_boundary
from payhub_engines.core.feel import ExpressionError

_LATEST_MS: Final = 253_402_300_799_000  # the end of the year 9999: no date is too far from it
_PASSING: Final = frozenset({Kind.PASS, Kind.SCRIPT})


def check(draft: Draft, report: Report) -> None:
    """Check each event, and those that are awaited together."""
    attached, inside = draft.attached(), event_sub_processes(draft)
    _check_links(draft, report)
    for element in draft.elements.values():
        if element.kind is Kind.BOUNDARY:
            _check_boundary(draft, element, report)
        if element.kind is Kind.EVENT_GATEWAY:
            _check_event_gateway(draft, element, attached, report)
        if isinstance(element.trigger, TimerTrigger) and element.kind is not Kind.EVENT_SUB_PROCESS:
            _check_timer(draft, element, report)
        _check_repeatable(draft, element, report)
        borders = attached.get(element.id, [])
        own = [element] if element.kind is Kind.CATCH else []
        _check_twice([*own, *borders], report)
        _check_twice(inside.get(element.id, ()), report)
    _check_twice(inside.get("", ()), report)
    _check_twice((element for element in draft.inside("") if element.tag == "startEvent"), report)


def _check_links(draft: Draft, report: Report) -> None:
    """Check that links have names, and that each catch event is led to; wiring looks for the catch events."""
    links = [(draft.elements[element], name) for element, name in draft.links.items()]
    thrown = {(element.scope, name) for element, name in links if element.tag == "intermediateThrowEvent"}
    for element, name in links:
        if not name:
            report.add(Problem("link-unpaired", "The link has no name.", element.id, element.line))
        elif (element.scope, name) not in thrown:
            detail = f"No link throw event of the same scope is named {name!r}; add one, or use a flow."
            report.add(Problem("link-unpaired", detail, element.id, element.line))


def _check_boundary(draft: Draft, element: Element, report: Report) -> None:
    host = draft.elements.get(element.attached_to)
    if host is None or not is_activity(host) or host.scope != element.scope:
        detail = f"It is attached to {element.attached_to!r}; attach it to a task or sub-process beside it."
        report.add(Problem("boundary-misplaced", detail, element.id, element.line))
    elif host.kind in _PASSING and not is_compensation_boundary(draft, element):
        detail = f"{host.id} is left at once, so that this never triggers; attach it to what waits."
        report.add(Problem("boundary-never-triggers", detail, element.id, element.line, "warning"))
    if not element.outgoing and not is_compensation_boundary(draft, element):
        report.add(Problem("no-way-out", "Nothing leaves the boundary event.", element.id, element.line))


def _check_event_gateway(
    draft: Draft, element: Element, attached: dict[str, list[Element]], report: Report
) -> None:
    targets = [draft.elements[flow.target] for flow in element.outgoing]
    for target in targets:
        if target.kind is not Kind.CATCH:
            detail = f"{target.id} cannot follow; only events that wait for a message, timer or signal can."
            report.add(Problem("event-wanted", detail, element.id, element.line))
        elif attached.get(target.id) or target.loop is not None:
            detail = f"{target.id} cannot follow: it has boundary events or is repeated; use a catch event."
            report.add(Problem("event-wanted", detail, element.id, element.line))
    if len({target.id for target in targets}) != len(targets):
        report.add(Problem("event-twice", "Two flows lead to the same event.", element.id, element.line))
    _check_twice(targets, report)


def _check_timer(draft: Draft, element: Element, report: Report) -> None:
    trigger = element.trigger
    if not isinstance(trigger, TimerTrigger):
        return
    if trigger.kind == "cycle" and not _may_repeat(draft, element):
        detail = "A cycle repeats only at start and non-interrupting boundary events; use a timeDuration."
        report.add(Problem("cycle-misplaced", detail, element.id, element.line))
    if isinstance(trigger.value, str):
        try:
            schedule(trigger, {}, _LATEST_MS)
        except ExpressionError as error:
            report.add(Problem("timer-invalid", error.detail, element.id, element.line))


def _may_repeat(draft: Draft, element: Element) -> bool:
    if element.tag == "startEvent":
        around = draft.elements.get(element.scope)
        return around is None or not around.interrupting
    return element.kind is Kind.BOUNDARY and not element.interrupting


def _check_repeatable(draft: Draft, element: Element, report: Report) -> None:
    """Errors always interrupt: what threw them cannot go on."""
    attribute = "cancelActivity" if element.kind is Kind.BOUNDARY else "isInterrupting"
    if isinstance(element.trigger, ErrorTrigger) and draft.nodes[element.id].get(attribute) == "false":
        detail = "What catches an error interrupts: what threw it cannot go on."
        report.add(Problem("error-not-interrupting", detail, element.id, element.line))


def _check_twice(elements: Iterable[Element], report: Report) -> None:
    """Check that each message, signal, error and escalation is awaited once in one place."""
    seen: set[tuple[str, str]] = set()
    for element in elements:
        name = _name(element.trigger)
        if name is None:
            continue
        if name in seen:
            kind, text = name
            detail = f"Another event of the same place catches the {kind} {text!r} already."
            if kind == "error":
                report.add(Problem("error-twice", detail, element.id, element.line))
            else:
                report.add(Problem("trigger-twice", detail, element.id, element.line))
        seen.add(name)


def _name(trigger: Trigger | None) -> tuple[str, str] | None:
    match trigger:
        case MessageTrigger(name=str(name)):
            return "message", name
        case SignalTrigger(name=str(name)):
            return "signal", name
        case ErrorTrigger(code=code):
            return "error", code
        case EscalationTrigger(code=code):
            return "escalation", code
        case _:
            return None
