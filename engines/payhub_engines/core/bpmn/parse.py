"""Reads a BPMN file: untrusted XML in, an immutable definition out. No DTD, no entities, bounded size."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from payhub_engines.core.bpmn.checks import check_definition
from payhub_engines.core.bpmn.events import EventReader
from payhub_engines.core.bpmn.model import (
    DefinitionError,
    Element,
    Flow,
    JobDefinition,
    Kind,
    Mapped,
    ProcessDefinition,
)
from payhub_engines.core.bpmn.xml import BPMN, ZEEBE, extension, local_name, value_of

XML_BYTES_MAX: Final = 2 * 1024 * 1024
ELEMENTS_MAX: Final = 2_000
RETRIES_DEFAULT: Final = 3
RETRIES_MAX: Final = 1_000_000

_KINDS: Final = {
    "startEvent": Kind.PASS,
    "intermediateThrowEvent": Kind.PASS,
    "task": Kind.PASS,
    "manualTask": Kind.PASS,
    "serviceTask": Kind.JOB,
    "sendTask": Kind.JOB,
    "receiveTask": Kind.CATCH,
    "intermediateCatchEvent": Kind.CATCH,
    "boundaryEvent": Kind.BOUNDARY,
    "exclusiveGateway": Kind.EXCLUSIVE,
    "parallelGateway": Kind.PARALLEL,
    "eventBasedGateway": Kind.EVENT_GATEWAY,
    "endEvent": Kind.END,
}
_NOT_EXECUTED: Final = frozenset(
    "sequenceFlow documentation extensionElements group textAnnotation association laneSet".split()
)


def parse(xml: bytes) -> ProcessDefinition:
    """Read, check and compile the one executable process of a file.

    Raises:
        DefinitionError: what is wrong, at which element, and what to do.
    """
    root = _root(xml)
    processes = [node for node in root.findall(BPMN + "process") if node.get("isExecutable") != "false"]
    if len(processes) != 1:
        detail = f"A file holds one executable process; this one has {len(processes)}."
        raise DefinitionError("one-process-wanted", detail)
    process = processes[0]
    process_id = process.get("id", "")
    if not process_id:
        raise DefinitionError("id-missing", "The process has no id.")
    flows = list(_flows(process))
    elements = _elements(root, process, flows)
    starts = [node.get("id", "") for node in process.findall(BPMN + "startEvent")]
    if len(starts) != 1:
        detail = f"A process has one start event; this one has {len(starts)}."
        raise DefinitionError("one-start-wanted", detail, process_id)
    definition = ProcessDefinition(
        id=process_id,
        name=process.get("name", process_id),
        version=hashlib.sha256(xml).hexdigest()[:16],
        start=starts[0],
        elements=elements,
        xml=xml,
    )
    check_definition(definition, flows)
    return definition


def _root(xml: bytes) -> Node:
    if len(xml) > XML_BYTES_MAX:
        raise DefinitionError("file-too-large", f"A file has at most {XML_BYTES_MAX} bytes.")
    try:
        root: Node = fromstring(xml, forbid_dtd=True)
    except ParseError as error:
        raise DefinitionError("malformed-xml", f"The file is no well-formed XML: {error}.") from error
    except DefusedXmlException as error:
        detail = "The file declares a document type or entities; remove them."
        raise DefinitionError("dtd-forbidden", detail) from error
    except (ValueError, LookupError) as error:
        raise DefinitionError("malformed-xml", f"The file's encoding is not readable: {error}.") from error
    if root.tag != BPMN + "definitions":
        raise DefinitionError("not-bpmn", "The file's root is not BPMN 2.0 <definitions>.")
    return root


def _flows(process: Node) -> Iterator[Flow]:
    for node in process.findall(BPMN + "sequenceFlow"):
        flow_id = node.get("id", "")
        condition = node.find(BPMN + "conditionExpression")
        text = (condition.text or "").strip() if condition is not None else ""
        yield Flow(
            id=flow_id,
            source=node.get("sourceRef", ""),
            target=node.get("targetRef", ""),
            condition=value_of(text, flow_id, always_expression=True) if text else None,
        )


def _elements(root: Node, process: Node, flows: list[Flow]) -> dict[str, Element]:
    reader = EventReader(root)
    incoming: dict[str, list[str]] = {}
    outgoing: dict[str, list[Flow]] = {}
    for flow in flows:
        incoming.setdefault(flow.target, []).append(flow.id)
        outgoing.setdefault(flow.source, []).append(flow)
    elements: dict[str, Element] = {}
    for node in process:
        if local_name(node) in _NOT_EXECUTED or node.tag.startswith(ZEEBE):
            continue
        element = _element(node, reader)
        if element.id in elements:
            raise DefinitionError("id-twice", "Two elements have this id; rename one.", element.id)
        leaving = tuple(outgoing.get(element.id, ()))
        default = node.get("default")
        elements[element.id] = replace(
            element,
            incoming=tuple(incoming.get(element.id, ())),
            outgoing=leaving,
            default=next((flow for flow in leaving if flow.id == default), None),
        )
        if default is not None and elements[element.id].default is None:
            raise DefinitionError(
                "default-unknown", f"The default {default} does not leave here.", element.id
            )
        if len(elements) > ELEMENTS_MAX:
            raise DefinitionError("file-too-large", f"A process has at most {ELEMENTS_MAX} elements.")
    return {element.id: _with_waits(element, elements) for element in elements.values()}


def _with_waits(element: Element, elements: dict[str, Element]) -> Element:
    attached = [other for other in elements.values() if other.attached_to == element.id]
    waits = [other.id for other in attached if other.error is None]
    if element.kind is Kind.CATCH:
        waits.insert(0, element.id)
    if element.kind is Kind.EVENT_GATEWAY:
        waits = [flow.target for flow in element.outgoing]
    catching = [other for other in attached if other.error is not None]
    catching.sort(key=lambda other: other.error is not None and not other.error.code)
    return replace(element, waits=tuple(waits), errors=tuple(other.id for other in catching))


def _element(node: Node, reader: EventReader) -> Element:
    tag, element_id = local_name(node), node.get("id", "")
    kind = _KINDS.get(tag) if node.tag.startswith(BPMN) else None
    if not element_id:
        raise DefinitionError("id-missing", f"A <{tag}> has no id.")
    if kind is None:
        raise DefinitionError("unsupported-element", f"<{tag}> cannot be executed; remodel it.", element_id)
    element = Element(
        id=element_id,
        name=node.get("name", ""),
        kind=kind,
        inputs=_mappings(node, "input", element_id),
        outputs=_mappings(node, "output", element_id),
    )
    if node.find(BPMN + "multiInstanceLoopCharacteristics") is not None:
        raise DefinitionError("unsupported-element", "Multi-instance cannot be executed.", element_id)
    if kind is Kind.JOB:
        return replace(element, job=_job(node, element_id))
    if tag == "receiveTask":
        return replace(element, message=reader.message(node.get("messageRef"), element_id))
    if tag.endswith("Event"):
        return reader.event(node, element)
    return element


def _job(node: Node, element_id: str) -> JobDefinition:
    task = extension(node, "taskDefinition")
    job_type = "" if task is None else task.get("type", "").strip()
    if task is None or not job_type:
        detail = "No job type; add zeebe:taskDefinition with a type that a connector serves."
        raise DefinitionError("job-type-missing", detail, element_id)
    if job_type.startswith("="):
        raise DefinitionError("unsupported-expression", "The job type must be a static text.", element_id)
    headers = extension(node, "taskHeaders")
    found = () if headers is None else headers.findall(ZEEBE + "header")
    return JobDefinition(
        type=job_type,
        retries=_retries(task.get("retries", "").strip(), element_id),
        headers={header.get("key", ""): header.get("value", "") for header in found},
    )


def _retries(text: str, element_id: str) -> int:
    """Read the retries; some files leave them empty (then 3) or write 0, which still is one try."""
    if not text:
        return RETRIES_DEFAULT
    if not text.isdecimal() or int(text) > RETRIES_MAX:
        detail = f"retries is {text[:20]!r}; write a number up to {RETRIES_MAX}."
        raise DefinitionError("retries-invalid", detail, element_id)
    return max(1, int(text))


def _mappings(node: Node, direction: str, element_id: str) -> tuple[Mapped, ...]:
    mapping = extension(node, "ioMapping")
    if mapping is None:
        return ()
    found: list[Mapped] = []
    for item in mapping.findall(ZEEBE + direction):
        target = tuple(item.get("target", "").split("."))
        if not all(target):
            raise DefinitionError("mapping-invalid", f"An {direction} mapping has no target.", element_id)
        found.append(Mapped(value_of(item.get("source", ""), element_id), target))
    return tuple(found)
