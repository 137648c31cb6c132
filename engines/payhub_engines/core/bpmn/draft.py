"""A process while it is read: what the checks look at besides the finished definition."""

from dataclasses import dataclass, field

from payhub_engines.core.bpmn.model import Element, Flow
from payhub_engines.core.bpmn.problems import Report
from payhub_engines.core.bpmn.xml import Node


@dataclass(slots=True)
class Draft:
    """One process of a file.

    Attributes:
        elements: flow nodes of all scopes, by id, in the order of the file.
        flows: those with an id of their own whose ends are elements of one scope.
        nodes: the XML of elements and flows, by id.
        links: names of link events, by their id.
        scopes: id of the sub-process around a flow, by the flow's id.
        associations: which element leads to which, for compensation.
        report: what is so wrong that nothing can be executed.
    """

    id: str
    node: Node
    name: str = ""
    elements: dict[str, Element] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    associations: list[tuple[str, str]] = field(default_factory=list)
    report: Report = field(default_factory=Report)

    def line(self, element: str) -> int:
        """Return where an element or flow stands; the process's line for its own id."""
        return self.nodes[element].line if element in self.nodes else self.node.line

    def inside(self, scope: str) -> list[Element]:
        """Return the elements directly in a sub-process; of the process itself for ``""``."""
        return [element for element in self.elements.values() if element.scope == scope]

    def attached(self) -> dict[str, list[Element]]:
        """Return the boundary events by the element that they are attached to."""
        found: dict[str, list[Element]] = {}
        for element in self.elements.values():
            if element.attached_to:
                found.setdefault(element.attached_to, []).append(element)
        return found
