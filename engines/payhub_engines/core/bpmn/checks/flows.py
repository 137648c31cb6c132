"""Sequence flows and gateways."""

from typing import Final

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.expressions import is_expression
from payhub_engines.core.bpmn.model import Element, Flow, Kind
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.reader import CONDITIONAL
from payhub_engines.core.bpmn.xml import BPMN

_GATEWAYS: Final = CONDITIONAL | {Kind.PARALLEL, Kind.EVENT_GATEWAY}


def check(draft: Draft, report: Report) -> None:
    """Check each flow by itself, then what leaves each element."""
    for flow in draft.flows:
        if flow.id in draft.nodes:  # else it is a link
            _check_ends(draft, flow, report)
            _check_condition(draft, flow, report)
    for element in draft.elements.values():
        _check_gateway(draft, element, report)


def _check_ends(draft: Draft, flow: Flow, report: Report) -> None:
    source, target = draft.elements[flow.source], draft.elements[flow.target]
    if source.tag == "endEvent":
        report.add(Problem("flow-after-end", "Nothing leaves an end event.", source.id, source.line))
    into_event = target.kind is Kind.BOUNDARY or target.tag == "startEvent" or target.id in draft.links
    if into_event and not (target.id in draft.links and target.tag == "intermediateThrowEvent"):
        detail = "No flow leads into this event; it is entered when it triggers."
        report.add(Problem("flow-into-event", detail, target.id, target.line))
    for element in (source, target):
        if element.is_for_compensation:
            detail = f"The flow {flow.id} touches a compensation handler, which is entered only to undo."
            report.add(Problem("compensation-flow", detail, element.id, element.line))
        if element.kind is Kind.EVENT_SUB_PROCESS:
            detail = f"The flow {flow.id} touches an event sub-process, which is entered when it triggers."
            report.add(Problem("event-sub-process-flow", detail, element.id, element.line))


def _check_condition(draft: Draft, flow: Flow, report: Report) -> None:
    source, line = draft.elements[flow.source], draft.line(flow.id)
    node = draft.nodes[flow.id].first(BPMN + "conditionExpression")
    text = node.text.strip() if node is not None else ""
    if text and source.kind not in CONDITIONAL:
        detail = f"Only flows behind exclusive and inclusive gateways have conditions; it leaves {source.id}."
        report.add(Problem("condition-misplaced", detail, flow.id, line))
    elif text and flow == source.default:
        detail = "It is the default, which is taken when no other condition holds; its own is not asked."
        report.add(Problem("condition-ignored", detail, flow.id, line, "warning"))
    elif text and not is_expression(text):
        detail = f"The condition {text[:60]!r} has no = before it; other engines take it for a static text."
        report.add(Problem("expression-mark-missing", detail, flow.id, line, "warning"))


def _check_gateway(draft: Draft, element: Element, report: Report) -> None:
    if element.kind in _GATEWAYS and not element.outgoing:
        report.add(Problem("no-way-out", "Nothing leaves the gateway; connect it.", element.id, element.line))
    if element.kind in CONDITIONAL:
        _check_choice(element, report)
    elif draft.nodes[element.id].get("default") and len(element.outgoing) > 1:
        detail = "Only exclusive and inclusive gateways have a default."
        report.add(Problem("default-misplaced", detail, element.id, element.line))


def _check_choice(element: Element, report: Report) -> None:
    if len(element.outgoing) <= 1:
        return
    for flow in element.outgoing:
        if flow.condition is None and flow is not element.default:
            detail = f"The flow {flow.id} has no condition; add one or make it the default."
            report.add(Problem("condition-missing", detail, element.id, element.line))
    if element.default is None:
        detail = "There is no default flow; where no condition holds, the instance stops with an incident."
        report.add(Problem("default-missing", detail, element.id, element.line, "warning"))
