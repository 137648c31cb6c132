import re
from itertools import pairwise

import pytest
from defusedxml.ElementTree import fromstring

from payhub_engines.connectors.registry import handlers
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.bpmn.tasks import ENGINE_TASKS
from payhub_engines.processes import load

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
DI = "{http://www.omg.org/spec/BPMN/20100524/DI}"
DC = "{http://www.omg.org/spec/DD/20100524/DC}"
WAYPOINT = "{http://www.omg.org/spec/DD/20100524/DI}waypoint"
ZEEBE = "{http://camunda.org/schema/zeebe/1.0}"
FILES = load()
NODES = [BPMN + name for name in ("startEvent", "endEvent", "serviceTask", "exclusiveGateway")]
NODES += [BPMN + name for name in ("eventBasedGateway", "intermediateCatchEvent", "boundaryEvent")]
NODES += [BPMN + name for name in ("callActivity", "receiveTask", "intermediateThrowEvent")]
NODES += [BPMN + name for name in ("parallelGateway", "scriptTask")]


def nodes(process):
    return [node for node in process if node.tag in NODES]


@pytest.mark.parametrize(("name", "xml"), FILES)
def test_the_engine_accepts_the_file(name, xml):
    assert parse(xml).id == name


@pytest.mark.parametrize(("name", "xml"), FILES)
def test_ids_are_kebab_case_and_elements_have_names(name, xml):
    process = fromstring(xml).find(BPMN + "process")
    assert process.get("id") == name
    for node in nodes(process):
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", node.get("id"))
        assert node.get("name"), node.get("id")


@pytest.mark.parametrize("xml", [xml for _, xml in FILES], ids=[name for name, _ in FILES])
def test_every_element_and_flow_is_drawn_apart_from_the_others(xml):
    root = fromstring(xml)
    process = root.find(BPMN + "process")
    shapes = {shape.get("bpmnElement"): shape.find(DC + "Bounds") for shape in root.iter(DI + "BPMNShape")}
    edges = {edge.get("bpmnElement") for edge in root.iter(DI + "BPMNEdge")}
    assert set(shapes) == {node.get("id") for node in nodes(process)}
    assert edges == {flow.get("id") for flow in process.iter(BPMN + "sequenceFlow")}
    on_border = {node.get("id") for node in process.iter(BPMN + "boundaryEvent")}
    boxes = [box(bounds) for element, bounds in shapes.items() if element not in on_border]
    for index, one in enumerate(boxes):
        assert not any(overlap(one, other) for other in boxes[index + 1 :])


@pytest.mark.parametrize("xml", [xml for _, xml in FILES], ids=[name for name, _ in FILES])
def test_flows_are_drawn_from_their_source_to_their_target_around_all_else(xml):
    root = fromstring(xml)
    flows = {flow.get("id"): flow for flow in root.iter(BPMN + "sequenceFlow")}
    boxes = {
        shape.get("bpmnElement"): box(shape.find(DC + "Bounds")) for shape in root.iter(DI + "BPMNShape")
    }
    hosts = {node.get("id"): node.get("attachedToRef") for node in root.iter(BPMN + "boundaryEvent")}
    for edge in root.iter(DI + "BPMNEdge"):
        flow = flows[edge.get("bpmnElement")]
        source, target = flow.get("sourceRef"), flow.get("targetRef")
        points = [(float(point.get("x")), float(point.get("y"))) for point in edge.findall(WAYPOINT)]
        assert touches(boxes[source], points[0]), f"{flow.get('id')} starts elsewhere"
        assert touches(boxes[target], points[-1]), f"{flow.get('id')} ends elsewhere"
        for one, other in pairwise(points):
            span = (
                min(one[0], other[0]),
                min(one[1], other[1]),
                max(one[0], other[0]),
                max(one[1], other[1]),
            )
            hit = [name for name, shape in boxes.items() if overlap(shrunk(shape), span)]
            assert set(hit) <= {source, target, hosts.get(source)}, f"{flow.get('id')} crosses {hit}"


def touches(shape, point):
    return shape[0] <= point[0] <= shape[2] and shape[1] <= point[1] <= shape[3]


def shrunk(shape):
    return shape[0] + 1, shape[1] + 1, shape[2] - 1, shape[3] - 1


def box(bounds):
    x, y, width, height = (float(bounds.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def overlap(one, other):
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def test_every_job_has_a_connector_and_every_connector_a_job():
    types = {
        definition.get("type")
        for _, xml in FILES
        for definition in fromstring(xml).iter(ZEEBE + "taskDefinition")
    }
    assert types - ENGINE_TASKS == set(handlers())
