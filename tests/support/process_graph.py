"""A BPMN file as a graph, read apart from the engine, so that the two can be compared.

Knows what the Payment Hub EE's files and our own use; anything else is refused by name.
"""

from dataclasses import dataclass, field

from defusedxml.ElementTree import fromstring

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
ZEEBE = "{http://camunda.org/schema/zeebe/1.0}"
JOBS = frozenset(("serviceTask", "sendTask"))
EVENTS = frozenset(("receiveTask", "intermediateCatchEvent"))
NODES = (
    JOBS
    | EVENTS
    | frozenset(
        "startEvent endEvent boundaryEvent exclusiveGateway parallelGateway eventBasedGateway task manualTask"
        " callActivity".split()
    )
)
NOT_EXECUTED = frozenset(
    "sequenceFlow documentation extensionElements group textAnnotation association laneSet".split()
)


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow; ``condition`` is empty where there is none."""

    id: str
    source: str
    target: str
    condition: str


@dataclass(slots=True)
class Node:
    """One flow node: where it leads, and what it waits for.

    Attributes:
        job: the job type of a task that a worker does.
        message: name and correlation key's expression of the message that it waits for.
        timer: the text of its duration.
        catches_error: a boundary event for a BPMN error; ``error`` is its code, empty for all.
        boundary: ids of the boundary events attached to it.
        interrupting: of a boundary event.
        called: the process of a call activity.
    """

    id: str
    tag: str
    default: str = ""
    job: str = ""
    message: tuple[str, str] | None = None
    timer: str = ""
    catches_error: bool = False
    error: str = ""
    interrupting: bool = True
    attached_to: str = ""
    called: str = ""
    boundary: list[str] = field(default_factory=list)
    incoming: list[str] = field(default_factory=list)
    outgoing: list[Flow] = field(default_factory=list)

    @property
    def is_join(self):
        return self.tag == "parallelGateway" and len(self.incoming) > 1


@dataclass(slots=True)
class Graph:
    """A process: its nodes and flows by id."""

    process: str
    start: str
    nodes: dict[str, Node]
    flows: dict[str, Flow]

    @property
    def ends(self):
        """The ids of the end events."""
        return {node.id for node in self.nodes.values() if node.tag == "endEvent"}

    @property
    def conditions(self):
        """The texts of all conditions."""
        return sorted({flow.condition for flow in self.flows.values() if flow.condition})


def read_graph(xml: bytes) -> Graph:
    """Read the executable process of a file."""
    root = fromstring(xml)
    process = next(node for node in root.findall(BPMN + "process") if node.get("isExecutable") != "false")
    messages = {node.get("id"): node for node in root.findall(BPMN + "message")}
    errors = {node.get("id"): node.get("errorCode", "") for node in root.findall(BPMN + "error")}
    nodes = {}
    for child in process:
        tag = child.tag.removeprefix(BPMN)
        if tag not in NOT_EXECUTED:
            assert tag in NODES, f"<{tag}> is nothing that these scripts know"
            nodes[child.get("id")] = _node(child, tag, messages, errors)
    flows = {}
    for child in process.findall(BPMN + "sequenceFlow"):
        text = (child.findtext(BPMN + "conditionExpression") or "").strip()
        flow = Flow(child.get("id"), child.get("sourceRef"), child.get("targetRef"), text)
        flows[flow.id] = flow
        nodes[flow.source].outgoing.append(flow)
        nodes[flow.target].incoming.append(flow.id)
    for node in nodes.values():
        if node.attached_to:
            nodes[node.attached_to].boundary.append(node.id)
    start = next(node.id for node in nodes.values() if node.tag == "startEvent")
    return Graph(process.get("id"), start, nodes, flows)


def _node(child, tag, messages, errors):
    node = Node(child.get("id"), tag, default=child.get("default", ""))
    task = child.find(f"{BPMN}extensionElements/{ZEEBE}taskDefinition")
    called = child.find(f"{BPMN}extensionElements/{ZEEBE}calledElement")
    if (
        tag in JOBS and task is not None
    ):  # some receive tasks of the files have one too: it means nothing there
        node.job = task.get("type", "")
    if called is not None:
        node.called = called.get("processId", "")
    node.attached_to = child.get("attachedToRef", "")
    node.interrupting = child.get("cancelActivity") != "false"
    message = child.get("messageRef")
    for part in child:
        match part.tag.removeprefix(BPMN):
            case "messageEventDefinition":
                message = part.get("messageRef")
            case "timerEventDefinition":
                node.timer = (part.findtext(BPMN + "timeDuration") or "").strip()
            case "errorEventDefinition":
                node.catches_error = True
                node.error = errors.get(part.get("errorRef"), "")
    if message in messages:
        subscription = messages[message].find(f"{BPMN}extensionElements/{ZEEBE}subscription")
        key = "" if subscription is None else subscription.get("correlationKey", "")
        node.message = messages[message].get("name", ""), key
    return node
