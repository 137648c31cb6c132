"""The working sheet of a batch: events appended to it are applied at once, so the next step sees them."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from payhub_engines.core.appliers import APPLIERS
from payhub_engines.core.bpmn.model import Catalogue, Element, ProcessDefinition
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.events import AnyEvent, InstanceStarted, Scope
from payhub_engines.core.limits import spend, units_of
from payhub_engines.core.records import Instance
from payhub_engines.core.state import State

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun

MakeRun = Callable[["Decision", Instance, ProcessDefinition], "InstanceRun"]

STEPS_MAX: Final = 2_000  # elements that one command may enter: a loop without a wait ends here


class Decision:
    """Collects what a command does, over all instances that it touches.

    Attributes:
        now_ms: the time of the command.
        state: as decided so far.
        events: of the command, in order; all applied already.
        units: about how many bytes of variables they carry.
        scopes: of every instance that the events of the batch name.
        ended: the instances that the events of the batch end.
        continues_broadcast: whether the command reaches further receivers of a broadcast.
        pending: tokens on their way into an element: run, element, scope.
        touched: scopes in which a token ended; they may be done.
    """

    def __init__(self, state: State, now_ms: int, make_run: MakeRun) -> None:
        self.now_ms = now_ms
        self.state = state
        self.events: list[AnyEvent] = []
        self.units = 0
        self.continues_broadcast = False
        self.scopes: dict[int, Scope] = {}
        self.ended: list[int] = []
        self.pending: deque[tuple[InstanceRun, Element, int]] = deque()
        self.touched: deque[tuple[InstanceRun, int]] = deque()
        self._make_run = make_run
        self._runs: dict[int, InstanceRun] = {}
        self._steps = 0

    @property
    def catalogue(self) -> Catalogue:
        """The definitions that are deployed."""
        return self.state.catalogue

    def begin(self) -> None:
        """Begin the next command of the same batch."""
        self.events = []
        self.units = 0
        self.continues_broadcast = False
        self._steps = 0

    def end(self) -> None:
        """Let go of the instances: they know this decision, and only a search for cycles would free them."""
        self._runs.clear()
        self.pending.clear()
        self.touched.clear()

    def append(self, event: AnyEvent) -> None:
        """Decide an event and apply it."""
        APPLIERS[type(event)](event, self.state)
        self.events.append(event)

    def new_key(self) -> int:
        """Take a key that was never used before; an event must carry it."""
        state = self.state
        key = state.next_key
        state.next_key = key + 1
        return key

    def run(self, key: int) -> "InstanceRun":
        """Return an instance to move its tokens, and note its scope for the log entry."""
        found = self._runs.get(key)
        if found is None:
            instance = self.state.instances.change(key)
            definition = self.catalogue.get(instance.process, instance.version)
            if definition is None:
                detail = f"Version {instance.version} of {instance.process} is followed, but not deployed."
                raise ReplayError("unknown-version", detail)
            self.scopes[key] = Scope(instance.tenant, instance.process, instance.payment, instance.trace)
            found = self._runs[key] = self._make_run(self, instance, definition)
        return found

    def start(
        self,
        definition: ProcessDefinition,
        identity: tuple[str, str, str],
        trace: str,
        variables: dict[str, Any],
        caller: tuple[int, int] = (0, 0),
    ) -> "InstanceRun":
        """Begin an instance, without a token yet.

        Args:
            definition: what it follows.
            identity: tenant, business key and fingerprint.
            trace: W3C traceparent.
            variables: of the instance.
            caller: instance and call activity that call it.
        """
        tenant, payment, fingerprint = identity
        if not caller[0]:  # else it was checked that they fit
            spend(self, units_of(variables))
        key = self.new_key()
        self.append(
            InstanceStarted(
                key,
                definition.id,
                definition.version,
                tenant,
                payment,
                fingerprint,
                trace,
                variables,
                self.now_ms,
                *caller,
            )
        )
        return self.run(key)

    def go_on(self) -> None:
        """Move all tokens until each of them waits or has ended."""
        pending, touched = self.pending, self.touched
        while True:
            while pending:
                run, element, scope = pending.popleft()
                run.enter(element, scope)
            if not touched:
                return
            run, scope = touched.popleft()
            run.settle(scope)

    @property
    def steps(self) -> int:
        """How many elements the command has entered, and tokens it has made."""
        return self._steps

    def count_step(self, steps: int = 1) -> bool:
        """Count elements entered and tokens made; False when the command has made too many."""
        self._steps += steps
        return self._steps <= STEPS_MAX
