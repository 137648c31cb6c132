"""A network in one thread that loses, delays, repeats and reorders, as a seed says."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from payhub_engines.consensus.messages import Message, encode

DELAY_MAX_MS = 8
INBOX_MAX = 2000


@dataclass
class Schedule:
    """What happens when, in virtual milliseconds; what falls together happens in the order of its coming."""

    now_ms: int = 0
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._count, action))

    def step(self) -> None:
        self.now_ms, _, action = heapq.heappop(self._events)
        action()


@dataclass
class Network:
    """Links by sender and receiver.

    Attributes:
        loss, repeat, slow: chance of each message to be lost, sent twice, or long on its way.
        is_ordered: whether messages of a link arrive in order, as in a TCP connection.
        blocked: links that carry nothing, each in one direction.
    """

    schedule: Schedule
    chooser: random.Random
    deliver: Callable[[str, str, bytes], None]
    loss: float = 0.0
    repeat: float = 0.0
    slow: float = 0.0
    slow_delay_max_ms: int = 900
    is_ordered: bool = True
    blocked: set[tuple[str, str]] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    _last_at_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def heal(self) -> None:
        self.loss = self.repeat = self.slow = 0.0
        self.is_ordered = True  # as the real connections are
        self.blocked.clear()

    def send(self, sender: str, receiver: str, message: Message) -> None:
        data = encode(message)
        for _ in range(2 if self.chooser.random() < self.repeat else 1):
            if self.chooser.random() < self.loss:
                self.seen["message lost"] += 1
                continue
            self._send_once(sender, receiver, data)

    def _send_once(self, sender: str, receiver: str, data: bytes) -> None:
        is_slow = self.chooser.random() < self.slow
        delay_ms = self.chooser.randint(0, self.slow_delay_max_ms if is_slow else DELAY_MAX_MS)
        if self.is_ordered:
            at_ms = max(self.schedule.now_ms + delay_ms, self._last_at_ms.get((sender, receiver), 0))
            self._last_at_ms[sender, receiver] = at_ms
            delay_ms = at_ms - self.schedule.now_ms

        def arrive() -> None:
            if (sender, receiver) in self.blocked:
                self.seen["message blocked"] += 1
            else:
                self.deliver(sender, receiver, data)

        self.schedule.after(delay_ms, arrive)
