"""Compensation: completed activities are undone by their handlers, one after the other, the last first."""

from typing import TYPE_CHECKING

from payhub_engines.core import events, loops
from payhub_engines.core.bpmn.model import CompensationThrow, Element, Kind
from payhub_engines.core.limits import spend, units_of
from payhub_engines.core.records import ElementInstance, Undoable

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun


def subscribe(
    run: "InstanceRun", element: Element, active: ElementInstance, inside: tuple[Undoable, ...]
) -> None:
    """Note that a completed activity can be undone: by its own handler, or by those of what was inside it."""
    if element.compensation:
        run.decision.append(
            events.CompensationSubscribed(run.key, active.scope, element.id, element.compensation)
        )
        return
    move_out(run, element, active, inside)


def move_out(
    run: "InstanceRun", element: Element, active: ElementInstance, inside: tuple[Undoable, ...]
) -> None:
    """Let the scope around a sub-process undo what was completed inside, with the variables it had there."""
    for undoable in inside:
        local = {**active.variables, **undoable.local}
        spend(run.decision, units_of(local))
        run.decision.append(
            events.CompensationSubscribed(run.key, active.scope, element.id, undoable.handler, local)
        )


def put_back(run: "InstanceRun", active: ElementInstance) -> None:
    """Let the scope keep what a compensation event that is interrupted has not undone yet."""
    for undoable in active.undoing:
        run.decision.append(
            events.CompensationSubscribed(
                run.key, active.scope, undoable.activity, undoable.handler, undoable.local
            )
        )


def begin(run: "InstanceRun", element: Element, key: int) -> None:
    """Undo what a compensation event names, or all of its scope; the event waits for it."""
    thrown = element.throw
    activity = thrown.activity if isinstance(thrown, CompensationThrow) else ""
    scope = run.instance.elements[key].scope
    inner = [scope]
    # As BPMN has it, an event sub-process compensates what the scope around it has completed.
    while scope and run.element_of(scope).kind is Kind.EVENT_SUB_PROCESS:
        scope = run.instance.elements[scope].scope
        inner.append(scope)
    for found in reversed(inner):
        _trigger(run, key, found, activity)
    go_on(run, key)


def begin_for_instance(run: "InstanceRun") -> None:
    """Undo all that a cancelled instance has completed; it ends afterwards."""
    _trigger(run, 0, 0, "")
    run.decision.touched.append((run, 0))


def _trigger(run: "InstanceRun", key: int, scope: int, activity: str) -> None:
    undoables = run.instance.elements[scope].undoables
    wanted = [undoable.key for undoable in undoables if not activity or undoable.activity == activity]
    if wanted:
        run.decision.append(events.CompensationTriggered(run.key, key, scope, wanted[::-1]))


def undone(run: "InstanceRun", undoes: int, scope: int) -> None:
    """A handler in a scope is done: go on with the next one, or leave the compensation event."""
    key = 0 if undoes == run.key else undoes
    if key in run.instance.elements:
        run.decision.append(events.CompensationHandled(run.key, key))
        # The next one begins when no token moves: many handlers that do not wait need no deep stack.
        run.decision.touched.append((run, key))
    else:
        run.decision.touched.append((run, scope))  # an operator ended the event; the scope may be done


def interrupted(run: "InstanceRun", active: ElementInstance) -> None:
    """Go on with the next handler when something but the end of the compensation interrupted one."""
    if active.undoes:
        undone(run, active.undoes, active.scope)


def go_on(run: "InstanceRun", key: int) -> None:
    """Begin with the next handler, or leave the compensation event."""
    thrower = run.instance.elements[key]
    if not thrower.undoing:
        run.leave(key, {})
        return
    # The instance's own end has no element instance; the instance's key stands for it.
    undoes = key or run.key
    if any(other.undoes == undoes for other in run.instance.elements.values()):
        return
    following = thrower.undoing[-1]
    handler, local = run.elements[following.handler], dict(following.local)
    if handler.loop is not None:
        loops.begin(run, handler, thrower.scope, local, undoes)
    else:
        run.activate(handler, thrower.scope, local, undoes=undoes)
