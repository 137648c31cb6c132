"""What one replica does, turn by turn: take what arrived, advance, write, send what became true.

While the journal is written in its thread, what arrives waits, and so does the core: nothing changes
under the write. Only heartbeats go on, for a bounded time, so that a slow disk is not taken for a
dead machine, and a hanging one is.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from payhub_engines.consensus.errors import (
    ConsensusError,
    NotLeaderError,
    OutcomeUnknownError,
)
from payhub_engines.consensus.framing import Batch
from payhub_engines.consensus.identity import Membership
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.log import OnRole, StateMachine
from payhub_engines.consensus.messages import (
    Message,
    PreVote,
    PreVoteAnswer,
    RaftMessage,
    Welcome,
)
from payhub_engines.consensus.overlay import RaftCore
from payhub_engines.consensus.state_transfer import StateTransfer
from payhub_engines.consensus.threads import Worker
from payhub_engines.consensus.timers import MonotonicClock
from payhub_engines.consensus.transport import Network
from payhub_engines.consensus.waiting import Appends, Barriers

_logger = logging.getLogger(__name__)

ALARM_S: Final = 0.025
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
INBOX_BYTES_MAX: Final = 64 * 1024 * 1024
INBOX_MESSAGES_MAX: Final = 16_384
MESSAGES_A_TURN_MAX: Final = 256
DISK_STALL_MS: Final = 2_000
"""A leader whose disk takes longer falls silent, so that another is elected, and keeps nobody waiting."""


class Turns:
    """Runs one replica's core; implements ``Listener`` for its network."""

    def __init__(
        self,
        *,
        replica: str,
        members: list[str],
        journal: Journal,
        membership: Membership,
        machine: StateMachine,
        on_role: OnRole,
        network: Network,
        snapshots: Path | None,
        appends: Appends,
        barriers: Barriers,
        clock: MonotonicClock,
        chooser: random.Random | None,
        writer: Worker,
        file_thread: Executor,
    ) -> None:
        self._replica = replica
        self._members = members
        self.journal = journal
        self._membership = membership
        self._machine = machine
        self._on_role = on_role
        self._network = network
        self._appends = appends
        self._barriers = barriers
        self._clock = clock
        self._chooser = chooser
        self._writer = writer
        self._file_thread = file_thread
        self.core: RaftCore | None = None
        self.is_leading = False  # and on_role was told
        self._led_term = 0  # the term that entries were proposed in, 0 while not leading
        self._connected: set[str] = set()
        self._inbox: deque[tuple[str, RaftMessage, int]] = deque()
        self._inbox_bytes = 0
        self._has_news = False  # in the inbox is what cannot wait
        self._ended: asyncio.Future[None] | None = None
        self._is_called = False
        self._turn_done: asyncio.Future[None] | None = None
        self._is_stopping = False
        self._writing_since_ms: int | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._error: ConsensusError | None = None
        self._states = StateTransfer(
            snapshots or Path(), file_thread, network, clock, machine, journal, on_ready=self.wake
        )

    # Beginning and end.

    def lead_alone(self) -> None:
        """Begin a group of one: lead, with all entries applied.

        Raises:
            ConsensusError: an entry cannot be applied.
        """
        core = self._begin()
        core.call_election()
        core.doTick()
        while not core.is_current or core.has_more:
            core.doTick()
            if not core.is_leader:
                raise ConsensusError("no-election", "A group of one replica could not elect itself.")
        self._membership.join()
        self._note_role(core)

    def take_part(self) -> None:
        """Begin as a follower; with an empty folder, wait for the others' word first."""
        if self._membership.is_member:
            self._begin()

    async def run(self) -> None:
        """Take turns until told to stop.

        Raises:
            ConsensusError: the replica cannot go on.
        """
        self._ended = asyncio.get_running_loop().create_future()
        self._ring()
        self.wake()
        try:
            await self._ended
            self.journal.close()
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._end_role()

    def stop(self) -> None:
        """End after the turn that runs."""
        self._is_stopping = True
        self.wake()

    async def close(self) -> None:
        """Wait for the threads; the journal's write, where one runs, is over after this."""
        await self._states.stop()
        self._writer.close()
        self._file_thread.shutdown(wait=True)
        if self.core is not None:
            self.core.destroy()

    # What the log asks.

    def wake(self) -> None:
        """Take a turn soon; the one that waits for the disk comes to its end first."""
        if not self._is_called and self._writing_since_ms is None:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._call)

    async def next_turn(self) -> None:
        """Wait until a turn has been taken, or the alarm has rung."""
        if self._turn_done is None:
            self._turn_done = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._turn_done)

    def release(self) -> None:
        """Let those go on who wait for a turn."""
        if self._turn_done is not None:
            self._turn_done.set_result(None)
            self._turn_done = None

    def hand_over(self) -> str | None:
        """Ask a follower that has everything to lead."""
        found = None if self.core is None else self.core.hand_over()
        if found is not None:  # else whoever asks again and again would keep the loop busy
            self.wake()
        return found

    def trim(self, below_index: int) -> None:
        """Forget entries that the state holds, except what a follower is about to need."""
        if self.core is None:
            return
        held = self._states.hold_index
        below = below_index if held is None else min(below_index, held + 1)
        # One more stays: it is compared, and who takes over the state begins its log with a mark of it.
        self.journal.trim(min(below, self.core.applied_index, self.journal.durable_index) - 1)
        self.wake()

    # What the network tells.

    def greet(self, peer: str) -> Welcome:
        """Answer a peer, and forget what it said over an earlier connection."""
        kept = [item for item in self._inbox if item[0] != peer]
        self._inbox = deque(kept)
        self._inbox_bytes = sum(size for _, _, size in kept)
        has_history = self.core is not None and (self.core.term > 0 or not self._membership.can_vote)
        return Welcome(is_known=self._membership.is_known(peer), has_history=has_history)

    def connected(self, peer: str, welcome: Welcome) -> None:
        """Take note that messages reach a peer; an empty replica may become a member by its word."""
        self._connected.add(peer)
        if self.core is not None:
            self.core.connected(peer)
        else:
            try:
                if self._membership.welcomed(peer, welcome):
                    self._begin()
                    self.journal.sync()
                    self._membership.join()
            except ConsensusError as error:
                self._error = error
        self.wake()

    def disconnected(self, peer: str) -> None:
        """Take note that nothing reaches a peer."""
        self._connected.discard(peer)
        if self.core is not None:
            self.core.disconnected(peer)
        self.wake()

    def received(self, peer: str, message: Message) -> None:
        """Take a message; one of Raft's waits for its turn, and is dropped where too much waits."""
        core = self.core
        if core is None:
            return
        if not isinstance(message, RaftMessage):
            self._states.receive(core, peer, message)
            return
        size = sum(len(command) for _, command in getattr(message, "entries", ()))
        is_full = len(self._inbox) >= INBOX_MESSAGES_MAX
        if not is_full and self._inbox_bytes + size <= INBOX_BYTES_MAX:
            self._inbox.append((peer, message, size))
            self._inbox_bytes += size
            self._has_news |= self._barriers.oldest is not None or core.is_news(peer, message)

    def arrived(self) -> None:
        """Take a turn at once, where what arrived asks for one and none is about to come."""
        if self._has_news and not self._is_called and self._writing_since_ms is None:
            self._guard(self._take_turn)

    # A turn.

    def _call(self) -> None:
        self._is_called = False
        if self._writing_since_ms is None:
            self._guard(self._take_turn)

    def _guard(self, step: Callable[[], None]) -> None:
        """Do a step of a turn; whatever goes wrong in it, nothing goes on after it."""
        ended = self._ended
        if ended is None or ended.done():
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 - told by ``run``, whatever it is
            ended.set_exception(error)

    def _take_turn(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_stopping and self._ended is not None:
            self._ended.set_result(None)
        elif self.core is not None:
            self._begin_turn(self.core)

    def _begin_turn(self, core: RaftCore) -> None:
        self._read_inbox(core)
        self._note_role(core)  # before anything of another leader is applied
        core.advance()
        self._note_role(core)
        self._settle_barriers(core)
        self._propose(core)
        core.send_entries()
        if self.journal.is_dirty:
            self._writing_since_ms = self._clock()
            self._write()
        else:
            self._end_turn(core)
            if self._has_more(core):
                self.wake()

    def _end_turn(self, core: RaftCore) -> None:
        core.flush()
        if not self._membership.can_vote and core.is_caught_up:
            self._membership.allow_votes()
            core.allow_votes()
        self._states.advance(core)
        self.release()

    def _has_more(self, core: RaftCore) -> bool:
        return self._has_news or self._can_propose(core) or core.has_more

    def _write(self) -> None:
        batch = self.journal.take()
        self._writer.run(
            lambda: self.journal.write(batch),
            lambda error: self._guard(lambda: self._written(batch, error)),
        )

    def _written(self, batch: Batch, error: BaseException | None) -> None:
        if error is not None:
            raise error
        self.journal.done(batch)
        if self.journal.is_dirty:
            self._write()
            return
        self._writing_since_ms = None
        if self.core is not None:
            self._end_turn(self.core)
            if self._is_stopping or len(self._members) == 1 or self._has_more(self.core):
                self._take_turn()

    def _begin(self) -> RaftCore:
        core = self.core = RaftCore(
            self.journal,
            self._replica,
            self._machine.applied_index,
            self._apply,
            peers=self._members,
            transport=self._network if len(self._members) > 1 else None,
            clock=self._clock,
            chooser=self._chooser,
            can_vote=self._membership.can_vote,
            doubts=self._membership.doubts,
        )
        for peer in sorted(self._connected):
            core.connected(peer)
        return core

    def _read_inbox(self, core: RaftCore) -> None:
        for _ in range(min(len(self._inbox), MESSAGES_A_TURN_MAX)):
            peer, message, size = self._inbox.popleft()
            self._inbox_bytes -= size
            if not isinstance(message, PreVote | PreVoteAnswer) and not self._membership.is_known(peer):
                self._membership.meet(peer)
            core.receive(peer, message)
        self._has_news = bool(self._inbox)

    def _note_role(self, core: RaftCore) -> None:
        if self._led_term and not (core.is_leader and core.term == self._led_term):
            self._step_down()
        if not self.is_leading and core.is_current:
            self._led_term = core.term
            self.is_leading = True
            self._on_role(self.is_leading)

    def _step_down(self) -> None:
        self._appends.fail(NotLeaderError(), OutcomeUnknownError())
        self._barriers.fail(NotLeaderError())
        self._end_role()

    def _end_role(self) -> None:
        self._led_term = 0
        if self.is_leading:
            self.is_leading = False
            self._on_role(self.is_leading)

    def _settle_barriers(self, core: RaftCore) -> None:
        while (oldest := self._barriers.oldest) is not None and core.is_confirmed(oldest):
            self._barriers.confirmed()
        if self._barriers.is_new and self.is_leading:
            self._barriers.begun(core.begin_round())
            if len(self._members) == 1:
                self._barriers.confirmed()

    def _propose(self, core: RaftCore) -> None:
        if not self._can_propose(core):
            return
        for data, waiter in self._appends.take(BATCH_BYTES_MAX):
            self._appends.proposed(core.propose(data), core.term, waiter)

    def _can_propose(self, core: RaftCore) -> bool:
        return self.is_leading and self._appends.is_queued and not core.is_handing_over

    def _apply(self, index: int, data: bytes) -> None:
        self._machine.apply(index, data)
        self._appends.applied(index)

    def _ring(self) -> None:
        """Look at the time, now and then; what is due is done by the turn, or here while a write keeps it."""
        self._alarm = asyncio.get_running_loop().call_later(ALARM_S, self._ring)
        since_ms = self._writing_since_ms
        if since_ms is None:
            core = self.core
            if core is None or core.is_due or core.is_beyond_help or self._inbox or self._has_more(core):
                self.wake()
        elif self.core is not None and self._clock() - since_ms < DISK_STALL_MS:
            self.core.send_entries()
        else:
            self._step_down()
        self._states.tidy()
        self.release()
