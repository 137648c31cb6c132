"""Sub-processes, event sub-processes and compensation."""

from typing import Final

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import CompensationThrow, Element, Kind
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.wiring import is_compensation_boundary
from payhub_engines.core.bpmn.xml import BPMN

_ACTIVITIES: Final = frozenset({"callActivity", "subProcess"})


def is_activity(element: Element) -> bool:
    """Tell whether an element is a task, call activity or embedded sub-process."""
    is_task = element.tag == "task" or element.tag.endswith("Task") or element.tag in _ACTIVITIES
    return is_task and element.kind is not Kind.EVENT_SUB_PROCESS


def check(draft: Draft, report: Report) -> None:
    """Check what the scopes of a process hold, and what undoes what."""
    led_to: dict[str, set[str]] = {}
    for source, target in draft.associations:
        led_to.setdefault(source, set()).add(target)
    handlers = {element.compensation for element in draft.elements.values() if element.compensation}
    for element in draft.elements.values():
        if element.kind is Kind.EVENT_SUB_PROCESS and element.loop is not None:
            detail = "An event sub-process is not repeated; put a repeated sub-process into it."
            report.add(Problem("unsupported-element", detail, element.id, element.line))
        if is_compensation_boundary(draft, element):
            _check_boundary(draft, element, led_to.get(element.id, set()), report)
        if element.is_for_compensation and element.id not in handlers:
            detail = "Nothing leads to it; add a compensation boundary event with an association to it."
            report.add(Problem("compensation-unattached", detail, element.id, element.line))
        if isinstance(element.throw, CompensationThrow) and element.throw.activity:
            _check_throw(draft, element, element.throw.activity, report)


def _check_boundary(draft: Draft, element: Element, targets: set[str], report: Report) -> None:
    host = draft.elements.get(element.attached_to)
    if host is None or not host.compensation or host.compensation not in targets:
        detail = 'No association leads to a task with isForCompensation="true" of the same scope; draw one.'
        report.add(Problem("compensation-handler-missing", detail, element.id, element.line))
    elif len(targets) > 1:
        detail = "Several associations leave it; a sub-process can do several things to undo one."
        report.add(Problem("compensation-handler-missing", detail, element.id, element.line))
    if element.outgoing:
        detail = "No flow leaves a compensation boundary event; its association leads to the handler."
        report.add(Problem("compensation-flow", detail, element.id, element.line))


def _check_throw(draft: Draft, element: Element, activity: str, report: Report) -> None:
    known = draft.elements.get(activity)
    node = draft.nodes.get(activity)
    holds_more = node is not None and node.tag == BPMN + "subProcess"
    if known is None or not (known.compensation or holds_more):
        detail = f"It compensates {activity!r}, which is no activity with a compensation boundary event."
        report.add(Problem("compensation-unknown", detail, element.id, element.line))
