"""Legal traces, by the events alone: what opens is closed once, in a running instance, on a token's way."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

from simulation.raft_checks import SafetyViolationError

from payhub_engines.core import events
from payhub_engines.core.events import LogEntry

_ENDS = {
    "JobCompleted": "job",
    "JobErrorThrown": "job",
    "JobCancelled": "job",
    "TimerTriggered": "timer",
    "TimerCancelled": "timer",
    "SubscriptionClosed": "subscription",
    "IncidentResolved": "incident",
    "ElementCompleted": "key",
    "ElementTerminated": "key",
}
_BEGINS = {
    "JobCreated": "job",
    "TimerCreated": "timer",
    "SubscriptionOpened": "subscription",
    "IncidentRaised": "incident",
    "ElementActivated": "key",
}
_LEAVES = {"ElementCompleted", "ElementTerminated"}
_BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"


class Graph:
    """The flows of a process, as its file says it."""

    def __init__(self, xml: bytes) -> None:
        process = ET.fromstring(xml).find(f"{_BPMN}process")  # noqa: S314 - a file of ours
        assert process is not None
        self.targets = {
            flow.attrib["id"]: flow.attrib["targetRef"] for flow in process.iter(f"{_BPMN}sequenceFlow")
        }
        self.incoming = Counter(self.targets.values())
        self.joins = {
            node.attrib["id"]
            for node in process.iter(f"{_BPMN}parallelGateway")
            if self.incoming[node.attrib["id"]] > 1
        }


@dataclass
class Trace:
    """One instance: what is open of it, each with the element instance that it belongs to."""

    key: int
    started: events.InstanceStarted
    graph: Graph
    begun_at: int
    ended_at: int = 0
    outcome: str = ""
    open: dict[tuple[str, int], int] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    entered: Counter[str] = field(default_factory=Counter)
    ends: list[str] = field(default_factory=list)

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        if self.outcome and kind != "InstanceMigrated":
            self._fail(event, "comes after the end")
        if kind == "ElementPassed":
            self._enter(event, event.key, event.scope)
            self._leave(event, event.key)
        elif kind in _BEGINS:
            self._begin(event, kind)
        elif kind in _ENDS:
            owner = self._end(event, (_ENDS[kind], getattr(event, _ENDS[kind])))
            if kind in _LEAVES:
                self._close_waits(event.key)
            elif kind == "JobCompleted" and event.is_left:
                self._leave(event, owner)
        elif (needed := _needed(event)) is not None and needed not in self.open:
            self._fail(event, "is about something that is not open")
        if flow := getattr(event, "flow", ""):
            self.taken[self.graph.targets[flow]] += 1

    def check(self) -> None:
        """Check what must hold between two entries of the log."""
        for (kind, key), owner in self.open.items():
            if self.outcome or (owner and ("key", owner) not in self.open):
                raise SafetyViolationError(f"{kind} {key} of instance {self.key} has outlived its element")

    def _begin(self, event: Any, kind: str) -> None:
        name = _BEGINS[kind]
        if kind == "ElementActivated":
            self._enter(event, event.key, event.scope, is_item=event.index > 0)
            return
        if kind == "JobCreated" and event.scope is not None:
            self._enter(event, event.element_instance, event.scope)
        self._open(event, (name, getattr(event, name)), event.element_instance)

    def _enter(self, event: Any, key: int, scope: int, *, is_item: bool = False) -> None:
        self._open(event, ("key", key), scope)
        if is_item:
            return
        element, graph = event.element, self.graph
        self.entered[element] += 1
        each = graph.incoming[element] if element in graph.joins else 1
        if graph.incoming[element] and self.taken[element] < each * self.entered[element]:
            self._fail(event, "is entered without a token")

    def _leave(self, event: Any, key: int) -> None:
        self._end(event, ("key", key))
        self._close_waits(key)

    def _close_waits(self, key: int) -> None:
        """Let go of what an element that was left had waited for: its timers and subscriptions only."""
        for place, owner in list(self.open.items()):
            if owner == key and place[0] in {"timer", "subscription"}:
                del self.open[place]

    def _open(self, event: Any, place: tuple[str, int], owner: int) -> None:
        if place in self.open or (owner and ("key", owner) not in self.open):
            self._fail(event, "begins twice, or in what is not open")
        self.open[place] = owner

    def _end(self, event: Any, place: tuple[str, int]) -> int:
        owner = self.open.pop(place, None)
        if owner is None:
            self._fail(event, "ends what is not open")
        return owner

    def _fail(self, event: Any, why: str) -> NoReturn:
        raise SafetyViolationError(f"instance {self.key}: {event} {why}")


def _needed(event: Any) -> tuple[str, int] | None:
    """Return what an event is about that it neither opens nor closes."""
    match event:
        case events.JobFailed() | events.JobRetriesUpdated():
            return "job", event.job
        case events.MessageCorrelated() if event.subscription:
            return "subscription", event.subscription
    return None


class Traces:
    """All instances of an engine, and the messages that it keeps, in the order of the log."""

    def __init__(self, xmls: list[bytes]) -> None:
        self._graphs: dict[str, Graph] = {}
        for xml in xmls:
            process = ET.fromstring(xml).find(f"{_BPMN}process")  # noqa: S314 - a file of ours
            assert process is not None
            self._graphs[process.attrib["id"]] = Graph(xml)
        self.instances: dict[int, Trace] = {}
        self.by_payment: dict[tuple[str, str, str], Trace] = {}
        self.jobs: dict[int, events.JobCreated] = {}
        self.kept: dict[int, events.MessageBuffered] = {}
        self.ids: dict[tuple[str, str, str, str], int] = {}
        self.queued: set[tuple[str, int]] = set()  # by owner and sequence
        self.outbox: set[tuple[str, int]] = set()  # those that are not acknowledged
        self.received: set[tuple[str, int]] = set()  # by origin and sequence
        self.next_position = 1
        self.running = 0

    def take(self, entry: LogEntry) -> None:
        """Take the next entry of the log.

        Raises:
            SafetyViolationError: no engine may do that.
        """
        if entry.first_position != self.next_position:
            raise SafetyViolationError(f"position {self.next_position} is missing")
        touched: dict[int, Trace] = {}
        for position, event in enumerate(entry.events, entry.first_position):
            self._take(event, position, touched)
        for trace in touched.values():
            trace.check()
        self.next_position += len(entry.events)

    def _take(self, event: Any, position: int, touched: dict[int, Trace]) -> None:
        match event:
            case events.InstanceStarted():
                self._start(event, position)
            case events.MessageBuffered():
                self.kept[event.message] = event
            case events.MessageExpired() if event.reason == "expired":
                self._let_go(event.message)
            case events.MessageCorrelated() if event.message:
                self._let_go(event.message)
            case events.MessageIdTaken():
                place = (event.tenant, event.name, event.correlation_key, event.message_id)
                if self.ids.get(place, 0) > event.at_ms:
                    raise SafetyViolationError(f"message {place} has taken effect twice")
                self.ids[place] = event.expires_at_ms
            case events.JobCreated():
                self.jobs[event.job] = event
        self._hand_over(event)
        key = getattr(event, "instance", 0)
        if not key or isinstance(event, events.InstanceStarted):
            return
        trace = touched[key] = self.instances[key]
        trace.take(event)
        if isinstance(event, events.InstanceCompleted | events.InstanceTerminated):
            self.running -= 1
            trace.ended_at = position
            trace.outcome = "completed" if isinstance(event, events.InstanceCompleted) else "terminated"

    def _hand_over(self, event: Any) -> None:
        match event:
            case events.HandoverQueued():
                self.queued.add((event.owner, event.sequence))
                self.outbox.add((event.owner, event.sequence))
            case events.HandoverAcknowledged():
                self.outbox.remove((event.owner, event.sequence))
            case events.HandoverReceived():
                if (event.origin, event.sequence) in self.received:
                    raise SafetyViolationError(f"hand-over {event.sequence} has taken effect twice")
                self.received.add((event.origin, event.sequence))

    def _start(self, event: events.InstanceStarted, position: int) -> None:
        place = (event.tenant, event.process, event.payment)
        if event.instance in self.instances or (place in self.by_payment and not event.parent):
            raise SafetyViolationError(f"{place} is started twice")
        trace = Trace(event.instance, event, self._graphs[event.process], position)
        self.instances[event.instance] = self.by_payment[place] = trace
        self.running += 1

    def _let_go(self, message: int) -> None:
        if self.kept.pop(message, None) is None:
            raise SafetyViolationError(f"message {message} is used, but not kept")
