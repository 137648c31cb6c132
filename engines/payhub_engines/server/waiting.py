"""Commands that wait to be decided: bounded, the tenants take turns, running payments go first."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final

from payhub_engines.core.commands import Command
from payhub_engines.core.limits import COMMAND_UNITS_MAX
from payhub_engines.core.reply import Reply
from payhub_engines.core.state import State
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

WAITING_MAX: Final = 8_192
OVERSHOOT: Final = (
    2  # a tenant with less than its part is taken beyond a bound, up to this many times the bound
)
COST_MIN: Final = 1024
"""What a command costs at least, and a turn: about as many bytes of the log as an ordinary one adds."""

BATCH_COST_MAX: Final = 512 * COST_MIN  # of any batch, by what the tenants' last commands cost
FLOOD_COST: Final = 64 * COST_MIN  # where batches are bounded, a tenant floods for which dearer things wait
DEBT_MAX: Final = COMMAND_UNITS_MAX  # what one command may cost holds its tenant up, not more
LATELY: Final = 4  # commands that tell what the next one costs

OnReply = Callable[[Reply | PayhubError], None]


class Waiting:
    """One command, or one read, and who waits for it.

    Attributes:
        command: what to decide; None for a read.
        read: gets the committed state; None for a command.
        is_new: begins a payment, so that whatever finishes others goes before it.
        since_ms: monotonic time at which it came from outside; None where nobody measures.
        size: about how many bytes of the log it added, once it is decided.
        tenant: in whose turn it waits.
    """

    __slots__ = ("command", "is_new", "on_reply", "read", "since_ms", "size", "tenant")

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
        self.size = 0
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


def resolve(answer: asyncio.Future[Reply], reply: Reply | PayhubError) -> None:
    """Tell a future, where somebody still waits for it."""
    if answer.done():
        return
    if isinstance(reply, PayhubError):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)


class _Lane:
    """What waits for one tenant.

    Attributes:
        cost: of its commands, as the last ones were.
        debt: what they cost beyond the turns that it had.
    """

    __slots__ = ("cost", "debt", "finishing", "starting")

    def __init__(self) -> None:
        self.cost = COST_MIN
        self.debt = 0
        self.finishing: deque[Waiting] = deque()
        self.starting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self.finishing) + len(self.starting)


class Queue:
    """What waits, by tenant: each takes one turn after the other, so that none holds the others up.

    In its turn, what may finish a running payment goes before what begins a new one. A turn is one command;
    where batches are bounded, one that cost more than a turn is paid with the turns after it.
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

    def oldest_start_ms(self) -> int | None:
        """Return when the new payment that waits longest came from outside; looks at each tenant."""
        since = [lane.starting[0].since_ms for lane in self._tenants.values() if lane.starting]
        return min((since_ms for since_ms in since if since_ms is not None), default=None)

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

    def take(
        self,
        count_max: int,
        cost_max: int | None = None,
        is_flooding: Callable[[str], bool] = lambda _: False,
    ) -> list[Waiting]:
        """Return what is decided next, in turn over the tenants.

        Args:
            count_max: how many at most.
            cost_max: what those who flood may cost beyond one turn of each; None: all are equal.
            is_flooding: tells whether a tenant floods; one for which very much waits does in any case.
        """
        taken: list[Waiting] = []
        if cost_max is None:
            self._take_all(count_max, taken)
        else:
            self._take_bounded(count_max, cost_max, is_flooding, taken)
        self._count -= len(taken)
        for waiting in taken:
            if waiting.is_new:
                self._starting -= 1
        return taken

    def settle(self, batch: list[Waiting]) -> int:
        """Learn from what was taken and is decided what a tenant's turns cost; return what the batch cost."""
        cost = 0
        for waiting in batch:
            size = max(waiting.size, COST_MIN)
            cost += size
            lane = self._tenants.get(waiting.tenant)
            if lane is not None:  # one that waits for nothing holds nobody up
                lane.cost += (size - lane.cost) // LATELY
        return cost

    def _take_all(self, count_max: int, taken: list[Waiting]) -> None:
        tenants, left = self._tenants, BATCH_COST_MAX
        while tenants and len(taken) < count_max and left > 0:
            tenant, lane = next(iter(tenants.items()))
            if len(tenants) > 1:
                left -= lane.cost
                self._take_turn(tenant, lane, taken)
                continue
            count_max = min(count_max, len(taken) + max(left // lane.cost, 1))
            for waiting in (lane.finishing, lane.starting):
                while waiting and len(taken) < count_max:
                    taken.append(waiting.popleft())
            if not lane.finishing and not lane.starting:
                del tenants[tenant]
            break

    def _take_bounded(
        self, count_max: int, cost_max: int, is_flooding: Callable[[str], bool], taken: list[Waiting]
    ) -> None:
        tenants = self._tenants
        for _ in range(len(tenants)):
            if len(taken) >= count_max:
                return
            self._take_or_pay(taken)
        # After a pause several wait for each tenant; at one a batch, a tenant that does not flood would never
        # get rid of them.
        others = deque(
            (tenant, lane)
            for tenant, lane in tenants.items()
            if len(lane) * lane.cost <= FLOOD_COST and not is_flooding(tenant)
        )
        while others and len(taken) < count_max:
            tenant, lane = others.popleft()
            self._take_turn(tenant, lane, taken)
            if tenant in tenants:
                others.append((tenant, lane))
        while tenants and len(taken) < count_max and cost_max >= COST_MIN:
            self._take_or_pay(taken)
            cost_max -= COST_MIN

    def _take_or_pay(self, taken: list[Waiting]) -> None:
        tenant, lane = next(iter(self._tenants.items()))
        if lane.debt >= COST_MIN:
            lane.debt -= COST_MIN
            self._tenants.move_to_end(tenant)
        else:
            lane.debt = min(lane.cost - COST_MIN, DEBT_MAX)
            self._take_turn(tenant, lane, taken)

    def _take_turn(self, tenant: str, lane: _Lane, taken: list[Waiting]) -> None:
        """Take one of the tenant whose turn it is; it stands at the end then."""
        taken.append(lane.finishing.popleft() if lane.finishing else lane.starting.popleft())
        if lane.finishing or lane.starting:
            self._tenants.move_to_end(tenant)
        else:
            del self._tenants[tenant]
