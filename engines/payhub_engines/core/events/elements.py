"""What happened at the elements of an instance."""

from typing import Any

from payhub_engines.core.events.base import Event


class ElementActivated(Event, frozen=True, tag=3):
    """A token entered an element; ``local`` are variables that only it and what is inside it see.

    ``scope`` is the element instance of the sub-process around it, 0 directly in the process. ``index``
    numbers the instances of a multi-instance element from 1. ``undoes`` is the element instance of the
    compensation event that it works for.
    """

    instance: int
    key: int
    element: str
    local: dict[str, Any] = {}
    scope: int = 0
    index: int = 0
    undoes: int = 0


class ElementCompleted(Event, frozen=True, tag=4):
    """A token left an element in the regular way; the timers and subscriptions of the element are over.

    ``flow`` is the sequence flow that it went along, where it is the only one and leads to no join; others
    follow as ``SequenceFlowTaken``. ``variables`` were set in the instance.
    """

    instance: int
    key: int
    element: str
    flow: str = ""
    variables: dict[str, Any] = {}


class ElementPassed(Event, frozen=True, tag=47):
    """A token entered an element and left it at once: ``ElementActivated`` with ``ElementCompleted``."""

    instance: int
    key: int
    element: str
    flow: str = ""
    scope: int = 0
    variables: dict[str, Any] = {}


class ElementTerminated(Event, frozen=True, tag=5):
    """An element was interrupted; its timers and subscriptions are over."""

    instance: int
    key: int
    element: str


class SequenceFlowTaken(Event, frozen=True, tag=6):
    """A token went along one of several flows, or to a join: ``join`` is where it waits for others."""

    instance: int
    flow: str
    join: str = ""
    scope: int = 0


class VariablesMerged(Event, frozen=True, tag=7):
    """Variables were set: of the instance, or (``scope``) of one active element."""

    instance: int
    variables: dict[str, Any]
    scope: int = 0  # element instance key; 0 is the instance itself


class LoopStarted(Event, frozen=True, tag=34):
    """A multi-instance element goes over these items."""

    instance: int
    key: int
    items: list[Any]


class LoopItemCompleted(Event, frozen=True, tag=35):
    """One instance of a multi-instance element is done; ``output`` is its part of the output collection."""

    instance: int
    key: int
    index: int
    output: Any = None


class ErrorThrown(Event, frozen=True, tag=36):
    """An error end event threw a BPMN error."""

    instance: int
    key: int
    element: str
    code: str


class EscalationThrown(Event, frozen=True, tag=37):
    """An event threw an escalation; ``caught_by`` is empty where nothing in the process catches it."""

    instance: int
    key: int
    element: str
    code: str
    caught_by: str


class CompensationSubscribed(Event, frozen=True, tag=38):
    """A completed activity can be undone by ``handler``; ``local`` are the variables it had for itself."""

    instance: int
    scope: int
    activity: str
    handler: str
    local: dict[str, Any] = {}


class CompensationTriggered(Event, frozen=True, tag=39):
    """A compensation event (``key``; 0 is the instance's own end) undoes these activities, in this order.

    They are numbered by their place among the subscriptions of the scope, which are used up.
    """

    instance: int
    key: int
    scope: int
    subscriptions: list[int]


class CompensationHandled(Event, frozen=True, tag=43):
    """The next activity that a compensation event undoes is undone."""

    instance: int
    key: int


class IncidentRaised(Event, frozen=True, tag=21):
    """An instance cannot go on by itself at an element; ``retry`` names the step that is done again.

    ``payload`` is what a message, signal, error or called process brought and the step could not take.
    """

    instance: int
    incident: int
    element_instance: int
    element: str
    code: str
    message: str
    at_ms: int
    retry: str = ""
    payload: dict[str, Any] = {}


class IncidentResolved(Event, frozen=True, tag=22):
    """What an incident was about is over."""

    instance: int
    incident: int
    element: str
