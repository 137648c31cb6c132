"""What a file asks for besides flow nodes and flows, and the engine does not do."""

from typing import Final

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import Element, Kind
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.xml import BPMN, ZEEBE, Node

_NOT_DONE: Final = {
    ZEEBE + "executionListeners": "Execution listeners are not called; put a service task before or after.",
    ZEEBE + "taskListeners": "Task listeners are not called; put a service task before or after.",
}
_CHILDREN_NOT_DONE: Final = {
    BPMN + "standardLoopCharacteristics": (
        "A standard loop is not executed; use multi-instance, or a gateway that leads back."
    ),
}
_JOB_KINDS: Final = frozenset({Kind.JOB, Kind.ALLOWANCE})


def check(draft: Draft, report: Report) -> None:
    """Check the extensions of every element."""
    for element in draft.elements.values():
        node = draft.nodes[element.id]
        for extension in node.extensions():
            if extension.tag in _NOT_DONE:
                detail = _NOT_DONE[extension.tag]
                report.add(Problem("unsupported-element", detail, element.id, extension.line))
        for child in node.children:
            if child.tag in _CHILDREN_NOT_DONE:
                detail = _CHILDREN_NOT_DONE[child.tag]
                report.add(Problem("unsupported-element", detail, element.id, child.line))
        _check_loop(node, element, report)
        _check_mappings(node, element, report)
        _check_ignored(node, element, report)


def _check_loop(node: Node, element: Element, report: Report) -> None:
    around = node.first(BPMN + "multiInstanceLoopCharacteristics")
    cardinality = around.first(BPMN + "loopCardinality") if around is not None else None
    if cardinality is not None:
        detail = "loopCardinality is not executed; loop over a list, such as =for i in 1..3 return i."
        report.add(Problem("unsupported-element", detail, element.id, cardinality.line))
    if around is not None and (element.tag.endswith(("Event", "Gateway"))):
        detail = "Only tasks, call activities and sub-processes are repeated."
        report.add(Problem("unsupported-element", detail, element.id, around.line))


def _check_mappings(node: Node, element: Element, report: Report) -> None:
    mapping = node.extension("ioMapping")
    for child in mapping.children if mapping is not None else ():
        if not child.get("source"):
            detail = f"The {child.name} mapping to {child.get('target')!r} has no source."
            report.add(Problem("mapping-invalid", detail, element.id, child.line))


def _check_ignored(node: Node, element: Element, report: Report) -> None:
    task = node.extension("taskDefinition")
    if task is not None and element.kind not in _JOB_KINDS:
        detail = f"A {element.tag} makes no job; its zeebe:taskDefinition is ignored."
        report.add(Problem("extension-ignored", detail, element.id, task.line, "warning"))
    called = node.extension("calledElement")
    binding = called.get("bindingType") if called is not None else ""
    if called is not None and binding not in {"", "latest"}:
        detail = f"The binding {binding!r} is ignored; the newest version of the process is called."
        report.add(Problem("extension-ignored", detail, element.id, called.line, "warning"))
