"""A builder of small processes, and an engine to run them."""

from itertools import pairwise
from xml.sax.saxutils import quoteattr

import pytest
from unit.engines.core.state_checks import check_engine

from payhub_engines.testkit import Engine

HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="urn:test">'
)


class Model:
    """Writes BPMN. Flows are named ``source-target``; the correlation key is ``= key`` unless said."""

    def __init__(self, process="p"):
        self._process = process
        self._parts = []
        self._declared = []

    def raw(self, xml):
        self._parts.append(xml)
        return self

    def declare(self, xml):
        self._declared.append(xml)
        return self

    def node(self, tag, name, inner="", extensions="", **attributes):
        written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
        if extensions:
            inner = f"<bpmn:extensionElements>{extensions}</bpmn:extensionElements>{inner}"
        return self.raw(f'<bpmn:{tag} id="{name}"{written}>{inner}</bpmn:{tag}>')

    def start(self, name="start", interrupting=True, outputs=None, **trigger):
        more = {} if interrupting else {"isInterrupting": "false"}
        inner = self._definition(**trigger) if trigger else ""
        return self.node("startEvent", name, inner, mapping({}, outputs), **more)

    def end(self, name="end", outputs=None, terminate=False, **thrown):
        inner = "<bpmn:terminateEventDefinition/>" if terminate else self._definition(**thrown)
        return self.node("endEvent", name, inner, mapping({}, outputs))

    def throw(self, name, outputs=None, **thrown):
        return self.node("intermediateThrowEvent", name, self._definition(**thrown), mapping({}, outputs))

    def script(self, name, expression, result, loop=""):
        extensions = f"<zeebe:script expression={quoteattr(expression)} resultVariable={quoteattr(result)}/>"
        return self.node("scriptTask", name, loop, extensions)

    def call(self, name, process, loop="", inputs=None, outputs=None, **propagation):
        written = "".join(f' {key}="{value}"' for key, value in propagation.items())
        called = f"<zeebe:calledElement processId={quoteattr(process)}{written}/>"
        return self.node("callActivity", name, loop, called + mapping(inputs, outputs))

    def sub(self, name, inside, loop="", inputs=None, outputs=None, by_event=False, **attributes):
        """Put another model's elements into a sub-process; ``by_event``: an event sub-process."""
        self._declared += inside._declared
        more = {"triggeredByEvent": "true"} if by_event else {}
        extensions = mapping(inputs, outputs)
        return self.node("subProcess", name, loop + "".join(inside._parts), extensions, **more, **attributes)

    def undo(self, host, handler):
        """Let a handler of the same scope undo an activity."""
        event = f"{host}-undo"
        inner = "<bpmn:compensateEventDefinition/>"
        self.node("boundaryEvent", event, inner, attachedToRef=host)
        return self.node("association", f"{event}-{handler}", sourceRef=event, targetRef=handler)

    def job(
        self,
        name,
        job_type="",
        retries="",
        inputs=None,
        outputs=None,
        headers=None,
        tag="serviceTask",
        loop="",
        **attributes,
    ):
        extensions = f'<zeebe:taskDefinition type="{job_type or name}" retries="{retries}"/>'
        if headers:
            written = "".join(
                f'<zeebe:header key="{key}" value="{value}"/>' for key, value in headers.items()
            )
            extensions += f"<zeebe:taskHeaders>{written}</zeebe:taskHeaders>"
        return self.node(tag, name, loop, extensions + mapping(inputs, outputs), **attributes)

    def receive(self, name, message, key="= key", outputs=None, loop=""):
        self._message(message, key)
        return self.node("receiveTask", name, loop, mapping({}, outputs), messageRef=f"m-{message}")

    def catch(self, name, outputs=None, **trigger):
        inner = self._definition(**trigger) if trigger else "<bpmn:timerEventDefinition/>"
        return self.node("intermediateCatchEvent", name, inner, mapping({}, outputs))

    def boundary(self, name, host, interrupting=True, outputs=None, **trigger):
        trigger = self._definition(**trigger) if trigger else "<bpmn:timerEventDefinition/>"
        cancel = "true" if interrupting else "false"
        more = {"attachedToRef": host, "cancelActivity": cancel}
        return self.node("boundaryEvent", name, trigger, mapping({}, outputs), **more)

    def exclusive(self, name, default=""):
        return self.node("exclusiveGateway", name, **({"default": default} if default else {}))

    def inclusive(self, name, default=""):
        return self.node("inclusiveGateway", name, **({"default": default} if default else {}))

    def parallel(self, name):
        return self.node("parallelGateway", name)

    def events(self, name):
        return self.node("eventBasedGateway", name)

    def flow(self, source, target, condition=""):
        inner = f"<bpmn:conditionExpression>{condition}</bpmn:conditionExpression>" if condition else ""
        inner = inner.replace("<=", "&lt;=").replace(" < ", " &lt; ")
        return self.node("sequenceFlow", f"{source}-{target}", inner, sourceRef=source, targetRef=target)

    def path(self, *ids):
        for source, target in pairwise(ids):
            self.flow(source, target)
        return self

    def xml(self):
        process = (
            f'<bpmn:process id="{self._process}" isExecutable="true">{"".join(self._parts)}</bpmn:process>'
        )
        declared = "".join(dict.fromkeys(self._declared))
        return (HEAD + declared + process + "</bpmn:definitions>").encode()

    def _message(self, name, key):
        written = (
            f'<bpmn:message id="m-{name}" name="{name}"><bpmn:extensionElements>'
            f'<zeebe:subscription correlationKey="{key}"/></bpmn:extensionElements></bpmn:message>'
        )
        if written not in self._declared:
            self.declare(written)

    def _definition(self, key="= key", **what):
        """Write an event definition from one keyword: the trigger's kind and what it names."""
        ((kind, named),) = what.items() or ((("none"), ""),)
        match kind:
            case "none":
                return ""
            case "message":
                self._message(named, key)
                return f'<bpmn:messageEventDefinition messageRef="m-{named}"/>'
            case "timer" | "date" | "cycle":
                tag = {"timer": "timeDuration", "date": "timeDate", "cycle": "timeCycle"}[kind]
                inner = f"<bpmn:{tag}>{named}</bpmn:{tag}>" if named else ""
                return f"<bpmn:timerEventDefinition>{inner}</bpmn:timerEventDefinition>"
            case "error" | "escalation" | "signal":
                return self._declared_definition(kind, named)
            case "compensate":
                activity = f' activityRef="{named}"' if named else ""
                return f"<bpmn:compensateEventDefinition{activity}/>"
            case "link":
                return f'<bpmn:linkEventDefinition id="link-{len(self._parts)}" name="{named}"/>'
        raise ValueError(kind)

    def _declared_definition(self, kind, named):
        if not named:
            return f"<bpmn:{kind}EventDefinition/>"
        attribute = {"error": "errorCode", "escalation": "escalationCode", "signal": "name"}[kind]
        written = f'<bpmn:{kind} id="{kind}-{named}" {attribute}="{named}"/>'
        if written not in self._declared:
            self.declare(written)
        return f'<bpmn:{kind}EventDefinition {kind}Ref="{kind}-{named}"/>'


def looped(collection, item="", output="", output_item="", until="", sequential=False):
    """Write multi-instance characteristics."""
    written = f"inputCollection={quoteattr(collection)}"
    for name, value in (("inputElement", item), ("outputCollection", output), ("outputElement", output_item)):
        written += f" {name}={quoteattr(value)}" if value else ""
    condition = f"<bpmn:completionCondition>{until}</bpmn:completionCondition>" if until else ""
    extensions = f"<bpmn:extensionElements><zeebe:loopCharacteristics {written}/></bpmn:extensionElements>"
    return (
        f'<bpmn:multiInstanceLoopCharacteristics isSequential="{str(sequential).lower()}">'
        f"{extensions}{condition}</bpmn:multiInstanceLoopCharacteristics>"
    )


def mapping(inputs, outputs):
    written = [
        f"<zeebe:{direction} source={quoteattr(source)} target={quoteattr(target)}/>"
        for direction, mapped in (("input", inputs), ("output", outputs))
        for target, source in (mapped or {}).items()
    ]
    return f"<zeebe:ioMapping>{''.join(written)}</zeebe:ioMapping>" if written else ""


@pytest.fixture
def model():
    return Model


@pytest.fixture
def loop():
    return looped


@pytest.fixture
def engine():
    """Return an engine; after the test its log and its rows must tell the same as its memory does."""
    made = Engine()
    yield made
    check_engine(made)
