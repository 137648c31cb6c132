"""What an element waits for: jobs, timers, messages and signals."""

from typing import Any

from payhub_engines.core.events.base import Event


class JobCreated(Event, frozen=True, tag=8):
    """A service or send task waits for a connector.

    ``scope`` is set where a token enters the task with it, as in ``ElementActivated``.
    """

    instance: int
    job: int
    element_instance: int
    element: str
    job_type: str
    retries: int
    headers: dict[str, str] = {}
    scope: int | None = None


class JobCompleted(Event, frozen=True, tag=9):
    """A connector did its job.

    ``is_left``: the token left the task with it; ``flow`` and ``variables`` are as in ``ElementCompleted``.
    """

    instance: int
    job: int
    element: str
    is_left: bool = False
    flow: str = ""
    variables: dict[str, Any] = {}


class JobFailed(Event, frozen=True, tag=10):
    """A connector could not do its job; with retries left it is tried again at ``retry_at_ms``."""

    instance: int
    job: int
    element: str
    retries_left: int
    retry_at_ms: int
    message: str


class JobErrorThrown(Event, frozen=True, tag=11):
    """A connector reported a business error; the job is over."""

    instance: int
    job: int
    element: str
    code: str
    description: str


class JobCancelled(Event, frozen=True, tag=12):
    """A job's element was interrupted; what the connector still answers has no effect."""

    instance: int
    job: int
    element: str


class TimerCreated(Event, frozen=True, tag=13):
    """A timer runs until ``due_ms``; ``element`` is the event that it triggers."""

    instance: int
    timer: int
    element_instance: int
    element: str
    due_ms: int
    interval_ms: int = 0  # of a cycle
    repetitions: int = 0  # left after this one; -1 without end


class TimerTriggered(Event, frozen=True, tag=14):
    """A timer was due."""

    instance: int
    timer: int
    element: str


class TimerCancelled(Event, frozen=True, tag=15):
    """A timer is no longer needed, though its element goes on."""

    instance: int
    timer: int
    element: str


class SubscriptionOpened(Event, frozen=True, tag=16):
    """An instance waits for a message or signal; ``element`` is the event that it triggers."""

    instance: int
    subscription: int
    element_instance: int
    element: str
    name: str
    correlation_key: str  # empty of a signal
    is_signal: bool = False


class SubscriptionClosed(Event, frozen=True, tag=17):
    """An instance no longer waits for a message or signal, though the element that waited goes on."""

    instance: int
    subscription: int
    element: str
    element_instance: int


class JobRetriesUpdated(Event, frozen=True, tag=40):
    """An operator gave a job new retries; it is done again at once."""

    instance: int
    job: int
    element: str
    retries: int
