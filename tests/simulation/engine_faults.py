"""What goes wrong, as a seed says it: machines, disks, clocks, connections, and the operators' own doings."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from simulation.engine_audit import AuditBus
from simulation.engine_disk import FaultyDisk
from simulation.engine_handover import HandoverBus
from simulation.engine_network import Hub
from simulation.engine_releases import NEW
from simulation.engine_replica import Replica

from payhub_engines.consensus.errors import ConsensusError, LogUnavailableError
from payhub_engines.consensus.identity import IDENTITY_NAME
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.recovery import segment_name, segments_on

DOWN_S_MAX = 2.0


class Group(Protocol):
    hub: Hub
    audit: AuditBus
    handover: HandoverBus
    seen: Counter[str]
    replicas: dict[str, Replica]
    has_faults: bool
    has_real_store: bool
    exported_index: int

    def begin(self, work: Awaitable[None]) -> None: ...
    async def replace(self, replica: Replica) -> None: ...


class Faults:
    """Does one fault after the other to a group; who is down starts again after a while.

    Attributes:
        folders_left: how many folders may still be lost or damaged, one at a time.
        suspect: the replica whose folder was; it may refuse to start.
    """

    def __init__(self, group: Group, chooser: random.Random) -> None:
        self.group = group
        self.chooser = chooser
        self.every_s = chooser.choice([0.08, 0.25, 0.8])
        has_folders = len(group.replicas) > 1 and not group.has_real_store
        self.folders_left = chooser.choice([0, 0, 0, 1, 2]) if has_folders else 0
        self.suspect: Replica | None = None
        self.is_replacing = False
        everywhere = [
            (self._kill, 1.0),
            (self._lose_power, 1.0),
            (self._fail_at_disk, 2.5),
            (self._fill_disk, 0.5),
            (self._slow_disk, 0.7),
            (self._pause, 1.0),
            (self._jump_clock, 0.7),
            (self._stop, 0.7),
            (self._trim, 1.5),
            (self._all_down, 0.25),
            (self._bus_down, 0.5),
            (self._upgrade, 0.5),
        ]
        in_groups = [
            (self._kill_leader, 1.0),
            (self._block_one_way, 1.2),
            (self._isolate, 1.0),
            (self._isolate_leader, 1.0),
            (self._unblock, 3.5),
            (self._hand_over, 1.0),
            (self._leave_behind, 0.4),
            (self._damage, 0.5 if self.folders_left else 0.0),
        ]
        self._kinds = everywhere + (in_groups if len(group.replicas) > 1 else [])

    async def run(self) -> None:
        """Do faults until the group is to heal."""
        faults, weights = [kind for kind, _ in self._kinds], [weight for _, weight in self._kinds]
        while self.group.has_faults:
            await asyncio.sleep(self.chooser.uniform(0, 2 * self.every_s))
            names = sorted(self.group.replicas)
            replica = self.group.replicas[self.chooser.choice(names)]
            fault = self.chooser.choices(faults, weights)[0]
            if self.group.has_faults and not self.is_replacing:
                self.group.begin(self._do(fault, replica))

    async def _do(self, fault: Callable[[Replica], Awaitable[None]], replica: Replica) -> None:
        if self.group.has_faults and not self.is_replacing and not replica.is_retired:
            await fault(replica)

    async def down(self, replica: Replica, *, loses_power: bool) -> None:
        """End a replica's process, and start it again after a while."""
        if replica.life is None or replica.is_ending:
            return
        self.group.seen["power lost" if loses_power else "killed"] += 1
        await replica.kill(loses_power=loses_power)
        await self.up_later(replica)

    async def up_later(self, replica: Replica) -> None:
        await asyncio.sleep(self.chooser.uniform(0.02, DOWN_S_MAX) if self.group.has_faults else 0.02)
        if (
            replica.life is None
            and not replica.is_retired
            and not replica.is_ending
            and not self.is_replacing
        ):
            replica.start()

    async def _kill(self, replica: Replica) -> None:
        await self.down(replica, loses_power=False)

    async def _lose_power(self, replica: Replica) -> None:
        await self.down(replica, loses_power=True)

    async def _kill_leader(self, _: Replica) -> None:
        leading = [each for each in self.group.replicas.values() if each.leads]
        if leading:
            self.group.seen["leader killed"] += 1
            await self.down(leading[0], loses_power=self.chooser.random() < 0.5)

    async def _all_down(self, _: Replica) -> None:
        self.group.seen["all down"] += 1
        loses_power = self.chooser.random() < 0.5
        await asyncio.gather(
            *(self.down(each, loses_power=loses_power) for each in list(self.group.replicas.values()))
        )

    async def _bus_down(self, _: Replica) -> None:
        """Take NATS away: payments go on, and the audit catches up."""
        self.group.seen["bus down"] += 1
        self.group.audit.is_down = self.group.handover.is_down = True
        await asyncio.sleep(self.chooser.uniform(0.5, 6))
        self.group.audit.is_down = self.group.handover.is_down = False

    async def _fail_at_disk(self, replica: Replica) -> None:
        """Lose power, or an operation, in the middle of what the disk is about to do."""
        at = replica.disk.steps + self.chooser.randint(0, 25)
        if self.chooser.random() < 0.7:
            replica.disk.power_loss_after = at
        else:
            self.group.seen["disk failed"] += 1
            replica.disk.error_after = at

    async def _fill_disk(self, replica: Replica) -> None:
        self.group.seen["disk full"] += 1
        replica.disk.full = True
        await asyncio.sleep(self.chooser.uniform(0.1, 2))
        replica.disk.full = False

    async def _slow_disk(self, replica: Replica) -> None:
        self.group.seen["disk slow"] += 1
        replica.disk_ms = self.chooser.choice([50, 300, 3_000])
        await asyncio.sleep(self.chooser.uniform(0.5, 4))
        replica.disk_ms = 3.0

    async def _pause(self, replica: Replica) -> None:
        life = replica.life
        if life is None or life.is_dying:
            return
        self.group.seen["paused"] += 1
        life.is_paused = True
        await asyncio.sleep(self.chooser.uniform(0.05, 4))
        if not life.is_over:
            life.go_on()

    async def _jump_clock(self, replica: Replica) -> None:
        self.group.seen["clock jumped"] += 1
        replica.clock_off_ms = self.chooser.choice([0, self.chooser.uniform(-20_000, 20_000)])

    async def _stop(self, replica: Replica) -> None:
        self.group.seen["stopped in order"] += 1
        await replica.stop()
        await self.up_later(replica)

    async def _leave_behind(self, _: Replica) -> None:
        """Let a follower miss what is trimmed, come back while NATS is away, and lose its leader then."""
        following = [each for each in self.group.replicas.values() if each.is_up and not each.leads]
        if not following:
            return
        self.group.seen["left behind"] += 1
        replica = self.chooser.choice(following)
        await replica.kill(loses_power=False)
        await asyncio.sleep(self.chooser.uniform(0.5, 2))
        await self._do(self._trim, replica)
        self.group.begin(self._do(self._bus_down, replica))
        await self.up_later(replica)
        await asyncio.sleep(self.chooser.uniform(0.2, 1))
        await self._do(self._kill_leader, replica)

    async def _upgrade(self, replica: Replica) -> None:
        if replica.release < NEW:
            await self.upgrade(replica)

    async def upgrade(self, replica: Replica) -> None:
        """Stop a replica in order, and start it again with the newer release."""
        self.group.seen["upgraded"] += 1
        replica.release = NEW
        await replica.stop()
        await self.up_later(replica)

    async def _trim(self, _: Replica) -> None:
        for replica in self.group.replicas.values():
            if replica.is_up and replica.parts is not None:
                with contextlib.suppress(LogUnavailableError):
                    self.group.seen["log trimmed"] += replica.parts.trim(self.group.exported_index)

    async def _hand_over(self, _: Replica) -> None:
        for replica in self.group.replicas.values():
            if replica.leads and replica.life is not None and replica.parts is not None:
                self.group.seen["leadership handed over"] += 1
                replica.life.start(_handed_over(replica.parts.log))

    async def _block_one_way(self, replica: Replica) -> None:
        others = [name for name in self.group.replicas if name != replica.name]
        self.group.hub.blocked.add((replica.name, self.chooser.choice(others)))
        if self.chooser.random() < 0.5:
            self.group.hub.blocked.update((name, replica.name) for name in others)  # deaf, not mute

    async def _isolate(self, replica: Replica) -> None:
        """Cut a replica off; both ends of its connections may be told or not."""
        is_told = self.chooser.random() < 0.5
        for name in self.group.replicas:
            if name != replica.name:
                self.group.hub.blocked.update({(name, replica.name), (replica.name, name)})
                if is_told:
                    self.group.hub.cut(name, replica.name)

    async def _isolate_leader(self, _: Replica) -> None:
        for replica in self.group.replicas.values():
            if replica.leads:
                self.group.seen["leader isolated"] += 1
                await self._isolate(replica)

    async def _unblock(self, _: Replica) -> None:
        self.group.hub.blocked.clear()

    async def _damage(self, replica: Replica) -> None:
        """Let a bit flip in a replica's folder, or lose the folder; who cannot start is replaced."""
        if self.suspect is not None or not self.folders_left or replica.life is None or replica.is_ending:
            return
        self.folders_left -= 1
        self.suspect = replica
        await replica.kill(loses_power=False)
        if self.chooser.random() < 0.3:
            self.group.seen["folder lost"] += 1
            replica.wipe()
        else:
            self._flip(replica)
        if replica.life is None and not replica.is_retired:
            replica.start()

    def _flip(self, replica: Replica) -> None:
        disk = replica.disk.after_kill()
        names = [segment_name(number) for number in segments_on(disk)]
        name = IDENTITY_NAME if self.chooser.random() < 0.1 else self.chooser.choice(names)
        disk.flip_bit(name, self.chooser.randrange(disk.size(name)), self.chooser.randrange(8))
        before, after = _recovered(replica.disk), _recovered(disk)
        if after is not None and after != before:
            # Not to be told from a write that was cut off (docs/consensus.md): another fault than is
            # simulated here, for it makes a replica forget what it has told others.
            self.group.seen["flip like a torn write"] += 1
            self.suspect = None
            return
        self.group.seen["flip found" if after is None else "flip harmless"] += 1
        replica.disk = disk
        if after is not None and name != IDENTITY_NAME:
            self.suspect = None


async def _handed_over(log: Any) -> None:
    with contextlib.suppress(LogUnavailableError):
        await log.hand_over()


def _recovered(disk: FaultyDisk) -> object:
    """Return what a replica would remember with a disk; None where it refuses to start."""
    try:
        journal = Journal(disk.after_kill())
        entries = journal.read(journal.first_index, None, None)
    except ConsensusError:
        return None
    return entries, journal.getCurrentTerm(), journal.getVotedForNodeId()
