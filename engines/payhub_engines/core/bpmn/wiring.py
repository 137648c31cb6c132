"""Connects a draft's elements: flows, links, what is awaited and caught where, and what undoes what."""

from dataclasses import replace

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import (
    Element,
    ErrorTrigger,
    EscalationTrigger,
    Flow,
    Kind,
    MessageTrigger,
    SignalTrigger,
    TimerTrigger,
)
from payhub_engines.core.bpmn.problems import Problem

WAITED = (MessageTrigger, TimerTrigger, SignalTrigger)
_SUB_PROCESSES = frozenset({Kind.SUB_PROCESS, Kind.EVENT_SUB_PROCESS})
_CATCHING = frozenset({"intermediateCatchEvent"})  # of the two kinds of link events


def connect(draft: Draft) -> None:
    """Complete the elements with what only the whole process tells; reports what cannot be connected."""
    _connect_event_sub_processes(draft)
    _connect_flows(draft)
    _connect_compensation(draft)
    attached = draft.attached()
    inside = event_sub_processes(draft)
    elements = draft.elements
    for element in list(elements.values()):
        borders, handlers = attached.get(element.id, []), inside.get(element.id, [])
        elements[element.id] = replace(
            element,
            waits=_waits(element, elements, borders, handlers),
            errors=(*catching(handlers, ErrorTrigger), *catching(borders, ErrorTrigger)),
            escalations=(*catching(handlers, EscalationTrigger), *catching(borders, EscalationTrigger)),
        )


def event_sub_processes(draft: Draft) -> dict[str, list[Element]]:
    """Return the event sub-processes by the sub-process that they lie in; ``""`` is the process itself."""
    found: dict[str, list[Element]] = {}
    for element in draft.elements.values():
        if element.kind is Kind.EVENT_SUB_PROCESS:
            found.setdefault(element.scope, []).append(element)
    return found


def waiting(elements: list[Element]) -> tuple[str, ...]:
    """Return the ids of those that wait for a message, timer or signal."""
    return tuple(element.id for element in elements if isinstance(element.trigger, WAITED))


def catching(
    elements: list[Element], trigger: type[ErrorTrigger] | type[EscalationTrigger]
) -> tuple[str, ...]:
    """Return the ids of those that catch errors or escalations, exact codes first."""
    found = [
        (element.trigger.code == "", element.id)
        for element in elements
        if isinstance(element.trigger, trigger)
    ]
    return tuple(element_id for _, element_id in sorted(found, key=lambda pair: pair[0]))


def _waits(
    element: Element, elements: dict[str, Element], borders: list[Element], handlers: list[Element]
) -> tuple[str, ...]:
    if element.kind is Kind.EVENT_GATEWAY:
        targets = [elements[flow.target] for flow in element.outgoing]
        return waiting([target for target in targets if target.kind is Kind.CATCH])
    own = [element] if element.kind is Kind.CATCH else []
    return waiting([*own, *borders, *handlers])


def _connect_flows(draft: Draft) -> None:
    flows = [*_flows_but_of_links(draft), *_link_flows(draft)]
    incoming: dict[str, list[str]] = {}
    outgoing: dict[str, list[Flow]] = {}
    for flow in flows:
        incoming.setdefault(flow.target, []).append(flow.id)
        outgoing.setdefault(flow.source, []).append(flow)
    draft.flows = flows
    for element in list(draft.elements.values()):
        leaving = tuple(outgoing.get(element.id, ()))
        named = draft.nodes[element.id].get("default")
        default = next((flow for flow in leaving if flow.id == named), None)
        if named and default is None:
            detail = f"The default {named} does not leave here."
            draft.report.add(Problem("default-unknown", detail, element.id, element.line))
        is_choice = element.kind in {Kind.EXCLUSIVE, Kind.INCLUSIVE}
        draft.elements[element.id] = replace(
            element,
            incoming=tuple(incoming.get(element.id, ())),
            outgoing=leaving,
            default=default if is_choice else None,
        )


def _flows_but_of_links(draft: Draft) -> list[Flow]:
    kept: list[Flow] = []
    for flow in draft.flows:
        source = draft.elements[flow.source]
        if source.id in draft.links and source.tag not in _CATCHING:
            detail = "Nothing leaves a link throw event but its link; remove the flow."
            draft.report.add(Problem("flow-after-end", detail, source.id, source.line))
        else:
            kept.append(flow)
    return kept


def _link_flows(draft: Draft) -> list[Flow]:
    """Return a flow from each link throw event to its catch event, which has the same name and scope."""
    catches: dict[tuple[str, str], str] = {}
    for element_id, name in draft.links.items():
        element = draft.elements[element_id]
        if element.tag in _CATCHING and name:
            if (element.scope, name) in catches:
                detail = f"Two link catch events are named {name!r}; rename one."
                draft.report.add(Problem("link-twice", detail, element_id, element.line))
            catches.setdefault((element.scope, name), element_id)
    flows: list[Flow] = []
    for element_id, name in draft.links.items():
        element = draft.elements[element_id]
        if element.tag in _CATCHING:
            continue
        target = catches.get((element.scope, name))
        if target is None:
            detail = f"No link catch event of the same scope is named {name!r}; add one, or use a flow."
            draft.report.add(Problem("link-unpaired", detail, element_id, element.line))
        else:
            # No id of an XML file holds a colon.
            flows.append(Flow(f"{element_id}:{target}", element_id, target))
    return flows


def _connect_event_sub_processes(draft: Draft) -> None:
    """Give sub-processes their start event, and event sub-processes its trigger too."""
    starts: dict[str, list[Element]] = {}
    for element in draft.elements.values():
        if element.tag == "startEvent" and element.scope:
            starts.setdefault(element.scope, []).append(element)
    for element in list(draft.elements.values()):
        if element.kind not in _SUB_PROCESSES:
            continue
        found = starts.get(element.id, [])
        is_event = element.kind is Kind.EVENT_SUB_PROCESS
        if len(found) != 1:
            detail = f"It has one start event; this one has {len(found)}."
            if is_event:
                draft.report.add(Problem("event-sub-process-start", detail, element.id, element.line))
            else:
                draft.report.add(Problem("sub-process-start", detail, element.id, element.line))
        start = found[0] if found else None
        if start is None:
            continue
        interrupting = draft.nodes[start.id].get("isInterrupting") != "false"
        draft.elements[element.id] = replace(
            element,
            start=start.id,
            trigger=start.trigger if is_event else None,
            interrupting=interrupting or isinstance(start.trigger, ErrorTrigger),
        )


def _connect_compensation(draft: Draft) -> None:
    """Give an activity with a compensation boundary event what the event's association leads to."""
    handlers = dict(draft.associations)
    for element in list(draft.elements.values()):
        host = draft.elements.get(element.attached_to)
        handler = draft.elements.get(handlers.get(element.id, ""))
        if host is None or handler is None or not is_compensation_boundary(draft, element):
            continue
        if handler.is_for_compensation and handler.scope == element.scope:
            draft.elements[host.id] = replace(draft.elements[host.id], compensation=handler.id)


def is_compensation_boundary(draft: Draft, element: Element) -> bool:
    """Tell whether an element is a boundary event that leads to a compensation handler."""
    names = (child.name for child in draft.nodes[element.id].children)
    return element.kind is Kind.BOUNDARY and "compensateEventDefinition" in names
