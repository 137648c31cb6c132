"""Turns the XML of a process into a draft: every flow node of every scope, and the flows between them."""

from dataclasses import replace
from typing import Final

from payhub_engines.core.bpmn.declarations import Declarations
from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.events import EVENTS, EventReader
from payhub_engines.core.bpmn.expressions import expression_of
from payhub_engines.core.bpmn.model import Element, Flow, Kind, Value
from payhub_engines.core.bpmn.problems import Problem
from payhub_engines.core.bpmn.tasks import (
    allowance_of,
    called_of,
    job_of,
    loop_of,
    mappings_of,
    script_of,
    user_task_of,
)
from payhub_engines.core.bpmn.xml import BPMN, ZEEBE, Node

ELEMENTS_MAX: Final = 2_000
FLOWS_MAX: Final = 2 * ELEMENTS_MAX

_KINDS: Final = {
    "startEvent": Kind.PASS,
    "intermediateThrowEvent": Kind.PASS,
    "intermediateCatchEvent": Kind.CATCH,
    "boundaryEvent": Kind.BOUNDARY,
    "endEvent": Kind.END,
    "task": Kind.PASS,
    "manualTask": Kind.PASS,
    "serviceTask": Kind.JOB,
    "sendTask": Kind.JOB,
    "userTask": Kind.JOB,
    "businessRuleTask": Kind.JOB,
    "scriptTask": Kind.SCRIPT,
    "receiveTask": Kind.CATCH,
    "callActivity": Kind.CALL,
    "subProcess": Kind.SUB_PROCESS,
    "exclusiveGateway": Kind.EXCLUSIVE,
    "parallelGateway": Kind.PARALLEL,
    "inclusiveGateway": Kind.INCLUSIVE,
    "eventBasedGateway": Kind.EVENT_GATEWAY,
}
_NOT_EXECUTED: Final = frozenset(
    "incoming outgoing documentation extensionElements group textAnnotation laneSet dataObject "
    "dataObjectReference dataStoreReference ioSpecification property auditing monitoring "
    "supportedInterfaceRef resourceRole performer humanPerformer potentialOwner correlationSubscription "
    "multiInstanceLoopCharacteristics standardLoopCharacteristics dataInputAssociation "
    "dataOutputAssociation".split()
)
_INSTEAD: Final = {
    "complexGateway": "use an inclusive gateway with a condition on each flow",
    "transaction": "use an embedded sub-process with compensation events",
    "adHocSubProcess": "use an embedded sub-process with gateways that choose what is done",
    "callChoreography": "use a call activity",
    "implicitThrowEvent": "use an intermediate throw event",
}
CONDITIONAL: Final = frozenset({Kind.EXCLUSIVE, Kind.INCLUSIVE})


class Reader:
    """Reads one process into a draft; everything that cannot be executed goes into the draft's report."""

    def __init__(self, root: Node, draft: Draft) -> None:
        self._draft = draft
        self._report = draft.report
        self._events = EventReader(Declarations(root, draft.report), draft.report)
        self._flow_nodes: list[tuple[Node, str]] = []

    def read(self) -> None:
        """Fill the draft."""
        self._scope(self._draft.node, "", None)
        for node, scope in self._flow_nodes:
            self._flow(node, scope)
        self._draft.links = self._events.links

    def _scope(self, around: Node, scope: str, kind: Kind | None) -> None:
        for node in around.children:
            if node.tag == BPMN + "sequenceFlow":
                if len(self._flow_nodes) == FLOWS_MAX:
                    self._too_large("sequence flows", FLOWS_MAX, node)
                self._flow_nodes.append((node, scope))
            elif node.tag == BPMN + "association":
                self._draft.associations.append((node.get("sourceRef"), node.get("targetRef")))
            elif node.name not in _NOT_EXECUTED and not node.tag.startswith(ZEEBE):
                element = self._element(node, scope, kind)
                if element is not None and node.tag == BPMN + "subProcess":
                    self._scope(node, element.id, element.kind)

    def _element(self, node: Node, scope: str, parent: Kind | None) -> Element | None:
        """Take a flow node; None where it has no id of its own."""
        draft = self._draft
        if not node.id:
            self._report.add(Problem("id-missing", f"A <{node.name}> has no id.", "", node.line))
            return None
        if node.id in draft.elements:
            self._report.add(
                Problem("id-twice", "Two elements have this id; rename one.", node.id, node.line)
            )
            return None
        if len(draft.elements) == ELEMENTS_MAX:
            self._too_large("elements", ELEMENTS_MAX, node)
        if len(draft.elements) >= ELEMENTS_MAX:
            return None
        kind = _KINDS.get(node.name) if node.tag.startswith(BPMN) else None
        element = Element(
            id=node.id,
            name=node.get("name"),
            kind=kind or Kind.PASS,
            tag=node.name,
            line=node.line,
            scope=scope,
            is_for_compensation=node.get("isForCompensation") == "true",
        )
        draft.nodes[node.id] = node
        if kind is None:
            instead = _INSTEAD.get(node.name, "remodel it")
            detail = f"<{node.name}> is not executed; {instead}."
            self._report.add(Problem("unsupported-element", detail, node.id, node.line))
        else:
            element = self._completed(node, element, parent)
        draft.elements[node.id] = element
        return element

    def _completed(self, node: Node, element: Element, parent: Kind | None) -> Element:
        report = self._report
        element = replace(
            element,
            inputs=mappings_of(node, "input", report),
            outputs=mappings_of(node, "output", report),
        )
        if node.name in EVENTS:
            return self._events.event(node, element, parent)
        if node.name.endswith("Gateway"):
            return element
        element = replace(element, loop=loop_of(node, report))
        match node.name:
            case "serviceTask" | "sendTask":
                element = self._service(node, element)
            case "userTask":
                element = replace(element, job=user_task_of(node, report))
            case "scriptTask":
                element = self._script(node, element)
            case "businessRuleTask":
                element = self._business_rule(node, element)
            case "receiveTask":
                element = replace(element, trigger=self._events.message(node.get("messageRef"), element))
            case "callActivity":
                element = replace(element, called=called_of(node, report))
            case "subProcess" if node.get("triggeredByEvent") == "true":
                element = replace(element, kind=Kind.EVENT_SUB_PROCESS)
        return element

    def _service(self, node: Node, element: Element) -> Element:
        job = job_of(node, self._report)
        allowance = None if job is None else allowance_of(job, node, self._report)
        if allowance is None:
            return replace(element, job=job)
        return replace(element, kind=Kind.ALLOWANCE, allowance=allowance)

    def _script(self, node: Node, element: Element) -> Element:
        if node.extension("taskDefinition") is not None:
            return replace(element, kind=Kind.JOB, job=job_of(node, self._report))
        return replace(element, script=script_of(node, self._report))

    def _business_rule(self, node: Node, element: Element) -> Element:
        if node.extension("calledDecision") is not None and node.extension("taskDefinition") is None:
            detail = (
                "Decision tables (zeebe:calledDecision) are not executed; compute it in a script task, "
                "or serve it as a job with zeebe:taskDefinition."
            )
            self._report.add(Problem("unsupported-element", detail, node.id, node.line))
            return element
        return replace(element, job=job_of(node, self._report))

    def _flow(self, node: Node, scope: str) -> None:
        draft = self._draft
        if not node.id or node.id in draft.nodes:
            detail = "A sequence flow needs an id of its own."
            self._report.add(Problem("flow-id", detail, node.id, node.line))
            return
        draft.nodes[node.id] = node
        draft.scopes[node.id] = scope
        ends = {"source": node.get("sourceRef"), "target": node.get("targetRef")}
        for end, element_id in ends.items():
            element = draft.elements.get(element_id)
            if element is None:
                detail = f"The flow's {end} {element_id!r} is no element here; connect or delete it."
                self._report.add(Problem("flow-dangling", detail, node.id, node.line))
                return
            if element.scope != scope:
                detail = f"The flow's {end} {element_id} lies in another scope; no flow crosses its border."
                self._report.add(Problem("flow-across-scopes", detail, node.id, node.line))
                return
        is_conditional = draft.elements[ends["source"]].kind in CONDITIONAL
        condition = self._condition(node) if is_conditional else None
        draft.flows.append(Flow(node.id, ends["source"], ends["target"], condition))

    def _condition(self, node: Node) -> Value | None:
        condition = node.first(BPMN + "conditionExpression")
        if condition is None or not condition.text.strip():
            return None
        return expression_of(condition.text.strip(), node.id, condition.line, self._report)

    def _too_large(self, what: str, limit: int, node: Node) -> None:
        detail = f"A process has at most {limit} {what}; call a part of it as a process of its own."
        self._report.add(Problem("file-too-large", detail, node.id, node.line))
