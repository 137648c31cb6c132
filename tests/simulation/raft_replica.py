"""One simulated machine: a disk, a state that lags behind, a clock that errs, and a replica that may die."""

import random
from collections import Counter, deque

from simulation.raft_checks import History, SafetyViolationError
from simulation.raft_network import INBOX_MAX, Network

from payhub_engines.consensus.errors import (
    EntriesTrimmedError,
    JournalDamagedError,
    JournalDoubtfulError,
    JournalWriteError,
    NotLeaderError,
)
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import APPEND_ENTRIES_MAX, RaftMessage, decode_raft
from payhub_engines.consensus.overlay import STATE, Outcome, RaftCore
from payhub_engines.consensus.recovery import OnDoubt, recover, segment_name
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk

SEGMENT_BYTES = 3000
CACHE_BYTES = 400


class CountingJournal(Journal):
    def __init__(self, disk: SimulatedDisk, seen: Counter[str], on_doubt: OnDoubt) -> None:
        super().__init__(disk, segment_bytes=SEGMENT_BYTES, cache_bytes=CACHE_BYTES, on_doubt=on_doubt)
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
        self.can_vote = True  # and doubts: what a real replica keeps in its identity
        self.doubts = 0
        self.state: list[tuple[int, bytes]] = []
        self.flushed_index = 0  # the state's last entry that a crash leaves
        self.checked_index = 0
        self.inbox: deque[tuple[str, bytes]] = deque(maxlen=INBOX_MAX)
        self.requests: list[tuple[bytes, int, int]] = []  # value, index, term
        self.barriers: list[tuple[int, int, int]] = []  # round, term, lowest index to be read
        self.paused_until_ms = 0
        self.clock_rate = 1.0
        self.append_entries_max = APPEND_ENTRIES_MAX
        self.syncing_until_ms = 0
        self.is_syncing = False
        self.installing: tuple[int, int] | None = None  # index, term: what the journal has to begin at
        self.taken_over_index = 0  # of a state whose log is still on its way

    @property
    def is_up(self) -> bool:
        return self.core is not None

    def clock(self) -> int:
        return int(self.network.schedule.now_ms * self.clock_rate)

    def send(self, replica: str, message: RaftMessage) -> None:
        self.network.send(self.name, replica, message)

    def start(self) -> None:
        self.life += 1
        try:
            self._damage()
            self._damage_last_frame()
            journal = CountingJournal(self.disk, self.history.seen, self._doubt)
            if self.installing is not None:
                journal.restart(*self.installing, STATE)
                self.installing = None
            if self.flushed_index > max(journal.last_index, self.taken_over_index):
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
                can_vote=self.can_vote,
                doubts=self.doubts,
            )
        except PowerLossError:
            self.crash()
            return
        self.checked_index = 0
        self.is_syncing = False
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
        self.disk.fail_next_sync = False
        self.core = self.journal = None
        self.state = [(index, data) for index, data in self.state if index <= self.flushed_index]
        self.inbox.clear()
        self.requests.clear()
        self.barriers.clear()

    def step(self, values: list[bytes]) -> None:
        """Do what one turn of a real event loop does; a slow disk delays its second half."""
        if self.core is None or self.journal is None:
            return
        try:
            if self.is_syncing:
                if self.network.schedule.now_ms < self.syncing_until_ms:
                    self.core.send_entries()  # heartbeats go on
                    return
            else:
                self._take_turn(self.core, values)
                if self.chooser.random() < 0.005:
                    self.is_syncing = True
                    self.syncing_until_ms = self.network.schedule.now_ms + self.chooser.randint(10, 300)
                    self.history.seen["slow sync"] += 1
                    return
            self.is_syncing = False
            self.journal.sync()
            self.core.flush()
            if not self.can_vote and self.core.is_caught_up:
                self.can_vote = True
                self.history.in_doubt.remove(self.name)
                self.core.allow_votes()
            if self.chooser.random() < 0.05:
                self.flushed_index = self.core.applied_index
        except PowerLossError:
            self.crash()
            return
        except JournalWriteError:
            self.history.seen["stopped by a full disk" if self.disk.full else "sync failed"] += 1
            self.crash()
            return
        self.history.check(self.name, self.life, self.core, self.journal, self.checked_index)
        if self.core.commit_index < self.checked_index:
            raise SafetyViolationError(f"{self.name}'s commit index went back")
        self.checked_index = self.core.commit_index
        self._settle(self.core)

    def _take_turn(self, core: RaftCore, values: list[bytes]) -> None:
        for _ in range(min(len(self.inbox), self.chooser.randint(1, 20))):
            sender, data = self.inbox.popleft()
            core.receive(sender, decode_raft(data))
        core.advance()
        self._propose(core, values)
        core.send_entries()

    def install(self, leader: "Replica") -> None:
        """Take over a leader's state in place of entries that it trimmed; a crash may cut it off."""
        if self.core is None or self.journal is None or leader.core is None or leader.journal is None:
            return
        index = leader.core.applied_index
        if self.is_syncing or index < self.core.applied_index:
            return
        first = leader.journal.first_index
        self.installing = (first, leader.journal.term_at(first))
        self.state = [(each, data) for each, data in leader.state if each <= index]
        self.flushed_index = self.taken_over_index = index
        self.history.seen["state installed"] += 1
        try:
            self.journal.restart(*self.installing, STATE)
        except (PowerLossError, JournalWriteError):
            self.crash()
            return
        self.installing = None
        self.core.installed(index, first)

    def _damage(self) -> None:
        """Flip a bit before the end of the journal; a start must see it, and nothing may have changed."""
        names = [name for name in self.disk.names() if name.startswith("journal-")]
        if self.chooser.random() > 0.2 or len(names) < 2:
            return
        name = self.chooser.choice(names[:-1])
        offset, bit = self.chooser.randrange(self.disk.size(name)), self.chooser.randrange(8)
        self.disk.flip_bit(name, offset, bit)
        try:
            recover(self.disk, lambda _: None)
        except JournalDamagedError:
            self.history.seen["damage found"] += 1
        else:
            raise SafetyViolationError(f"{self.name} did not see that {name} is damaged at byte {offset}")
        self.disk.flip_bit(name, offset, bit)

    def _damage_last_frame(self) -> None:
        """Flip a bit of what may have been acknowledged last, where no other replica has lost anything."""
        if self.history.in_doubt or self.chooser.random() > 0.2:
            return
        found = recover(_copy(self.disk), lambda _: None)
        if not found.segments:
            return
        name = segment_name(found.segments[-1])
        offset = self.chooser.randrange(found.last_frame, found.active_size)
        damaged = _copy(self.disk)
        damaged.flip_bit(name, offset, self.chooser.randrange(8))
        try:
            left = recover(_copy(damaged), lambda _: None)
        except JournalDamagedError:
            return  # it was not the last one after all, or the only one: such a replica does not start
        if left.places.last >= max(self.flushed_index, 1):  # else the state proves that something is lost
            self.disk = damaged
            self.history.seen["last frame damaged"] += 1

    def _doubt(self, _: JournalDoubtfulError) -> None:
        self.doubts += 1
        self.history.seen["journal in doubt"] += 1
        if self.can_vote:
            self.can_vote = False
            self.history.in_doubt.append(self.name)

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
                if core.is_current:
                    self.barriers.append((core.begin_round(), core.term, lowest))
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
            number, term, lowest = barrier
            if core.is_leader and core.term == term and not core.is_confirmed(number):
                continue
            self.barriers.remove(barrier)
            if core.is_leader and core.term == term:
                self.history.seen["read barrier passed"] += 1
                if core.applied_index < lowest:
                    raise SafetyViolationError(f"{self.name} would read a state that is too old")

    def _outcome(self, core: RaftCore, index: int, term: int) -> Outcome:
        try:
            return core.outcome(index, term)
        except EntriesTrimmedError:
            return Outcome.LOST  # nobody was told anything


def _copy(disk: SimulatedDisk) -> SimulatedDisk:
    copy = SimulatedDisk()
    copy.is_reordering = disk.is_reordering
    for name in disk.names():
        copy.put(name, disk.read(name, 0, disk.size(name)))
    return copy
