"""A process definition as the processor walks it: immutable, one step for each element id."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from payhub_engines.core.feel import ExpressionError
from payhub_platform.errors import InvalidInputError

Value = Callable[[Mapping[str, Any]], Any]
"""A compiled attribute of the model: an expression, or a static text."""


class DefinitionError(InvalidInputError):
    """A process cannot be deployed; says which element is wrong and what to do about it."""

    title = "The process definition is not valid"

    def __init__(self, code: str, detail: str, element: str = "") -> None:
        super().__init__(code, f"{element}: {detail}" if element else detail, element)
        self.element = element


class Kind(enum.Enum):
    """What a token does at an element."""

    PASS = enum.auto()  # goes on: start, none intermediate throw, plain and manual task
    JOB = enum.auto()  # waits for a connector: service and send task
    CATCH = enum.auto()  # waits for a message or timer: receive task, intermediate catch event
    BOUNDARY = enum.auto()  # is entered only when it triggers
    EXCLUSIVE = enum.auto()
    PARALLEL = enum.auto()
    EVENT_GATEWAY = enum.auto()
    END = enum.auto()
    TERMINATE = enum.auto()


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow; ``condition`` is set only behind exclusive gateways."""

    id: str
    source: str
    target: str
    condition: Value | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """One input or output mapping; the target may be a path."""

    source: Value
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """What a service task asks of a connector."""

    type: str
    retries: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class MessageDefinition:
    """A message that an element waits for, and the expression of its correlation key."""

    name: str
    correlation_key: Value


@dataclass(frozen=True, slots=True)
class TimerDefinition:
    """When a timer is due; a duration counts from the activation, a date does not."""

    value: Value
    is_date: bool


@dataclass(frozen=True, slots=True)
class ErrorDefinition:
    """Which BPMN errors a boundary event catches; an empty code catches all."""

    code: str


@dataclass(frozen=True, slots=True)
class Element:
    """One flow node with everything that its step needs.

    Attributes:
        incoming: ids of the flows that lead here.
        outgoing: flows that leave, in the order of the file.
        default: the flow of an exclusive gateway that is taken when no condition holds.
        waits: ids of the events that can trigger while a token is here: the element itself, its
            boundary events, or the events behind an event-based gateway.
        errors: ids of the error boundary events attached here, exact codes first.
    """

    id: str
    name: str
    kind: Kind
    incoming: tuple[str, ...] = ()
    outgoing: tuple[Flow, ...] = ()
    default: Flow | None = None
    job: JobDefinition | None = None
    message: MessageDefinition | None = None
    timer: TimerDefinition | None = None
    error: ErrorDefinition | None = None
    attached_to: str = ""
    interrupting: bool = True
    waits: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    inputs: tuple[Mapped, ...] = ()
    outputs: tuple[Mapped, ...] = ()

    @property
    def is_join(self) -> bool:
        """Tell whether tokens wait here for others."""
        return self.kind is Kind.PARALLEL and len(self.incoming) > 1


@dataclass(frozen=True, slots=True)
class ProcessDefinition:
    """A process, for all tenants: the tenant is data.

    Attributes:
        version: content hash of the file; running instances keep theirs.
        xml: the file, for the operator's diagram.
    """

    id: str
    name: str
    version: str
    start: str
    elements: dict[str, Element]
    xml: bytes

    @property
    def job_types(self) -> frozenset[str]:
        """The job types that connectors must serve."""
        return frozenset(element.job.type for element in self.elements.values() if element.job)

    @property
    def message_names(self) -> frozenset[str]:
        """The messages that instances wait for."""
        return frozenset(element.message.name for element in self.elements.values() if element.message)


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


def text_of(value: Value, variables: Mapping[str, Any], what: str) -> str:
    """Compute a value that must be a non-empty text or a whole number.

    Raises:
        ExpressionError: it is something else, or missing.
    """
    found = value(variables)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if isinstance(found, str) and found:
        return found
    raise ExpressionError(f"{what} must be a text or a whole number; it is {type(found).__name__}.")
