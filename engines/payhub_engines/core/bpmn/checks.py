"""What must hold before a process is deployed, so that no instance gets stuck in a faulty model."""

from payhub_engines.core.bpmn.model import DefinitionError, Element, Flow, Kind, ProcessDefinition

_GATEWAYS = frozenset({Kind.EXCLUSIVE, Kind.PARALLEL, Kind.EVENT_GATEWAY})
_HOSTS = frozenset({Kind.JOB, Kind.CATCH, Kind.PASS})


def check_definition(definition: ProcessDefinition, flows: list[Flow]) -> None:
    """Check a process as a whole.

    Raises:
        DefinitionError: the first thing that is wrong.
    """
    _check_flows(definition, flows)
    for element in definition.elements.values():
        _check_element(definition, element)
    _check_reachable(definition)


def _check_flows(definition: ProcessDefinition, flows: list[Flow]) -> None:
    seen: set[str] = set()
    for flow in flows:
        if not flow.id or flow.id in seen:
            raise DefinitionError("flow-id", "A sequence flow needs an id of its own.", flow.id)
        seen.add(flow.id)
        for end, element_id in (("source", flow.source), ("target", flow.target)):
            if element_id not in definition.elements:
                detail = (
                    f"The flow's {end} {element_id!r} is no element of the process; connect or delete it."
                )
                raise DefinitionError("flow-dangling", detail, flow.id)
        source, target = definition.elements[flow.source], definition.elements[flow.target]
        if flow.condition is not None and source.kind is not Kind.EXCLUSIVE:
            detail = f"Only flows behind exclusive gateways have conditions; it leaves {flow.source}."
            raise DefinitionError("condition-misplaced", detail, flow.id)
        if source.kind in {Kind.END, Kind.TERMINATE}:
            raise DefinitionError("flow-after-end", "Nothing leaves an end event.", source.id)
        if target.kind is Kind.BOUNDARY or target.id == definition.start:
            raise DefinitionError("flow-into-event", "No flow leads into this event.", target.id)


def _check_element(definition: ProcessDefinition, element: Element) -> None:
    if element.kind in _GATEWAYS and not element.outgoing:
        raise DefinitionError("no-way-out", "Nothing leaves the gateway; connect it.", element.id)
    if element.default is not None and element.kind is not Kind.EXCLUSIVE and len(element.outgoing) > 1:
        raise DefinitionError("default-misplaced", "Only exclusive gateways have a default.", element.id)
    if element.kind is Kind.EXCLUSIVE:
        _check_conditions(element)
    if element.kind is Kind.EVENT_GATEWAY:
        _check_event_gateway(definition, element)
    if element.kind is Kind.BOUNDARY:
        _check_boundary(definition, element)
    codes = [definition.elements[error].error for error in element.errors]
    if len(set(codes)) != len(codes):
        raise DefinitionError("error-twice", "Two boundary events catch the same error.", element.id)


def _check_conditions(element: Element) -> None:
    if len(element.outgoing) > 1:
        for flow in element.outgoing:
            if flow.condition is None and flow is not element.default:
                detail = f"The flow {flow.id} has no condition; add one or make it the default."
                raise DefinitionError("condition-missing", detail, element.id)


def _check_boundary(definition: ProcessDefinition, element: Element) -> None:
    host = definition.elements.get(element.attached_to)
    if host is None or host.kind not in _HOSTS or host.id == definition.start:
        detail = f"It is attached to {element.attached_to!r}; attach it to a task."
        raise DefinitionError("boundary-misplaced", detail, element.id)
    if not element.outgoing:
        raise DefinitionError("no-way-out", "Nothing leaves the boundary event.", element.id)


def _check_event_gateway(definition: ProcessDefinition, element: Element) -> None:
    for flow in element.outgoing:
        target = definition.elements[flow.target]
        if target.kind is not Kind.CATCH:
            detail = f"{target.id} cannot follow; only events that wait for a message or timer can."
            raise DefinitionError("event-wanted", detail, element.id)
    targets = [flow.target for flow in element.outgoing]
    if len(set(targets)) != len(targets):
        raise DefinitionError("event-twice", "Two flows lead to the same event.", element.id)


def _check_reachable(definition: ProcessDefinition) -> None:
    reached: set[str] = set()
    waiting = [definition.start]
    while waiting:
        element_id = waiting.pop()
        if element_id in reached:
            continue
        reached.add(element_id)
        element = definition.elements[element_id]
        waiting += [flow.target for flow in element.outgoing]
        waiting += [*element.waits, *element.errors]
    for element_id in definition.elements:
        if element_id not in reached:
            detail = "No path from the start leads here; connect or delete it."
            raise DefinitionError("unreachable", detail, element_id)
