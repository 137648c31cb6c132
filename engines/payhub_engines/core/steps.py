"""What a token does at each kind of element, when it enters and while it is there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from payhub_engines.core import allowances, gateways, throwing, waits
from payhub_engines.core.bpmn.model import Element, Kind
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import check_fits
from payhub_engines.core.variables import json_variables

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun

Step = Callable[["InstanceRun", Element, int], None]

CALL_DEPTH_MAX: Final = 16


def _activate(run: "InstanceRun", element: Element, scope: int) -> None:
    run.activate(element, scope)


def _enter_and_pass(run: "InstanceRun", element: Element, scope: int) -> None:
    run.pass_through(element, scope, element.outgoing)


def _enter_script(run: "InstanceRun", element: Element, scope: int) -> None:
    try:
        results = _computed(run, element, scope)
    except ExpressionError:
        results = {}
    if results and run.is_of_instance(scope):
        run.pass_through(element, scope, element.outgoing, results)
    else:
        run.activate(element, scope)  # which says what is wrong, or finds whose variable it is


def _computed(run: "InstanceRun", element: Element, key: int) -> dict[str, Any]:
    """Return the variable that a script sets, with its value; it fits.

    Raises:
        ExpressionError: it has none, or one that is too large.
    """
    script = element.script
    if script is None:
        return {}
    results = json_variables({script.result: run.compute(script.expression, key)})
    check_fits(run.decision, run.instance, results)
    return results


def _enter_end(run: "InstanceRun", element: Element, scope: int) -> None:
    if element.throw is None:
        run.pass_through(element, scope, ())
    else:
        run.activate(element, scope)


def _pass(run: "InstanceRun", element: Element, key: int) -> None:
    if element.outputs or element.loop is not None:
        run.leave(key, {})
    else:
        run.complete(element, run.instance.elements[key], element.outgoing)


def _script(run: "InstanceRun", element: Element, key: int) -> None:
    try:
        results = _computed(run, element, key)
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    run.leave(key, results, is_checked=True)


def _sub_process(run: "InstanceRun", element: Element, key: int) -> None:
    if waits.open_all(run, element, key):
        run.decision.pending.append((run, run.elements[element.start], key))


def _call(run: "InstanceRun", element: Element, key: int) -> None:
    called, instance, decision = element.called, run.instance, run.decision
    if called is None:
        return
    try:
        process = run.text(called.process, key, "The called process")
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    definition = decision.catalogue.latest(process)
    if definition is None or not definition.start:
        detail = f"No process {process} with a none start event is deployed."
        run.raise_incident(key, element.id, "unknown-process", detail, "activate")
        return
    if _call_depth(run) >= CALL_DEPTH_MAX:
        detail = f"Processes call each other at most {CALL_DEPTH_MAX} deep."
        run.raise_incident(key, element.id, "calls-too-deep", detail, "activate")
        return
    given = run.visible(key) if called.propagate_parent else run.instance.elements[key].variables
    try:
        check_fits(decision, None, given)
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    if not waits.open_all(run, element, key):
        return
    identity = (instance.tenant, instance.payment, "")
    child = decision.start(definition, identity, instance.trace, dict(given), (run.key, key))
    child.start(definition.start)


def _call_depth(run: "InstanceRun") -> int:
    depth, parent = 0, run.instance.parent
    while parent:
        found = run.decision.state.document(parent)
        parent = 0 if found is None else found.parent
        depth += 1
    return depth


EXECUTE: Final[dict[Kind, Step]] = {
    Kind.PASS: _pass,
    Kind.BOUNDARY: _pass,
    Kind.PARALLEL: _pass,
    Kind.SCRIPT: _script,
    Kind.SUB_PROCESS: _sub_process,
    Kind.EVENT_SUB_PROCESS: _sub_process,
    Kind.CALL: _call,
    Kind.JOB: waits.wait_for_job,
    Kind.CATCH: waits.wait_for_events,
    Kind.EVENT_GATEWAY: waits.wait_for_events,
    Kind.EXCLUSIVE: gateways.choose,
    Kind.INCLUSIVE: gateways.choose,
    Kind.THROW: throwing.throw,
    Kind.END: throwing.end,
    Kind.ALLOWANCE: allowances.execute,
}
# Into elements that are plain; the others are activated first, whatever they do.
ENTER: Final[dict[Kind, Step]] = {
    **dict.fromkeys(Kind, _activate),
    Kind.PASS: _enter_and_pass,
    Kind.PARALLEL: _enter_and_pass,
    Kind.JOB: waits.enter_job,
    Kind.EXCLUSIVE: gateways.enter,
    Kind.INCLUSIVE: gateways.enter,
    Kind.SCRIPT: _enter_script,
    Kind.END: _enter_end,
    Kind.ALLOWANCE: allowances.enter,
}
