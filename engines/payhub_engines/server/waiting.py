"""Commands that wait to be decided: bounded, the tenants take turns, running payments go first."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from payhub_engines.core.commands import Command
from payhub_engines.core.reply import Reply
from payhub_engines.core.state import State
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

WAITING_MAX: Final = 8_192
OVERSHOOT: Final = (
    2  # a tenant with less than its part is taken beyond a bound, up to this many times the bound
)
OnReply = Callable[[Reply | PayhubError], None]


class Waiting:
    """One command, or one read, and who waits for it.

    Attributes:
        command: what to decide; None for a read.
        read: gets the committed state; None for a command.
        is_new: begins a payment, so that whatever finishes others goes before it.
        since_ms: monotonic time at which it came from outside; None where nobody measures.
        tenant: in whose turn it waits.
    """

    __slots__ = ("command", "is_new", "on_reply", "read", "since_ms", "tenant")

    def __init__(
        self,
        command: Command | None,
        on_reply: OnReply | None,
        read: Callable[[State], None] | None = None,
        *,
        is_new: bool = False,
        since_ms: int | None = None,
    ) -> None:
        self.command = command
        self.on_reply = on_reply
        self.read = read
        self.is_new = is_new
        self.since_ms = since_ms
        self.tenant = ""

    @property
    def is_answered(self) -> bool:
        """Whether whoever waits was told, or nobody does."""
        return self.on_reply is None

    def answer(self, reply: Reply | PayhubError) -> None:
        """Tell whoever waits; only the first answer counts.

        What is told is done or refused already: a defect of who hears it must not reach the others.
        """
        on_reply, self.on_reply = self.on_reply, None
        if on_reply is None:
            return
        try:
            on_reply(reply)
        except Exception:
            _logger.exception("a reply met a defect of the one who waited for it")


class _Lane:
    """What waits for one tenant."""

    __slots__ = ("finishing", "starting")

    def __init__(self) -> None:
        self.finishing: deque[Waiting] = deque()
        self.starting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self.finishing) + len(self.starting)


class Queue:
    """What waits, by tenant: each takes one turn after the other, so that none holds the others up.

    In its turn, what may finish a running payment goes before what begins a new one.
    """

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._tenants: OrderedDict[str, _Lane] = OrderedDict()
        self._count = 0
        self._starting = 0

    def __len__(self) -> int:
        return self._count

    @property
    def starting(self) -> int:
        """How many wait that begin a payment."""
        return self._starting

    def starting_of(self, tenant: str) -> int:
        """Return how many of a tenant wait that begin a payment."""
        lane = self._tenants.get(tenant)
        return 0 if lane is None else len(lane.starting)

    def starting_by_tenant(self) -> Iterator[tuple[str, int]]:
        """Iterate over the tenants that wait to begin payments, with how many."""
        for tenant, lane in self._tenants.items():
            if lane.starting:
                yield tenant, len(lane.starting)

    def count_of(self, tenant: str) -> int:
        """Return how many wait for a tenant."""
        lane = self._tenants.get(tenant)
        return 0 if lane is None else len(lane)

    def is_full_for(self, tenant: str, headroom: int = 1) -> bool:
        """Tell whether nothing that can be refused may be put for a tenant.

        One that fills less than its part of the queue is taken beyond the bound, which stays bounded.

        Args:
            tenant: for whom.
            headroom: multiplies the bound.
        """
        bound = self._waiting_max * headroom
        if self._count < bound:
            return False
        if self._count >= bound * OVERSHOOT:
            return True
        lane = self._tenants.get(tenant)
        return lane is not None and len(lane) * len(self._tenants) >= bound

    def put(self, tenant: str, waiting: Waiting) -> None:
        """Add what waits; whoever may be refused looks at ``is_full_for`` first."""
        lane = self._tenants.get(tenant)
        if lane is None:
            lane = self._tenants[tenant] = _Lane()
        if waiting.is_new:
            lane.starting.append(waiting)
            self._starting += 1
        else:
            lane.finishing.append(waiting)
        waiting.tenant = tenant
        self._count += 1

    def put_back(self, taken: list[Waiting]) -> None:
        """Take back the last of what ``take`` gave, in front of all: their turn has come already."""
        for waiting in reversed(taken):
            lane = self._tenants.get(waiting.tenant)
            if lane is None:
                lane = self._tenants[waiting.tenant] = _Lane()
            self._tenants.move_to_end(waiting.tenant, last=False)
            (lane.starting if waiting.is_new else lane.finishing).appendleft(waiting)
            self._starting += waiting.is_new
        self._count += len(taken)

    def take(self, count_max: int) -> list[Waiting]:
        """Return up to so many, in turn over the tenants; a turn costs the same however many they are."""
        taken: list[Waiting] = []
        tenants = self._tenants
        while tenants and len(taken) < count_max:
            if len(tenants) == 1:
                [(tenant, lane)] = tenants.items()
                self._take_alone(lane, count_max, taken)
                if not lane.finishing and not lane.starting:
                    del tenants[tenant]
                break
            self._take_round(count_max - len(taken), taken)
        self._count -= len(taken)
        for waiting in taken:
            if waiting.is_new:
                self._starting -= 1
        return taken

    def _take_round(self, count_max: int, taken: list[Waiting]) -> None:
        """Give each tenant one turn, or as many of them as there is room for, who then stand at the end."""
        tenants = self._tenants
        is_cut_off = count_max < len(tenants)
        for tenant, lane in list(islice(tenants.items(), count_max)):
            taken.append(lane.finishing.popleft() if lane.finishing else lane.starting.popleft())
            if not lane.finishing and not lane.starting:
                del tenants[tenant]
            elif is_cut_off:
                tenants.move_to_end(tenant)

    def _take_alone(self, lane: _Lane, count_max: int, taken: list[Waiting]) -> None:
        for waiting in (lane.finishing, lane.starting):
            while waiting and len(taken) < count_max:
                taken.append(waiting.popleft())
