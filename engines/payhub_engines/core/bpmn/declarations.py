"""What a file declares beside its process: messages, signals, errors and escalations."""

from typing import Final, Literal

from payhub_engines.core.bpmn.expressions import constant, expression_of, is_expression, value_of
from payhub_engines.core.bpmn.model import Attribute, Element, MessageTrigger
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.xml import BPMN, Node

_DECLARED: Final = ("message", "signal", "error", "escalation")


class Declarations:
    """Looks up what events refer to; what is missing or unfinished is reported at the event."""

    def __init__(self, root: Node, report: Report) -> None:
        self._report = report
        self._nodes: dict[tuple[str, str], Node] = {}
        for kind in _DECLARED:
            for node in root.all(BPMN + kind):
                if (kind, node.id) in self._nodes:
                    detail = f"Another {kind} has this id; the last one counts."
                    report.add(Problem("declared-twice", detail, node.id, node.line, "warning"))
                self._nodes[kind, node.id] = node

    def message(
        self, reference: str, element: str, line: int, *, starts_process: bool = False
    ) -> MessageTrigger | None:
        """Return the message that an element waits for; a process is started with any correlation key."""
        node = self._nodes.get(("message", reference)) if reference else None
        if node is None:
            detail = "No message; set messageRef to a <message> of this file."
            self._report.add(Problem("message-missing", detail, element, line))
            return None
        text = node.get("name")
        if not text:
            detail = f"The message {reference} needs a name."
            self._report.add(Problem("message-name-missing", detail, element, line))
            return None
        if starts_process:
            self._require_static(text, element, line)
            return MessageTrigger(text, None)
        name = value_of(text, element, node.line, self._report)
        subscription = node.extension("subscription")
        key = subscription.get("correlationKey") if subscription is not None else ""
        if not key:
            detail = f"The message {text} needs zeebe:subscription with a correlationKey."
            self._report.add(Problem("correlation-key-missing", detail, element, line))
            return None
        if not is_expression(key):
            detail = f"The correlation key {key[:60]!r} has no = before it: all instances wait for the same."
            self._report.add(Problem("correlation-key-static", detail, element, line, "warning"))
            return MessageTrigger(name, constant(key))
        return MessageTrigger(name, expression_of(key, element, node.line, self._report))

    def signal(self, reference: str, element: Element, *, static: bool) -> Attribute:
        """Return a signal's name."""
        node = self._nodes.get(("signal", reference)) if reference else None
        text = node.get("name") if node is not None else ""
        if node is None or not text:
            detail = "No signal; set signalRef to a <signal> of this file that has a name."
            self._report.add(Problem("signal-missing", detail, element.id, element.line))
            return ""
        if static:
            self._require_static(text, element.id, element.line)
            return text
        return value_of(text, element.id, node.line, self._report)

    def caught(self, kind: Literal["error", "escalation"], definition: Node, element: Element) -> str:
        """Return the code that an event catches: a static text, or empty for all."""
        if not definition.get(f"{kind}Ref"):
            return ""
        code = self._code(kind, definition, element)
        if is_expression(code):
            self._require_static(code, element.id, element.line)
        return code

    def thrown(self, kind: Literal["error", "escalation"], definition: Node, element: Element) -> Attribute:
        """Return the code that an event throws."""
        return value_of(self._code(kind, definition, element), element.id, element.line, self._report)

    def _code(self, kind: Literal["error", "escalation"], definition: Node, element: Element) -> str:
        reference = definition.get(f"{kind}Ref")
        node = self._nodes.get((kind, reference)) if reference else None
        code = node.get(f"{kind}Code") if node is not None else ""
        if code:
            return code
        if kind == "error":
            detail = f"The error {reference!r} is not in this file, or has no errorCode."
            self._report.add(Problem("error-code-missing", detail, element.id, element.line))
        else:
            detail = f"The escalation {reference!r} is not in this file, or has no escalationCode."
            self._report.add(Problem("escalation-code-missing", detail, element.id, element.line))
        return ""

    def _require_static(self, text: str, element: str, line: int) -> None:
        if is_expression(text):
            detail = f"{text[:60]!r} must be a static text here: there are no variables yet to compute it."
            self._report.add(Problem("unsupported-expression", detail, element, line))
