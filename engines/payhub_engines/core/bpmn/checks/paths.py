"""Paths through the process: what is reached, what ends, what runs in a circle without waiting."""

from typing import Final

from payhub_engines.core.bpmn.checks.scopes import is_activity
from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import Element, ErrorThrow, ErrorTrigger, Kind
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.wiring import event_sub_processes

_PASSED_AT_ONCE: Final = frozenset(
    {
        Kind.PASS,
        Kind.SCRIPT,
        Kind.THROW,
        Kind.EXCLUSIVE,
        Kind.INCLUSIVE,
        Kind.PARALLEL,
        Kind.ALLOWANCE,
    }
)


def check(draft: Draft, report: Report) -> None:
    """Check all paths."""
    _check_reachable(draft, report)
    _check_circles(draft, report)
    catchers = _error_catchers(draft)
    for element in draft.elements.values():
        if is_activity(element) and not element.outgoing and not element.is_for_compensation:
            detail = "Nothing follows, so that the path ends here; add an end event where that is meant."
            report.add(Problem("implicit-end", detail, element.id, element.line, "warning"))
        if isinstance(element.throw, ErrorThrow):
            _check_caught(draft, element, catchers, report)


def _check_reachable(draft: Draft, report: Report) -> None:
    attached, inside = draft.attached(), event_sub_processes(draft)
    reached: set[str] = set()
    todo = [element for element in draft.inside("") if element.tag == "startEvent"] + inside.get("", [])
    while todo:
        element = todo.pop()
        if element.id in reached:
            continue
        reached.add(element.id)
        todo += [draft.elements[flow.target] for flow in element.outgoing]
        todo += [*attached.get(element.id, ()), *inside.get(element.id, ())]
        todo += [draft.elements[other] for other in (element.start, element.compensation) if other]
    for element in draft.elements.values():
        # What is inside something unreachable is not told again; nor is a handler that nothing leads to.
        outside = element.scope == "" or element.scope in reached
        if element.id not in reached and outside and not element.is_for_compensation:
            detail = "No path from the start leads here; connect or delete it."
            report.add(Problem("unreachable", detail, element.id, element.line))


def _check_circles(draft: Draft, report: Report) -> None:
    """Find what only leads back to itself over elements that are left as soon as they are entered."""
    passed = {
        element.id: {flow.target for flow in element.outgoing}
        for element in draft.elements.values()
        if element.kind in _PASSED_AT_ONCE and element.loop is None
    }
    after = {element: targets & passed.keys() for element, targets in passed.items()}
    before: dict[str, set[str]] = {element: set() for element in after}
    for element, targets in after.items():
        for target in targets:
            before[target].add(element)
    _peel(after, before)
    _peel(before, after)
    told: set[str] = set()
    for element in after:
        if element not in told:
            told |= _connected(element, after, before)
            detail = "A circle leads back here without any wait; after many rounds it ends with an incident."
            report.add(Problem("loop-without-wait", detail, element, draft.line(element), "warning"))


def _peel(ahead: dict[str, set[str]], back: dict[str, set[str]]) -> None:
    """Drop, again and again, what nothing lies ahead of: only circles, and what is between them, remain."""
    todo = [element for element, targets in ahead.items() if not targets]
    while todo:
        element = todo.pop()
        del ahead[element]
        for other in back.pop(element):
            ahead[other].discard(element)
            if not ahead[other]:
                todo.append(other)


def _connected(element: str, after: dict[str, set[str]], before: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [element]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += [*after[one], *before[one]]
    return found


def _error_catchers(draft: Draft) -> dict[str, set[str]]:
    """Return the error codes that are caught directly in each scope or at its border; empty catches all."""
    found: dict[str, set[str]] = {}
    for element in draft.elements.values():
        if isinstance(element.trigger, ErrorTrigger) and element.tag != "startEvent":
            scope = element.attached_to or element.scope
            found.setdefault(scope, set()).add(element.trigger.code)
    return found


def _check_caught(draft: Draft, element: Element, catchers: dict[str, set[str]], report: Report) -> None:
    """Warn of an error that nothing around its end event catches."""
    code = element.throw.code if isinstance(element.throw, ErrorThrow) else None
    if not isinstance(code, str):
        return
    scope: str | None = element.scope
    while scope is not None:
        if catchers.get(scope, set()) & {"", code}:
            return
        scope = draft.elements[scope].scope if scope else None
    detail = f"Nothing in this process catches the error {code!r}; unless a caller does, it is an incident."
    report.add(Problem("error-uncaught", detail, element.id, element.line, "warning"))
