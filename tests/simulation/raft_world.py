"""A group of replicas under faults, then healed: one run is decided by its seed alone."""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass

from simulation.raft_checks import History
from simulation.raft_network import Network, Schedule
from simulation.raft_replica import Replica

FAULTS_MS = 12_000
HEALED_WITHIN_MS = 10_000
STEP_MAX_MS = 20
VALUES_MAX = 1500


class LivenessViolationError(AssertionError):
    """All faults have healed, and still somebody has not caught up."""


@dataclass(frozen=True)
class Result:
    """What a run did.

    Attributes:
        digest: of all that was applied, and when it ended: equal for equal seeds.
        healed_ms: how long after the last fault all replicas were equal.
        seen: how often what happened.
    """

    digest: str
    acknowledged: int
    healed_ms: int
    seen: Counter[str]


class World:
    def __init__(self, seed: int, replica_count: int) -> None:
        self.chooser = random.Random(seed)
        self.schedule = Schedule()
        self.history = History()
        self.network = Network(self.schedule, self.chooser, self._deliver)
        self.network.is_ordered = self.chooser.random() < 0.5
        self.network.loss = self.chooser.choice([0, 0.01, 0.1])
        self.network.repeat = self.chooser.choice([0, 0.05, 0.3])
        self.network.slow = self.chooser.choice([0, 0.02, 0.1, 0.4])
        self.network.slow_delay_max_ms = self.chooser.choice([300, 900, 4000])
        self.fault_every_ms = self.chooser.choice([80, 250, 800])
        append_entries_max = self.chooser.choice([1, 2, 5, 4096])
        is_reordering = self.chooser.random() < 0.5
        names = [f"north-{number}" for number in range(replica_count)]
        self.replicas = {name: Replica(name, names, self.network, self.history, seed) for name in names}
        self.names = names
        self.has_faults = True
        self.value_count = 0
        for replica in self.replicas.values():
            replica.clock_rate = self.chooser.uniform(0.8, 1.25)
            replica.append_entries_max = append_entries_max
            replica.disk.is_reordering = is_reordering
            replica.start()
            self._step(replica)

    def run(self) -> Result:
        self._fault()
        while self.schedule.now_ms < FAULTS_MS:
            self.schedule.step()
        self._heal()
        healed_at_ms = self.schedule.now_ms
        while not self._is_caught_up():
            if self.schedule.now_ms > healed_at_ms + HEALED_WITHIN_MS:
                raise LivenessViolationError(self._describe())
            self.schedule.step()
        self.history.check_end({name: replica.state for name, replica in self.replicas.items()})
        digest = hashlib.sha256(repr((self.schedule.now_ms, self.history)).encode()).hexdigest()
        seen = self.history.seen + self.network.seen
        return Result(digest, len(self.history.acknowledged), self.schedule.now_ms - healed_at_ms, seen)

    def _deliver(self, sender: str, receiver: str, data: bytes) -> None:
        if self.replicas[receiver].is_up:
            self.replicas[receiver].inbox.append((sender, data))

    def _step(self, replica: Replica) -> None:
        if self.schedule.now_ms >= replica.paused_until_ms:
            replica.step(self._values())
            self._install(replica)
        self.schedule.after(self.chooser.randint(1, STEP_MAX_MS), lambda: self._step(replica))

    def _values(self) -> list[bytes]:
        """Return what clients ask one replica to append now: rarely much, never the same twice."""
        if not self.has_faults or self.value_count >= VALUES_MAX or self.chooser.random() < 0.8:
            return []
        count = self.chooser.choice([1, 1, 2, 10, 40])
        numbers = range(self.value_count, self.value_count + count)
        self.value_count += count
        return [b"%d" % number + bytes(self.chooser.choice([0, 0, 50, 500])) for number in numbers]

    def _fault(self) -> None:
        if not self.has_faults:
            return
        replica = self.replicas[self.chooser.choice(self.names)]
        faults = [
            self._crash_at_disk,
            self._fill_disk,
            self._fail_sync,
            self._crash_now,
            self._crash_all,
            self._start_all,
            self._pause,
            self._block_one_way,
            self._isolate,
            self._isolate_leader,
            self._crash_leader,
            self._split,
            self._unblock,
            self._trim,
            self._hand_over,
            self._contest,
        ]
        weights = [3, 0.7, 0.7, 1, 0.2, 4, 1, 1.5, 1, 1, 1, 0.7, 4, 1, 1.5, 2]
        self.chooser.choices(faults, weights)[0](replica)
        self.schedule.after(self.chooser.randint(1, 2 * self.fault_every_ms), self._fault)

    def _crash_at_disk(self, replica: Replica) -> None:
        replica.disk.power_loss_after = replica.disk.steps + self.chooser.randint(0, 12)
        if not replica.is_up:
            replica.start()

    def _fill_disk(self, replica: Replica) -> None:
        if replica.is_up:
            replica.disk.full = True

    def _fail_sync(self, replica: Replica) -> None:
        if replica.is_up:
            replica.disk.fail_next_sync = True

    def _crash_now(self, replica: Replica) -> None:
        if replica.is_up:
            replica.crash()

    def _crash_all(self, _: Replica) -> None:
        for replica in self.replicas.values():
            self._crash_now(replica)
        self.history.seen["all crashed"] += 1

    def _start_all(self, _: Replica) -> None:
        for replica in self.replicas.values():
            if not replica.is_up:
                replica.start()

    def _pause(self, replica: Replica) -> None:
        replica.paused_until_ms = self.schedule.now_ms + self.chooser.randint(100, 4000)

    def _block_one_way(self, replica: Replica) -> None:
        others = [name for name in self.names if name != replica.name]
        self.network.blocked.add((replica.name, self.chooser.choice(others)))
        if self.chooser.random() < 0.5:
            self.network.blocked.update((name, replica.name) for name in others)  # deaf, not mute

    def _isolate(self, replica: Replica) -> None:
        """Cut a replica off, and tell both ends of each connection."""
        for name in self.names:
            if name != replica.name:
                self.network.blocked.update({(name, replica.name), (replica.name, name)})
                self._tell(replica.name, name, is_connected=False)

    def _isolate_leader(self, _: Replica) -> None:
        for replica in self.replicas.values():
            if replica.core is not None and replica.core.is_leader:
                self.history.seen["leader isolated"] += 1
                self._isolate(replica)

    def _crash_leader(self, _: Replica) -> None:
        for replica in self.replicas.values():
            if replica.core is not None and replica.core.is_leader:
                self.history.seen["leader crashed"] += 1
                replica.crash()

    def _split(self, _: Replica) -> None:
        side = set(self.chooser.sample(self.names, len(self.names) // 2))
        pairs = {(one, other) for one in side for other in self.names if other not in side}
        self.network.blocked |= pairs | {(other, one) for one, other in pairs}

    def _unblock(self, _: Replica) -> None:
        self.network.blocked.clear()
        for one in self.names:
            for other in self.names:
                if one < other:
                    self._tell(one, other, is_connected=True)

    def _trim(self, replica: Replica) -> None:
        """Let a replica forget what all hold, or sometimes all that its own state holds."""
        if self.chooser.random() < 0.5:
            replica.trim(min(each.flushed_index for each in self.replicas.values()))
        else:
            replica.trim(replica.flushed_index)

    def _install(self, replica: Replica) -> None:
        if replica.core is None or not replica.core.is_beyond_help:
            return
        leader = self.replicas.get(replica.core.leader or "")
        if leader is not None and leader.core is not None and leader.core.is_leader:
            replica.install(leader)

    def _hand_over(self, _: Replica) -> None:
        for replica in self.replicas.values():
            replica.hand_over()

    def _contest(self, _: Replica) -> None:
        """Let several stand for election at once, as late calls for a hand-over might make them."""
        for name in self.chooser.sample(self.names, 2):
            core = self.replicas[name].core
            if core is not None and not core.is_leader:
                self.history.seen["election contested"] += 1
                core.call_election()

    def _tell(self, one: str, other: str, *, is_connected: bool) -> None:
        for name, peer in ((one, other), (other, one)):
            core = self.replicas[name].core
            if core is not None and is_connected:
                core.connected(peer)
            elif core is not None:
                core.disconnected(peer)

    def _heal(self) -> None:
        self.has_faults = False
        self.network.heal()
        for replica in self.replicas.values():
            replica.disk.power_loss_after = None
            replica.disk.full = False
            replica.disk.fail_next_sync = False
            replica.paused_until_ms = 0
            if not replica.is_up:
                replica.start()
        self._unblock(self.replicas[self.names[0]])

    def _is_caught_up(self) -> bool:
        cores = [replica.core for replica in self.replicas.values() if replica.core is not None]
        journals = [replica.journal for replica in self.replicas.values() if replica.journal is not None]
        return (
            sum(core.is_leader for core in cores) == 1
            and len({core.term for core in cores}) == 1
            and len({journal.last_index for journal in journals} | {core.applied_index for core in cores})
            == 1
        )

    def _describe(self) -> str:
        lines = [f"not caught up within {HEALED_WITHIN_MS} ms"]
        for replica in self.replicas.values():
            core, journal = replica.core, replica.journal
            if core is None or journal is None:
                lines.append(f"{replica.name}: down")
            else:
                lines.append(
                    f"{replica.name}: leads {core.is_leader}, term {core.term}, knows {core.leader}, "
                    f"log {journal.first_index} to {journal.last_index}, commit {core.commit_index}, "
                    f"applied {core.applied_index}"
                )
        return "\n".join(lines)


def simulate(seed: int, replica_count: int) -> Result:
    """Run one seed to its end.

    Raises:
        SafetyViolationError: what must never happen did.
        LivenessViolationError: after all faults had healed, somebody stayed behind.
    """
    return World(seed, replica_count).run()
