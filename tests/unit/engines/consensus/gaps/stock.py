"""Groups of stock pysyncobj 0.3.17 replicas in memory: messages, ticks and time are the test's to give.

The links keep the order of messages, as TCP does; nothing here is worse than what the package runs on.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import pysyncobj.syncobj
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport

ROUND_MS = 2
NEVER_S = 1e9

Acks = list[tuple[Any, int]]
"""What callers were told: the result, and pysyncobj's reason, where ``FAIL_REASON.SUCCESS`` acknowledges."""


class VirtualClock:
    """Stands in for pysyncobj's ``monotonicTime``."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> float:
        return self.now_ms / 1000


class QueueTransport(Transport):
    """Keeps what is sent, by receiver, until the test delivers it."""

    def __init__(self, sync_obj: SyncObj, self_node: Node, other_nodes: set[Node]) -> None:
        super().__init__(sync_obj, self_node, other_nodes)
        self.nodes = {node.id: node for node in other_nodes}
        self.queues: dict[str, deque[dict[str, Any]]] = {node.id: deque() for node in other_nodes}
        self.connected: set[str] = set()

    @property
    def ready(self) -> bool:
        return True

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        if node.id not in self.connected:
            return False
        self.queues[node.id].append(message)
        return True

    def connect(self, peer: str) -> None:
        self.connected.add(peer)
        self._onNodeConnected(self.nodes[peer])

    def disconnect(self, peer: str) -> None:
        self.connected.discard(peer)
        self.queues[peer].clear()
        self._onNodeDisconnected(self.nodes[peer])

    def take(self, sender: str, message: dict[str, Any]) -> None:
        self._onMessageReceived(self.nodes[sender], message)

    def destroy(self) -> None:
        """Nothing is open."""


class StockReplica(SyncObj):
    """A replicated list. ``applied`` is what this process has applied, ``state`` what a snapshot holds."""

    def __init__(self, name: str, peers: list[str], **options: Any) -> None:
        settings = {
            "appendEntriesPeriod": 0.001,
            "raftMinTimeout": 3600,
            "raftMaxTimeout": 3601,
            "connectionTimeout": NEVER_S,
            "leaderFallbackTimeout": NEVER_S,
            "logCompactionMinTime": NEVER_S,
            "logCompactionMinEntries": 1_000_000,
        }
        self.applied: list[Any] = []
        conf = SyncObjConf(autoTick=False, **(settings | options))
        super().__init__(name, peers, conf, transportClass=QueueTransport)
        self.state: list[Any] = []

    @replicated
    def put(self, value: Any) -> Any:
        self.applied.append(value)
        self.state.append(value)
        return value

    @replicated
    def fail(self) -> None:
        self.applied.append("tried")
        raise ValueError("poison")

    def private(self, name: str) -> Any:
        return getattr(self, f"_SyncObj__{name}")

    def set_private(self, name: str, value: Any) -> None:
        setattr(self, f"_SyncObj__{name}", value)

    @property
    def wire(self) -> QueueTransport:
        transport: QueueTransport = self.private("transport")
        return transport

    @property
    def entries(self) -> list[tuple[int, int]]:
        """Index and term of each entry."""
        return [(index, term) for _, index, term in self.private("raftLog")[:]]

    @property
    def last_index(self) -> int:
        return self.entries[-1][0]


class StockGroup:
    """Replicas by a letter each, all linked."""

    def __init__(
        self, letters: str, make: Callable[..., StockReplica] = StockReplica, **options: Any
    ) -> None:
        self.clock = VirtualClock()
        self.make = make
        self.options = options
        self.names = {letter: f"{letter}:1" for letter in letters}
        self.replicas: dict[str, StockReplica] = {}
        self._real_clock = pysyncobj.syncobj.monotonicTime
        pysyncobj.syncobj.monotonicTime = self.clock
        for letter in letters:
            self.start(letter)
        for letter in letters:
            self.join(letter)

    def close(self) -> None:
        pysyncobj.syncobj.monotonicTime = self._real_clock
        for replica in self.replicas.values():
            replica._doDestroy()

    def __getitem__(self, letter: str) -> StockReplica:
        return self.replicas[letter]

    def start(self, letter: str, **options: Any) -> StockReplica:
        peers = [name for name in self.names.values() if name != self.names[letter]]
        self.replicas[letter] = self.make(self.names[letter], peers, **(self.options | options))
        return self.replicas[letter]

    def restart(self, letter: str, **options: Any) -> StockReplica:
        """Kill the process and start it again on what its files hold; its peers see the connection drop."""
        linked = [peer for peer in self.names if self.names[peer] in self[letter].wire.connected]
        self.cut(letter)
        self[letter]._doDestroy()
        replica = self.start(letter, **options)
        self.join(letter, "".join(linked))
        return replica

    def cut(self, letter: str, others: str | None = None) -> None:
        """Drop the connections to others, or to all, with what is in flight on them."""
        for one, other in self._pairs(letter, others):
            if self.names[other] in self[one].wire.connected:
                self[one].wire.disconnect(self.names[other])

    def join(self, letter: str, others: str | None = None) -> None:
        for one, other in self._pairs(letter, others):
            if self.names[other] not in self[one].wire.connected:
                self[one].wire.connect(self.names[other])

    def tick(self, *letters: str) -> None:
        self.clock.now_ms += ROUND_MS
        for letter in letters:
            self[letter]._onTick(0)

    def queue(self, sender: str, receiver: str) -> deque[dict[str, Any]]:
        """What is in flight on a link."""
        return self[sender].wire.queues[self.names[receiver]]

    def deliver(self, sender: str, receiver: str, count: int | None = None) -> None:
        queue = self.queue(sender, receiver)
        for _ in range(len(queue) if count is None else min(count, len(queue))):
            self[receiver].wire.take(self.names[sender], queue.popleft())

    def settle(self, letters: str | None = None, rounds: int = 8, deaf: str = "") -> None:
        """Tick and deliver; what is sent to somebody deaf is lost."""
        chosen = letters or "".join(self.names)
        for _ in range(rounds):
            self.tick(*chosen)
            for one in chosen:
                for other in chosen:
                    if other in deaf and one != other:
                        self.queue(one, other).clear()
                    elif one != other:
                        self.deliver(one, other)

    def elect(self, letter: str, letters: str | None = None) -> StockReplica:
        self[letter].set_private("raftElectionDeadline", 0)
        self.settle(letters)
        assert self[letter]._isLeader()
        return self[letter]

    def put(self, letter: str, *values: Any) -> Acks:
        """Append values at one replica; what comes back is filled as callers are answered."""
        acks: Acks = []
        for value in values:
            self[letter].put(value, callback=lambda result, reason: acks.append((result, reason)))
        return acks

    def _pairs(self, letter: str, others: str | None) -> list[tuple[str, str]]:
        chosen = [other for other in (others if others is not None else self.names) if other != letter]
        return [pair for other in chosen for pair in ((letter, other), (other, letter))]


def acknowledged(acks: Acks) -> list[Any]:
    """Return the results that callers were told are safe."""
    return [result for result, reason in acks if reason == FAIL_REASON.SUCCESS]
