"""A builder of small processes, and an engine to run them."""

from itertools import pairwise
from xml.sax.saxutils import quoteattr

import pytest

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

    def start(self, name="start"):
        return self.node("startEvent", name)

    def end(self, name="end", outputs=None, terminate=False):
        inner = "<bpmn:terminateEventDefinition/>" if terminate else ""
        return self.node("endEvent", name, inner, mapping({}, outputs))

    def job(self, name, job_type="", retries="", inputs=None, outputs=None, headers=None, tag="serviceTask"):
        extensions = f'<zeebe:taskDefinition type="{job_type or name}" retries="{retries}"/>'
        if headers:
            written = "".join(
                f'<zeebe:header key="{key}" value="{value}"/>' for key, value in headers.items()
            )
            extensions += f"<zeebe:taskHeaders>{written}</zeebe:taskHeaders>"
        return self.node(tag, name, extensions=extensions + mapping(inputs, outputs))

    def receive(self, name, message, key="= key", outputs=None):
        self._message(message, key)
        return self.node("receiveTask", name, extensions=mapping({}, outputs), messageRef=f"m-{message}")

    def catch(self, name, message="", timer="", date="", key="= key", outputs=None):
        trigger = self._trigger(message, timer, date, key)
        return self.node("intermediateCatchEvent", name, trigger, mapping({}, outputs))

    def boundary(self, name, host, message="", timer="", error=None, interrupting=True, outputs=None):
        if error is None:
            trigger = self._trigger(message, timer, "", "= key")
        elif error:
            self.declare(f'<bpmn:error id="e-{error}" errorCode="{error}"/>')
            trigger = f'<bpmn:errorEventDefinition errorRef="e-{error}"/>'
        else:
            trigger = "<bpmn:errorEventDefinition/>"
        cancel = "true" if interrupting else "false"
        more = {"attachedToRef": host, "cancelActivity": cancel}
        return self.node("boundaryEvent", name, trigger, mapping({}, outputs), **more)

    def exclusive(self, name, default=""):
        return self.node("exclusiveGateway", name, **({"default": default} if default else {}))

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
        return (HEAD + "".join(self._declared) + process + "</bpmn:definitions>").encode()

    def _message(self, name, key):
        self.declare(
            f'<bpmn:message id="m-{name}" name="{name}"><bpmn:extensionElements>'
            f'<zeebe:subscription correlationKey="{key}"/></bpmn:extensionElements></bpmn:message>'
        )

    def _trigger(self, message, timer, date, key):
        if message:
            self._message(message, key)
            return f'<bpmn:messageEventDefinition messageRef="m-{message}"/>'
        if date:
            duration = f"<bpmn:timeDate>{date}</bpmn:timeDate>"
        else:
            duration = f"<bpmn:timeDuration>{timer}</bpmn:timeDuration>" if timer else ""
        return f"<bpmn:timerEventDefinition>{duration}</bpmn:timerEventDefinition>"


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
def engine():
    return Engine()
