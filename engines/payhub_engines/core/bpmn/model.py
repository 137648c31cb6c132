"""A process definition as the interpreter walks it: immutable, one element for each id."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from payhub_engines.core.feel import ExpressionError
from payhub_platform.errors import InvalidInputError


class Value(Protocol):
    """A compiled expression of the model."""

    def __call__(self, variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        """Compute it.

        Raises:
            ExpressionError: a limit was reached, or an assertion of the model failed.
        """


Attribute = str | Value
"""An attribute of the model: a static text, or an expression that gives one."""


class DefinitionError(InvalidInputError):
    """A process cannot be deployed; says which element is wrong and what to do about it."""

    title = "The process definition is not valid"

    def __init__(self, code: str, detail: str, element: str = "", line: int = 0) -> None:
        super().__init__(code, f"{element}: {detail}" if element else detail, element)
        self.element = element
        self.line = line


class Kind(enum.IntEnum):
    """What a token does at an element."""

    PASS = enum.auto()  # goes on: start events, none intermediate throws, link throws, plain and manual tasks
    JOB = enum.auto()  # waits for a connector: service, send, business rule, user task, message throw and end
    SCRIPT = enum.auto()  # computes a FEEL expression
    CATCH = enum.auto()  # waits for its trigger: receive task, intermediate catch event
    BOUNDARY = enum.auto()  # is entered only when it triggers
    EXCLUSIVE = enum.auto()
    PARALLEL = enum.auto()
    INCLUSIVE = enum.auto()
    EVENT_GATEWAY = enum.auto()
    SUB_PROCESS = enum.auto()
    EVENT_SUB_PROCESS = enum.auto()  # is entered only when its start event triggers
    CALL = enum.auto()
    THROW = enum.auto()  # escalation, signal, compensation: throws and goes on
    END = enum.auto()  # with ``throw`` where it is no none end event
    ALLOWANCE = enum.auto()  # the engine's own task: takes of the tenant's limits, or gives back


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow; ``condition`` is set only behind exclusive and inclusive gateways."""

    id: str
    source: str
    target: str
    condition: Value | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """One input or output mapping; the target may be a path."""

    source: Attribute
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """What a task asks of a connector; ``retries`` is at least 1.

    ``computed`` are headers that are expressions (a user task's assignee, groups and dates), by name;
    ``is_static``: nothing is an expression.
    """

    type: Attribute
    retries: int | Value
    headers: dict[str, str]
    computed: dict[str, Value] = field(default_factory=dict)
    is_static: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        is_static = isinstance(self.type, str) and isinstance(self.retries, int) and not self.computed
        object.__setattr__(self, "is_static", is_static)


@dataclass(frozen=True, slots=True)
class Script:
    """A FEEL script task; ``result`` is the variable that takes the value."""

    expression: Value
    result: str


@dataclass(frozen=True, slots=True)
class TakeAllowance:
    """What counts against which limits, and for whom; without limits nothing does.

    ``part``: of which part of the instance it is; None where all of it moves money once.
    ``refusal``: the variable that takes what stands against it, null where nothing does; empty: it is thrown.
    """

    limits: Value
    member: Value
    amount: Value
    part: Value | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ReturnAllowance:
    """What the instance, or a part of it, has taken counts no more."""

    part: Value | None = None


Allowance = TakeAllowance | ReturnAllowance


@dataclass(frozen=True, slots=True)
class Called:
    """A call activity's process (``zeebe:calledElement``)."""

    process: Attribute
    propagate_parent: bool = True
    propagate_child: bool = True


@dataclass(frozen=True, slots=True)
class Loop:
    """Multi-instance characteristics; ``completion`` ends the loop early when it is true."""

    is_sequential: bool
    collection: Value
    item: str = ""
    output_collection: str = ""
    output_item: Value | None = None
    completion: Value | None = None


@dataclass(frozen=True, slots=True)
class MessageTrigger:
    """Waits for a message; ``correlation_key`` is None only at start events of a process."""

    name: Attribute
    correlation_key: Value | None


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """A duration counts from the activation, a date does not, a cycle (``R3/PT10S``) repeats."""

    kind: Literal["duration", "date", "cycle"]
    value: Attribute


@dataclass(frozen=True, slots=True)
class ErrorTrigger:
    """Catches a BPMN error; an empty code catches all."""

    code: str


@dataclass(frozen=True, slots=True)
class EscalationTrigger:
    """Catches an escalation; an empty code catches all."""

    code: str


@dataclass(frozen=True, slots=True)
class SignalTrigger:
    """Waits for a signal, which reaches every element of the tenant that waits for it."""

    name: Attribute


Trigger = MessageTrigger | TimerTrigger | ErrorTrigger | EscalationTrigger | SignalTrigger


@dataclass(frozen=True, slots=True)
class ErrorThrow:
    """Throws a BPMN error."""

    code: Attribute


@dataclass(frozen=True, slots=True)
class EscalationThrow:
    """Throws an escalation."""

    code: Attribute


@dataclass(frozen=True, slots=True)
class SignalThrow:
    """Broadcasts a signal within the tenant."""

    name: Attribute


@dataclass(frozen=True, slots=True)
class CompensationThrow:
    """Compensates one activity, or (empty) all that were completed in the scope."""

    activity: str = ""


@dataclass(frozen=True, slots=True)
class TerminateThrow:
    """Ends everything in the scope of the end event."""


Throw = ErrorThrow | EscalationThrow | SignalThrow | CompensationThrow | TerminateThrow


@dataclass(frozen=True, slots=True)
class Element:
    """One flow node with everything that its step needs.

    Attributes:
        tag: BPMN's name of it, such as ``serviceTask``.
        line: where it stands in the file, from 1.
        scope: id of the sub-process around it; empty directly in the process.
        incoming: ids of the flows that lead here.
        outgoing: flows that leave, in the order of the file. A link throw event has one to its catch event.
        default: the flow of a gateway that is taken when no condition holds.
        trigger: what an intermediate catch event, receive task, boundary event, or the start event of a
            process or event sub-process waits for. On an event sub-process: its start event's trigger.
        interrupting: of boundary events and event sub-processes.
        waits: ids of the events whose timer, message or signal is awaited while a token is here: the element
            itself (CATCH), its boundary events, the events behind an event-based gateway, and, of a
            sub-process, the event sub-processes directly inside.
        errors: ids of what catches BPMN errors here, exact codes first: boundary events of this element,
            and, of a sub-process, the event sub-processes directly inside (these before the boundary events).
        escalations: likewise for escalations.
        start: the start event of a sub-process or event sub-process.
        compensation: the activity that undoes this one.
        is_for_compensation: it is entered only to undo another.
        is_join: tokens wait here for others.
        is_plain: nothing is mapped, repeated or compensated here, and tokens do not wait for others.
    """

    id: str
    name: str
    kind: Kind
    tag: str = ""
    line: int = 0
    scope: str = ""
    incoming: tuple[str, ...] = ()
    outgoing: tuple[Flow, ...] = ()
    default: Flow | None = None
    job: JobDefinition | None = None
    script: Script | None = None
    allowance: Allowance | None = None
    called: Called | None = None
    loop: Loop | None = None
    trigger: Trigger | None = None
    throw: Throw | None = None
    attached_to: str = ""
    interrupting: bool = True
    waits: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    escalations: tuple[str, ...] = ()
    start: str = ""
    compensation: str = ""
    is_for_compensation: bool = False
    inputs: tuple[Mapped, ...] = ()
    outputs: tuple[Mapped, ...] = ()
    is_join: bool = field(init=False, default=False)
    is_plain: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        is_join = self.kind in {Kind.PARALLEL, Kind.INCLUSIVE} and len(self.incoming) > 1
        is_special = self.inputs or self.outputs or self.loop or self.compensation or self.is_for_compensation
        object.__setattr__(self, "is_join", is_join)
        object.__setattr__(self, "is_plain", not (is_join or is_special))


@dataclass(frozen=True, slots=True)
class ProcessDefinition:
    """A process, for all tenants: the tenant is data.

    Attributes:
        version: content hash of the file; running instances keep theirs.
        start: the none start event; empty where there is none.
        starts: start events with a message, timer or signal.
        waits: ids of event sub-processes directly in the process that wait for a timer, message or signal.
        errors: ids of those that catch BPMN errors, exact codes first.
        escalations: ids of those that catch escalations, exact codes first.
        elements: of all scopes, by id.
        xml: the file, for the operator's diagram.
    """

    id: str
    name: str
    version: str
    start: str
    elements: dict[str, Element]
    xml: bytes
    starts: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    escalations: tuple[str, ...] = ()
    flow_targets: dict[str, str] = field(default_factory=dict)  # flow id -> element id, all scopes

    @property
    def job_types(self) -> frozenset[str]:
        """The job types with a static name that connectors must serve."""
        jobs = (element.job for element in self.elements.values())
        return frozenset(job.type for job in jobs if job and isinstance(job.type, str))

    @property
    def message_names(self) -> frozenset[str]:
        """The messages with a static name that instances wait for or start with."""
        triggers = (element.trigger for element in self.elements.values())
        messages = (trigger for trigger in triggers if isinstance(trigger, MessageTrigger))
        return frozenset(message.name for message in messages if isinstance(message.name, str))


class Catalogue:
    """All definitions that the engine can run, by process id and version."""

    def __init__(self, definitions: tuple[ProcessDefinition, ...] = ()) -> None:
        self._latest: dict[str, ProcessDefinition] = {}
        self._versions: dict[tuple[str, str], ProcessDefinition] = {}
        for definition in definitions:
            self.add(definition)

    def add(self, definition: ProcessDefinition) -> None:
        """Take a definition; new instances of its process start with it."""
        self._latest[definition.id] = definition
        self._versions[definition.id, definition.version] = definition

    def latest(self, process: str) -> ProcessDefinition | None:
        """Return the definition that new instances start with."""
        return self._latest.get(process)

    def get(self, process: str, version: str) -> ProcessDefinition | None:
        """Return the definition that a running instance follows."""
        return self._versions.get((process, version))

    def all(self) -> list[ProcessDefinition]:
        """Return the definitions that new instances start with."""
        return list(self._latest.values())


def text_of(attribute: Attribute, variables: Mapping[str, Any], what: str, now_ms: int | None = None) -> str:
    """Compute an attribute that must be a non-empty text or a whole number.

    Raises:
        ExpressionError: it is something else, or missing.
    """
    found = attribute if isinstance(attribute, str) else attribute(variables, now_ms=now_ms)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if isinstance(found, str) and found:
        return found
    raise ExpressionError(f"{what} must be a text or a whole number; it is {type(found).__name__}.")
