"""Reads the event definitions of start, catch, boundary and end events."""

from dataclasses import replace
from xml.etree.ElementTree import Element as Node

from payhub_engines.core.bpmn.model import (
    DefinitionError,
    Element,
    ErrorDefinition,
    Kind,
    MessageDefinition,
    TimerDefinition,
)
from payhub_engines.core.bpmn.timers import duration_ms
from payhub_engines.core.bpmn.xml import BPMN, extension, local_name, value_of
from payhub_engines.core.feel import ExpressionError

_ALLOWED = {
    "startEvent": {"none"},
    "endEvent": {"none", "terminateEventDefinition"},
    "intermediateThrowEvent": {"none"},
    "intermediateCatchEvent": {"messageEventDefinition", "timerEventDefinition"},
    "boundaryEvent": {"messageEventDefinition", "timerEventDefinition", "errorEventDefinition"},
}


class EventReader:
    """Knows the messages and errors that a file declares beside its process."""

    def __init__(self, root: Node) -> None:
        self._messages = {node.get("id", ""): node for node in root.findall(BPMN + "message")}
        self._errors = {node.get("id", ""): node for node in root.findall(BPMN + "error")}

    def event(self, node: Node, element: Element) -> Element:
        """Complete an event's element with what triggers it.

        Raises:
            DefinitionError: the event is of a kind that cannot be executed here, or unfinished.
        """
        tag = local_name(node)
        definitions = [child for child in node if local_name(child).endswith("EventDefinition")]
        if len(definitions) > 1:
            raise DefinitionError("unsupported-element", "An event has one trigger only.", element.id)
        trigger = local_name(definitions[0]) if definitions else "none"
        if trigger not in _ALLOWED.get(tag, set()):
            detail = f"<{tag}> with trigger {trigger} cannot be executed; remodel it."
            raise DefinitionError("unsupported-element", detail, element.id)
        if tag == "boundaryEvent":
            element = replace(
                element,
                attached_to=node.get("attachedToRef", ""),
                interrupting=node.get("cancelActivity", "true") != "false",
            )
        match trigger:
            case "messageEventDefinition":
                return replace(element, message=self.message(definitions[0].get("messageRef"), element.id))
            case "timerEventDefinition":
                return replace(element, timer=_timer(definitions[0], element.id))
            case "errorEventDefinition":
                return replace(element, error=self._error(definitions[0], element.id), interrupting=True)
            case "terminateEventDefinition":
                return replace(element, kind=Kind.TERMINATE)
            case _:
                return element

    def message(self, reference: str | None, element_id: str) -> MessageDefinition:
        """Return the message that an element names.

        Raises:
            DefinitionError: there is no such message, or it has no name or correlation key.
        """
        node = self._messages.get(reference or "")
        if node is None:
            detail = "No message; set messageRef to a <message> of this file."
            raise DefinitionError("message-missing", detail, element_id)
        name = node.get("name", "").strip()
        if not name or name.startswith("="):
            detail = f"The message {reference} needs a static name."
            raise DefinitionError("message-name-missing", detail, element_id)
        subscription = extension(node, "subscription")
        key = "" if subscription is None else subscription.get("correlationKey", "").strip()
        if not key:
            detail = f"The message {name} needs zeebe:subscription with a correlationKey."
            raise DefinitionError("correlation-key-missing", detail, element_id)
        return MessageDefinition(name, value_of(key, element_id))

    def _error(self, definition: Node, element_id: str) -> ErrorDefinition:
        reference = definition.get("errorRef")
        if reference is None:
            return ErrorDefinition("")
        node = self._errors.get(reference)
        code = "" if node is None else node.get("errorCode", "").strip()
        if not code or code.startswith("="):
            detail = f"The error {reference} is not in this file, or has no static errorCode."
            raise DefinitionError("error-code-missing", detail, element_id)
        return ErrorDefinition(code)


def _timer(definition: Node, element_id: str) -> TimerDefinition:
    duration = definition.find(BPMN + "timeDuration")
    date = definition.find(BPMN + "timeDate")
    if definition.find(BPMN + "timeCycle") is not None:
        raise DefinitionError("unsupported-element", "timeCycle cannot be executed.", element_id)
    node = duration if duration is not None else date
    text = "" if node is None else (node.text or "").strip()
    if not text:
        detail = "The timer has no time; add a timeDuration such as PT10S."
        raise DefinitionError("timer-missing", detail, element_id)
    if duration is not None and not text.startswith("="):
        try:
            duration_ms(text)
        except ExpressionError as error:
            raise DefinitionError("timer-invalid", error.detail, element_id) from error
    return TimerDefinition(value_of(text, element_id), is_date=duration is None)
