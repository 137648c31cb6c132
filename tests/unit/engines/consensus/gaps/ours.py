"""Groups of payhub's replicas in the same hands: each is the simulation's machine, with its checks."""

import random
from collections import deque
from types import SimpleNamespace

from simulation.raft_checks import History
from simulation.raft_replica import Replica

from payhub_engines.consensus.messages import Message, decode, encode
from payhub_engines.consensus.overlay import Outcome
from payhub_engines.consensus.timers import ELECTION_MAX_MS, HEARTBEAT_MS


class NoChance(random.Random):
    """Chooses among timeouts as a seed says; nothing happens by chance but what the test asks for."""

    is_next_due = False

    def random(self) -> float:
        is_due, self.is_next_due = self.is_next_due, False
        return 0.0 if is_due else 0.99

    def getrandbits(self, bits: int, /) -> int:
        return super().getrandbits(bits)


class Wire:
    """Implements what a simulated machine needs of a network: messages wait until the test delivers them."""

    def __init__(self, names: list[str]) -> None:
        self.schedule = SimpleNamespace(now_ms=1_000_000)
        self.queues = {(one, other): deque[bytes]() for one in names for other in names if one != other}
        self.is_cut: set[frozenset[str]] = set()

    def send(self, sender: str, receiver: str, message: Message) -> None:
        if frozenset((sender, receiver)) not in self.is_cut:
            self.queues[sender, receiver].append(encode(message))


class Group:
    """Replicas by a letter each. ``history`` fails the test at once when safety is violated."""

    def __init__(self, letters: str, **options: int) -> None:
        self.history = History()
        self.names = list(letters)
        self.wire = Wire(self.names)
        self.replicas = {
            name: Replica(name, self.names, self.wire, self.history, number)  # type: ignore[arg-type]
            for number, name in enumerate(self.names)
        }
        for number, replica in enumerate(self.replicas.values()):
            replica.chooser = NoChance(number)
            for option, value in options.items():
                setattr(replica, option, value)
            replica.start()

    def __getitem__(self, name: str) -> Replica:
        return self.replicas[name]

    @property
    def leaders(self) -> list[str]:
        return [name for name, replica in self.replicas.items() if replica.core and replica.core.is_leader]

    def cut(self, name: str, others: str | None = None) -> None:
        for other in self._others(name, others):
            self.wire.is_cut.add(frozenset((name, other)))
            for one, two in ((name, other), (other, name)):
                self.wire.queues[one, two].clear()
                if self[one].core is not None:
                    self[one].core.disconnected(two)

    def join(self, name: str, others: str | None = None) -> None:
        for other in self._others(name, others):
            self.wire.is_cut.discard(frozenset((name, other)))
            for one, two in ((name, other), (other, name)):
                if self[one].core is not None:
                    self[one].core.connected(two)

    def tick(self, *names: str, after_ms: int = 1) -> None:
        self.wire.schedule.now_ms += after_ms
        for name in names:
            while self[name].inbox:  # a machine takes a bounded number a turn
                self[name].step([])
            self[name].step([])

    def queue(self, sender: str, receiver: str) -> deque[bytes]:
        return self.wire.queues[sender, receiver]

    def in_flight(self, sender: str, receiver: str) -> list[Message]:
        return [decode(data) for data in self.queue(sender, receiver)]

    def deliver(self, sender: str, receiver: str, count: int | None = None) -> None:
        """Move messages into a machine's inbox, and let it take them."""
        queue = self.queue(sender, receiver)
        for _ in range(len(queue) if count is None else min(count, len(queue))):
            self[receiver].inbox.append((sender, queue.popleft()))
        self.tick(receiver, after_ms=0)

    def settle(self, names: str | None = None, rounds: int = 8, round_ms: int = 1, deaf: str = "") -> None:
        """Tick and deliver; what is sent to somebody deaf is lost."""
        chosen = names or "".join(self.names)
        for _ in range(rounds):
            self.tick(*chosen, after_ms=round_ms)
            for one in chosen:
                for other in chosen:
                    if other in deaf and one != other:
                        self.queue(one, other).clear()
                    elif one != other:
                        self.deliver(one, other)

    def heartbeats(self, names: str | None = None, rounds: int = 4) -> None:
        self.settle(names, rounds, HEARTBEAT_MS)

    def elect(self, name: str, names: str | None = None) -> None:
        self[name].core.call_election()
        self.settle(names)
        assert name in self.leaders

    def put(self, name: str, *values: bytes) -> list[tuple[int, int]]:
        """Append values at a leader, which writes and sends them; return index and term of each."""
        before = len(self[name].requests)
        self[name].step(list(values))
        proposed = [(index, term) for _, index, term in self[name].requests[before:]]
        assert len(proposed) == len(values)
        return proposed

    def ask_barrier(self, name: str) -> None:
        """Begin a read at a leader: the first thing that a turn of the simulated machine leaves to chance."""
        waiting = len(self[name].barriers)
        self[name].chooser.is_next_due = True
        self[name].step([])
        assert len(self[name].barriers) > waiting

    @property
    def barriers_passed(self) -> int:
        """How many reads went on, each checked to see all that was acknowledged before it."""
        return self.history.seen["read barrier passed"]

    def acknowledged(self) -> list[bytes]:
        return list(self.history.acknowledged)

    def outcomes(self, name: str, proposed: list[tuple[int, int]]) -> list[Outcome]:
        return [self[name].core.outcome(index, term) for index, term in proposed]

    def values(self, name: str) -> list[bytes]:
        """What a replica has applied."""
        return [data for _, data in self[name].state]

    def check_end(self) -> None:
        """Check that all replicas are equal and have whatever anybody was told is safe."""
        self.heartbeats(rounds=8)
        self.history.check_end({name: replica.state for name, replica in self.replicas.items()})

    def wait_for_election(self, names: str) -> str:
        """Let time pass until one of these leads; return which."""
        for _ in range(20):
            self.settle(names, rounds=4, round_ms=ELECTION_MAX_MS // 4)
            leading = [name for name in self.leaders if name in names]
            if leading:
                return leading[0]
        raise AssertionError("nobody was elected")

    def _others(self, name: str, others: str | None) -> list[str]:
        return [other for other in (others if others is not None else self.names) if other != name]
