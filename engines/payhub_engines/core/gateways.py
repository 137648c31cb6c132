"""What tokens do at gateways: which flows they take, and when a join goes on."""

from typing import TYPE_CHECKING

from payhub_engines.core import events
from payhub_engines.core.bpmn.model import Element, Flow, Kind
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import ElementInstance

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun


def enter(run: "InstanceRun", element: Element, scope: int) -> None:
    """Pass an exclusive or inclusive gateway; it is activated where that is not possible."""
    try:
        chosen = _chosen(run, element, scope)
    except ExpressionError:
        chosen = ()
    if chosen:
        run.pass_through(element, scope, chosen)
    else:
        run.activate(element, scope)  # which says why


def choose(run: "InstanceRun", element: Element, key: int) -> None:
    """Leave an active exclusive or inclusive gateway."""
    active = run.instance.elements[key]
    try:
        chosen = _chosen(run, element, active.scope)
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    if not chosen:
        detail = "No condition is true and there is no default flow."
        run.raise_incident(key, element.id, "no-matching-flow", detail, "activate")
        return
    run.complete(element, active, chosen)


def _chosen(run: "InstanceRun", element: Element, scope: int) -> tuple[Flow, ...]:
    """Return the flows to take; none is an incident.

    Of an exclusive gateway it is the first one whose condition is true (null is not), of an inclusive one
    all of them; else the default.
    """
    outgoing, is_exclusive = element.outgoing, element.kind is Kind.EXCLUSIVE
    if len(outgoing) == 1 and outgoing[0].condition is None:
        return outgoing
    chosen: list[Flow] = []
    seen, now_ms = run.visible(scope), run.decision.now_ms
    for flow in outgoing:
        condition = flow.condition
        if condition is None:
            if not is_exclusive and flow is not element.default:
                chosen.append(flow)
        elif condition(seen, now_ms=now_ms) is True:
            if is_exclusive:
                return (flow,)
            chosen.append(flow)
    if not chosen and element.default is not None:
        return (element.default,)
    return tuple(chosen)


def is_join_ready(run: "InstanceRun", element: Element, scope: int) -> bool:
    """Tell whether a join has all the tokens it waits for.

    A parallel one needs a token on each flow; an inclusive one on each flow that a token may still come
    along, which is looked at when no token moves (``release_joins``).
    """
    waiting = run.instance.elements[scope].joins.get(element.id)
    if waiting is None:
        return False  # it went on with the token of another flow
    return all(flow in waiting for flow in element.incoming)


def release_joins(run: "InstanceRun", key: int, scope: ElementInstance) -> bool:
    """Let an inclusive join go on that no other token can reach; tell whether there was one."""
    for gateway in list(scope.joins):
        element = run.elements[gateway]
        if element.kind is Kind.INCLUSIVE and not _is_reachable(run, key, scope, element):
            run.activate(element, key)
            return True
    return False


def _is_reachable(run: "InstanceRun", key: int, scope: ElementInstance, gateway: Element) -> bool:
    """Tell whether an inclusive join must wait for a token in the scope, active or waiting at another join.

    As BPMN has it: for one that can come along a flow without a token, unless it can also come along one that
    has a token already. Such a token comes around a loop, and the gateway would wait for itself.
    """
    waiting = scope.joins[gateway.id]
    inside = {other.element for other in run.instance.elements.values() if other.key and other.scope == key}
    for start in inside | scope.joins.keys() - {gateway.id}:
        flows = _flows_reached(run, start, gateway)
        if flows and not any(flow in waiting for flow in flows):
            return True
    return False


def _flows_reached(run: "InstanceRun", start: str, gateway: Element) -> set[str]:
    """Return the flows into a gateway that a token at an element may take without passing the gateway."""
    found: set[str] = set()
    reached: set[str] = set()
    following = [start]
    while following:
        element_id = following.pop()
        if element_id in reached or element_id == gateway.id:
            continue
        reached.add(element_id)
        element = run.elements[element_id]
        found |= {flow.id for flow in element.outgoing if flow.target == gateway.id}
        following += [flow.target for flow in element.outgoing]
        following += [*element.waits, *element.errors, *element.escalations]
    return found


def drop_joins(run: "InstanceRun", key: int, scope: ElementInstance) -> None:
    """Consume tokens that wait at joins of a scope: each join is entered and interrupted."""
    while scope.joins:
        join, decision = next(iter(scope.joins)), run.decision
        entered = decision.new_key()
        decision.append(events.ElementActivated(run.key, entered, join, {}, key))
        decision.append(events.ElementTerminated(run.key, entered, join))
