"""What a connector is given and what it answers. A connector never decides the flow."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from payhub_engines.connectors.context import ConnectorContext


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One activation of a service task."""

    key: int
    type: str
    tenant: str
    process: str
    instance: int
    payment: str  # business key: the transaction id; outside ids are derived from it
    element: str
    variables: dict[str, Any]
    headers: dict[str, str]  # zeebe:taskHeaders of the element
    attempt: int  # from 1
    trace: str  # W3C traceparent
    started_at_ms: int = 0  # of the instance: what is sent again says the same time


class BpmnError(Exception):
    """A business refusal that the process handles with a boundary event.

    Attributes:
        code: the BPMN error code, such as ``payer-refused``.
        description: for people, without personal data.
        variables: merged into the instance before the error is caught.
    """

    def __init__(self, code: str, description: str, variables: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.variables = variables or {}


class JobFailedError(Exception):
    """A technical failure: the job is tried again after ``retry_after_ms``."""

    def __init__(self, message: str, retry_after_ms: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


Handler = Callable[[Job, ConnectorContext], Coroutine[Any, Any, dict[str, Any]]]
"""Does a job and returns the variables to merge; raises BpmnError or JobFailedError."""

PromptHandler = Callable[[Job, ConnectorContext], dict[str, Any]]
"""The same for a job that needs nothing from outside: it is done at once, in the engine's own turn."""

AnyHandler = Handler | PromptHandler
