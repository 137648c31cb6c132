"""Writes small BPMN files as text, one part on each line, so that a test knows the line of each part."""

from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="urn:test">'
)
FIRST_LINE = 3  # of what is in the process, where nothing is declared beside it


def node(tag: str, ident: str, /, inner: str = "", extensions: str = "", **attributes: str) -> str:
    """Write a BPMN element on one line."""
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    if extensions:
        inner = f"<bpmn:extensionElements>{extensions}</bpmn:extensionElements>{inner}"
    return f'<bpmn:{tag} id="{ident}"{written}>{inner}</bpmn:{tag}>'


def job(
    name: str, job_type: str = "work", tag: str = "serviceTask", more: str = "", **attributes: str
) -> str:
    """Write a task that is a job."""
    return node(tag, name, more, f"<zeebe:taskDefinition type={quoteattr(job_type)}/>", **attributes)


def event(tag: str, name: str, definition: str = "", inner: str = "", **attributes: str) -> str:
    """Write an event; ``definition`` is a kind such as ``timer``, with its attributes."""
    if not definition:
        return node(tag, name, inner, **attributes)
    kind, _, rest = definition.partition(" ")
    written = f"<bpmn:{kind}EventDefinition {rest}>{inner}</bpmn:{kind}EventDefinition>"
    return node(tag, name, written, **attributes)


def timer(tag: str, name: str, time: str, kind: str = "timeDuration", **attributes: str) -> str:
    """Write a timer event."""
    return event(tag, name, "timer", f"<bpmn:{kind}>{escape(time)}</bpmn:{kind}>", **attributes)


def flow(source: str, target: str, condition: str = "") -> str:
    """Write a sequence flow named ``source-target``."""
    inner = f"<bpmn:conditionExpression>{escape(condition)}</bpmn:conditionExpression>" if condition else ""
    return node("sequenceFlow", f"{source}-{target}", inner, sourceRef=source, targetRef=target)


def path(*names: str) -> str:
    """Write the flows from each element to the next, on one line."""
    return "".join(flow(source, target) for source, target in pairwise(names))


def scope(name: str, *parts: str, tag: str = "subProcess", **attributes: str) -> str:
    """Write a sub-process on one line."""
    return node(tag, name, "".join(parts), **attributes)


def message(name: str, key: str = "= key") -> str:
    """Declare a message ``m-name``."""
    extension = f"<zeebe:subscription correlationKey={quoteattr(key)}/>" if key else ""
    return node("message", f"m-{name}", "", extension, name=name)


DECLARED = (
    message("paid")
    + message("sent")
    + '<bpmn:error id="e-poor" errorCode="poor"/><bpmn:error id="e-any" errorCode="any"/>'
    + '<bpmn:escalation id="x-late" escalationCode="late"/><bpmn:signal id="s-stop" name="stop"/>'
)


def file(*parts: str, declared: str = DECLARED, process: str = 'id="p" isExecutable="true"') -> bytes:
    """Write a file: its head and declarations on line 1, the process on 2, the parts from line 3 on."""
    return "\n".join(
        [HEAD + declared, f"<bpmn:process {process}>", *parts, "</bpmn:process></bpmn:definitions>"]
    ).encode()


START = event("startEvent", "start")
END = event("endEvent", "end")


def between(*parts: str, names: str = "a") -> bytes:
    """Write a file with a path from a start event over the elements named to an end event."""
    return file(START, *parts, END, path("start", *names.split(), "end"))
