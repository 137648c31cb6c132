"""Multi-instance elements: one body, and in it one instance of the element for each item."""

from typing import TYPE_CHECKING, Any, Final

from payhub_engines.core import compensation, events, waits
from payhub_engines.core.bpmn.model import Element, Loop
from payhub_engines.core.decision import STEPS_MAX
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import check_fits, spend, units_of
from payhub_engines.core.records import ElementInstance
from payhub_engines.core.variables import json_variables

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun

ITEMS_MAX: Final = 1_000


def begin(
    run: "InstanceRun", element: Element, scope: int, local: dict[str, Any] | None = None, undoes: int = 0
) -> None:
    """Activate the body and go over the collection; arguments as in ``ElementActivated``."""
    key = run.decision.new_key()
    run.decision.append(events.ElementActivated(run.key, key, element.id, local or {}, scope, undoes=undoes))
    if run.decision.count_step():
        execute(run, element, key)
    else:
        _raise_too_many(run, element, key)


def _raise_too_many(run: "InstanceRun", element: Element, key: int) -> None:
    detail = f"One command entered {STEPS_MAX} elements without a wait."
    run.raise_incident(key, element.id, "too-many-steps", detail, "activate")


def execute(run: "InstanceRun", element: Element, key: int) -> None:
    """Go over the collection; also again, after an incident."""
    loop = element.loop
    if loop is None:
        return
    try:
        items = _items(run, loop, key)
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    if not loop.is_sequential and not run.decision.count_step(len(items)):
        _raise_too_many(run, element, key)
        return
    run.decision.append(events.LoopStarted(run.key, key, items))
    if waits.open_all(run, element, key):
        _begin_items(run, element, key, len(items))


def _begin_items(run: "InstanceRun", element: Element, key: int, count: int) -> None:
    if not count:
        _finish(run, element, run.instance.elements[key])
    elif element.loop is not None and element.loop.is_sequential:
        run.decision.touched.append((run, key))
    else:
        for index in range(1, count + 1):
            if key in run.instance.elements:
                _activate_item(run, element, key, index)


def _items(run: "InstanceRun", loop: Loop, key: int) -> list[Any]:
    found = run.compute(loop.collection, key)
    if not isinstance(found, list):
        raise ExpressionError(f"The input collection must be a list; it is {type(found).__name__}.")
    if len(found) > ITEMS_MAX:
        raise ExpressionError(
            f"An input collection has at most {ITEMS_MAX} items; this one has {len(found)}."
        )
    checked = json_variables({"items": found})
    check_fits(run.decision, run.instance, checked)
    items: list[Any] = checked["items"]
    return items


def _activate_item(run: "InstanceRun", element: Element, body: int, index: int) -> None:
    state, loop = run.instance.elements[body].loop, element.loop
    if state is None or loop is None:
        return
    local: dict[str, Any] = {"loopCounter": index}
    if loop.item:
        local[loop.item] = state.items[index - 1]
    run.activate(element, body, local, index)


def leave_item(run: "InstanceRun", element: Element, active: ElementInstance) -> None:
    """Note the output of one instance, and go on with the next or finish the body."""
    loop, body_key = element.loop, active.scope
    body = run.instance.elements[body_key]
    if loop is None or body.loop is None:
        return
    try:
        output = run.compute(loop.output_item, active.key) if loop.output_item is not None else None
        checked = json_variables({"output": output})
        check_fits(run.decision, run.instance, checked)
        output = checked["output"]
    except ExpressionError as error:
        run.raise_incident(active.key, element.id, error.code, error.detail, "leave")
        return
    run.resolve_incident(active)
    if active.undoables:
        compensation.move_out(run, element, active, active.undoables)
    run.decision.append(events.ElementCompleted(run.key, active.key, element.id))
    run.decision.append(events.LoopItemCompleted(run.key, body_key, active.index, output))
    look(run, element, body)


def go_on(run: "InstanceRun", element: Element, body: ElementInstance) -> None:
    """Activate the next item of a sequential loop, when none is active and no token moves.

    So a long loop over what does not wait needs no deep stack.
    """
    loop, state = element.loop, body.loop
    if loop is not None and state is not None and loop.is_sequential and body.incident is None:
        _activate_item(run, element, body.key, state.completed + 1)


def look(run: "InstanceRun", element: Element, body: ElementInstance) -> None:
    """Finish the body when the loop is complete, or go on; also again after an incident."""
    loop, state = element.loop, body.loop
    if loop is None or state is None:
        return
    try:
        is_complete = state.completed == len(state.items) or _is_complete(run, loop, body)
    except ExpressionError as error:
        run.raise_incident(body.key, element.id, error.code, error.detail, "loop")
        return
    if is_complete:
        run.terminate_inside(body.key)
        _finish(run, element, body)
    elif loop.is_sequential and not body.children:
        run.decision.touched.append((run, body.key))


def _is_complete(run: "InstanceRun", loop: Loop, body: ElementInstance) -> bool:
    state = body.loop
    if loop.completion is None or state is None:
        return False
    # The names that Camunda gives these counts.
    counts = {
        "numberOfInstances": len(state.items),
        "numberOfCompletedInstances": state.completed,
        "numberOfActiveInstances": body.children,
        "numberOfTerminatedInstances": 0,
    }
    outputs = {loop.output_collection: _outputs(body)} if loop.output_collection else {}
    seen = {**run.visible(body.key), **outputs, **counts}
    return loop.completion(seen, now_ms=run.decision.now_ms) is True


def _outputs(body: ElementInstance) -> list[Any]:
    state = body.loop
    return [] if state is None else [state.outputs.get(index + 1) for index in range(len(state.items))]


def _finish(run: "InstanceRun", element: Element, body: ElementInstance) -> None:
    if element.loop is not None and element.loop.output_collection:
        collected = {element.loop.output_collection: _outputs(body)}
        spend(run.decision, units_of(collected))
        run.merge(body.scope, collected)
    run.complete(element, body, element.outgoing)
