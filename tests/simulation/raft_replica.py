"""One simulated machine: a disk, a state that lags behind, a clock that errs, and a replica that may die."""

import random
from collections import Counter, deque

from simulation.raft_checks import History, SafetyViolationError
from simulation.raft_network import INBOX_MAX, Network

from payhub_engines.consensus.errors import EntriesTrimmedError, JournalWriteError, NotLeaderError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import APPEND_ENTRIES_MAX, Message, decode
from payhub_engines.consensus.overlay import Outcome, RaftCore
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk

SEGMENT_BYTES = 3000
CACHE_BYTES = 400


class CountingJournal(Journal):
    def __init__(self, disk: SimulatedDisk, seen: Counter[str]) -> None:
        super().__init__(disk, segment_bytes=SEGMENT_BYTES, cache_bytes=CACHE_BYTES)
        self.seen = seen

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's name
        self.seen["log truncated"] += 1
        super().deleteEntriesFrom(entryFrom)


class Replica:
    """Implements ``Transport`` for its core, so that messages carry its name."""

    def __init__(self, name: str, names: list[str], network: Network, history: History, seed: int) -> None:
        self.name = name
        self.names = names
        self.network = network
        self.history = history
        self.chooser = random.Random(f"{seed} {name}")
        self.disk = SimulatedDisk()
        self.core: RaftCore | None = None
        self.journal: Journal | None = None
        self.life = 0
        self.state: list[tuple[int, bytes]] = []
        self.flushed_index = 0  # the state's last entry that a crash leaves
        self.checked_index = 0
        self.inbox: deque[tuple[str, bytes]] = deque(maxlen=INBOX_MAX)
        self.requests: list[tuple[bytes, int, int]] = []  # value, index, term
        self.barriers: list[tuple[int, int, int]] = []  # index, term, lowest index to be read
        self.paused_until_ms = 0
        self.clock_rate = 1.0
        self.append_entries_max = APPEND_ENTRIES_MAX

    @property
    def is_up(self) -> bool:
        return self.core is not None

    def clock(self) -> int:
        return int(self.network.schedule.now_ms * self.clock_rate)

    def send(self, replica: str, message: Message) -> None:
        self.network.send(self.name, replica, message)

    def start(self) -> None:
        self.life += 1
        try:
            journal = CountingJournal(self.disk, self.history.seen)
            if self.flushed_index > journal.last_index:
                raise SafetyViolationError(f"{self.name}'s state is ahead of its journal")
            self.journal = journal
            self.core = RaftCore(
                journal,
                self.name,
                self.flushed_index,
                self._take,
                peers=self.names,
                transport=self,
                clock=self.clock,
                chooser=self.chooser,
                append_entries_max=self.append_entries_max,
            )
        except PowerLossError:
            self.crash()
            return
        self.checked_index = 0
        for name in self.names:
            if name != self.name:
                self.core.connected(name)

    def crash(self) -> None:
        """Lose the process, and perhaps the machine's power: then what was not synced may be lost or torn."""
        is_power_loss = self.chooser.random() < 0.5
        self.history.seen["power lost" if is_power_loss else "killed"] += 1
        if is_power_loss:
            self.disk = self.disk.after_power_loss(self.chooser.getrandbits(32))
        self.disk.power_loss_after = None
        self.disk.full = False
        self.core = self.journal = None
        self.state = [(index, data) for index, data in self.state if index <= self.flushed_index]
        self.inbox.clear()
        self.requests.clear()
        self.barriers.clear()

    def step(self, values: list[bytes]) -> None:
        """Do what one turn of a real event loop does: messages, new entries, a tick; then check."""
        if self.core is None or self.journal is None:
            return
        try:
            for _ in range(min(len(self.inbox), self.chooser.randint(1, 20))):
                sender, data = self.inbox.popleft()
                self.core.receive(sender, decode(data))
            self._propose(self.core, values)
            self.core.doTick()
            if self.chooser.random() < 0.05:
                self.flushed_index = self.core.applied_index
        except PowerLossError:
            self.crash()
            return
        except JournalWriteError:
            self.history.seen["stopped by a full disk"] += 1
            self.crash()
            return
        self.history.check(self.name, self.life, self.core, self.journal, self.checked_index)
        if self.core.commit_index < self.checked_index:
            raise SafetyViolationError(f"{self.name}'s commit index went back")
        self.checked_index = self.core.commit_index
        self._settle(self.core)

    def trim(self, below_index: int) -> None:
        if self.journal is not None and self.journal.first_index < below_index <= self.journal.durable_index:
            self.journal.trim(below_index)
            self.history.seen["log trimmed"] += 1

    def hand_over(self) -> None:
        if self.core is not None and self.core.is_leader and self.core.hand_over() is not None:
            self.history.seen["leadership handed over"] += 1

    def _take(self, index: int, data: bytes) -> None:
        if self.state and index <= self.state[-1][0]:
            raise SafetyViolationError(f"{self.name} applied entry {index} twice")
        self.history.apply(self.name, index, data)
        self.state.append((index, data))

    def _propose(self, core: RaftCore, values: list[bytes]) -> None:
        try:
            for value in values:
                self.requests.append((value, core.propose(value), core.term))
            if self.chooser.random() < 0.02:
                lowest = max(self.history.acknowledged.values(), default=0)
                self.barriers.append((core.propose_barrier(), core.term, lowest))
        except NotLeaderError:
            self.history.seen["entry refused"] += bool(values)

    def _settle(self, core: RaftCore) -> None:
        for request in list(self.requests):
            value, index, term = request
            outcome = self._outcome(core, index, term)
            if outcome is Outcome.COMMITTED:
                self.history.acknowledge(value, index)
            if outcome is not Outcome.PENDING:
                self.requests.remove(request)
        for barrier in list(self.barriers):
            index, term, lowest = barrier
            outcome = self._outcome(core, index, term)
            if outcome is Outcome.COMMITTED:
                self.history.seen["read barrier passed"] += 1
                if core.applied_index < lowest:
                    raise SafetyViolationError(f"{self.name} would read a state that is too old")
            if outcome is not Outcome.PENDING:
                self.barriers.remove(barrier)

    def _outcome(self, core: RaftCore, index: int, term: int) -> Outcome:
        try:
            return core.outcome(index, term)
        except EntriesTrimmedError:
            return Outcome.LOST  # nobody was told anything
