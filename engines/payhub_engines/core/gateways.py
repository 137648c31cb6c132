"""What tokens do at gateways: which flows they take, and when a join goes on."""

from typing import TYPE_CHECKING

from payhub_engines.core import events
from payhub_engines.core.bpmn.model import Element, Flow, Kind
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import ElementInstance

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun


def choose_one(run: "InstanceRun", element: Element, key: int) -> None:
    """Take the first flow whose condition is true, else the default; null is not true."""
    _choose(run, element, key, is_exclusive=True)


def choose_many(run: "InstanceRun", element: Element, key: int) -> None:
    """Take every flow whose condition is true, else the default."""
    _choose(run, element, key, is_exclusive=False)


def _choose(run: "InstanceRun", element: Element, key: int, *, is_exclusive: bool) -> None:
    outgoing = element.outgoing
    active = run.instance.elements[key]
    if len(outgoing) == 1 and outgoing[0].condition is None:
        run.complete(element, active, outgoing)
        return
    chosen: list[Flow] = []
    seen, now_ms = run.visible(active.scope), run.decision.now_ms
    try:
        for flow in outgoing:
            condition = flow.condition
            if condition is None:
                if not is_exclusive and flow is not element.default:
                    chosen.append(flow)
            elif condition(seen, now_ms=now_ms) is True:
                chosen.append(flow)
                if is_exclusive:
                    break
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    if not chosen and element.default is not None:
        chosen.append(element.default)
    if not chosen:
        detail = "No condition is true and there is no default flow."
        run.raise_incident(key, element.id, "no-matching-flow", detail, "activate")
        return
    run.complete(element, active, tuple(chosen))


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
