"""An engine's queue, admission and rounds in virtual time; its costs are those of ``payhub bench engine``.

The log and the processor are modelled, what decides who waits is real. A payment is a chain of commands; its
connectors answer at once, so that every command of a flood waits in the queue, which is the hard case.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from payhub_engines.server.admission import Admission
from payhub_engines.server.commits import BATCH_BYTES_MAX
from payhub_engines.server.rounds import Rounds
from payhub_engines.server.waiting import COST_MIN, Queue, Waiting

STEPS = 20  # commands of a payment that wait for one another
SIDE = 5  # after two of so many steps comes another command before the next step: a message, besides a result
COMMAND_MS = 0.03  # of the leader's processor, for a command of ordinary size
REFUSAL_MS = 0.005
LOG_MS = 0.8  # of a round: sync and majority, at least
LOG_MORE_MS = 0.4  # and so much more on average
SPIKE_MS = 8.0  # now and then the disk takes its time
SPIKES = 0.002
BUSY_MS = 12.0
RUDE_MS = 100.0


@dataclass
class Tenant:
    """Payments at a rate; or, where it is 0, so many at once in a closed loop.

    Attributes:
        seen: when each payment that has ended was due, and how long it took; ms.
    """

    name: str
    rate: float = 0.0
    in_flight: int = 0
    bytes: int = COST_MIN
    is_rude: bool = False
    from_ms: float = 0.0
    seen: list[tuple[float, float]] = field(default_factory=list)
    refusals: int = 0

    def p99_ms(self, from_ms: float = 0.0) -> float:
        return p99([took for due, took in self.seen if due >= from_ms])


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


class Model:
    """One engine.

    Args:
        log_factor: makes its log slower.
        busy: share of the rounds in which the process waits for a processor that others use.
    """

    def __init__(self, seed: int = 1, log_factor: float = 1.0, busy: float = 0.0) -> None:
        self.now_ms = 0.0
        self.queue = Queue()
        self.admission = Admission(self.clock, oldest_start_ms=self.queue.oldest_start_ms)
        self.rounds = Rounds(self.queue, self.admission)
        self.running: Counter[str] = Counter()
        self.batches: list[int] = []
        self._log_factor = log_factor
        self._busy = busy
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._busy_until_ms = 0.0

    def clock(self) -> int:
        return int(self.now_ms)

    def run(self, tenants: list[Tenant], seconds: float) -> None:
        until_ms = seconds * 1000
        for tenant in tenants:
            if tenant.rate:
                count = int(tenant.rate * (seconds - tenant.from_ms / 1000))
                for number in range(count):
                    due_ms = tenant.from_ms + (number + self._random.random()) * 1000 / tenant.rate
                    self._at(due_ms, tenant, due_ms)
            for number in range(tenant.in_flight):
                due_ms = tenant.from_ms + number * 1000 / tenant.in_flight
                self._at(due_ms, tenant, due_ms)
        while self.now_ms < until_ms:
            if not self.queue:
                self.now_ms = max(self.now_ms, self._events[0][0] if self._events else until_ms)
                self._take_events(self.now_ms)
            else:
                self._round()

    def _at(self, at_ms: float, tenant: Tenant, due_ms: float) -> None:
        heapq.heappush(self._events, (at_ms, next(self._numbers), lambda: self._start(tenant, due_ms)))

    def _take_events(self, until_ms: float) -> float:
        while self._events and self._events[0][0] <= until_ms:
            at_ms, _, happen = heapq.heappop(self._events)
            self.now_ms = max(self.now_ms, at_ms)
            refusals = self._refusals
            happen()
            until_ms += (self._refusals - refusals) * REFUSAL_MS
        return until_ms

    _refusals = 0

    def _start(self, tenant: Tenant, due_ms: float) -> None:
        """Offer a new payment, as ``StreamProcessor`` does."""
        name = tenant.name
        in_flight = self.running.total() + self.queue.starting
        own = self.running[name] + self.queue.starting_of(name)
        refusal = self.admission.refusal(in_flight, own, self._counts, tenant=name)
        if refusal is None:
            self.admission.note_taken(name)
            self._put(tenant, due_ms, STEPS)
            return
        tenant.refusals += 1
        self._refusals += 1
        wait_ms = RUDE_MS if tenant.is_rude else (refusal.retry_after_s or 0) * 1000
        wait_ms *= 1 + self._random.random() / 2
        self._at(self.now_ms + wait_ms, tenant, due_ms)

    def _counts(self) -> list[int]:
        found = Counter({name: count for name, count in self.running.items() if count})
        found.update(dict(self.queue.starting_by_tenant()))
        return list(found.values())

    def _put(self, tenant: Tenant, due_ms: float, left: int) -> None:
        is_new = left == STEPS
        step = Waiting(None, None, is_new=is_new, since_ms=self.clock() if is_new else None)
        step.on_reply = lambda _: self._done(tenant, due_ms, left)
        step.size = tenant.bytes
        self.queue.put(tenant.name, step)

    def _done(self, tenant: Tenant, due_ms: float, left: int) -> None:
        self.running[tenant.name] += left == STEPS
        if left > 1:
            if left % SIDE in {0, 2}:
                side = Waiting(None, None)
                side.size = tenant.bytes
                self.queue.put(tenant.name, side)
            self._put(tenant, due_ms, left - 1)
            return
        self.running[tenant.name] -= 1
        tenant.seen.append((due_ms, self.now_ms - due_ms))
        if not tenant.rate:
            self._at(self.now_ms, tenant, self.now_ms)

    def _round(self) -> None:
        """Decide a batch, as ``StreamProcessor`` does; what comes meanwhile waits for the next."""
        began_ms = self.clock()
        batch = self.rounds.take()
        sizes = list(itertools.accumulate(step.size for step in batch))
        count = next((at + 1 for at, size in enumerate(sizes) if size >= BATCH_BYTES_MAX), len(batch))
        batch, rest = batch[:count], batch[count:]
        took_ms = self._log_ms() + sum(max(step.size, COST_MIN) for step in batch) * COMMAND_MS / COST_MIN
        self.now_ms = self._take_events(self.now_ms + took_ms)
        for step in batch:
            if step.since_ms is not None:
                self.admission.observe(self.clock() - step.since_ms)
            step.answer(None)  # type: ignore[arg-type] # nobody looks at it
        self.rounds.settle(batch, self.clock() - began_ms)
        self.queue.put_back(rest)
        self.batches.append(len(batch))

    def longest_wait_ms(self) -> int:
        since_ms = self.queue.oldest_start_ms()
        return 0 if since_ms is None else self.clock() - since_ms

    def _log_ms(self) -> float:
        log_ms = LOG_MS + self._random.expovariate(1 / LOG_MORE_MS)
        if self._random.random() < SPIKES:
            log_ms += SPIKE_MS
        if self._random.random() < self._busy:
            log_ms += self._random.expovariate(1 / BUSY_MS)
        return log_ms * self._log_factor
