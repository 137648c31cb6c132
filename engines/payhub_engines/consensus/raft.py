"""The replicated log over pysyncobj: turns of an event loop, one sync for many entries, in a thread."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from payhub_engines.consensus.disk import Disk
from payhub_engines.consensus.errors import (
    EntriesTrimmedError,
    EntryTooLargeError,
    GroupSettingsError,
    JournalDoubtfulError,
    LogStoppedError,
    NotLeaderError,
    ReplicaIdentityError,
    StateMismatchError,
)
from payhub_engines.consensus.identity import Membership, claim
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.log import ENTRY_BYTES_MAX, OnRole, StateMachine
from payhub_engines.consensus.overlay import REGULAR, STATE, RaftCore
from payhub_engines.consensus.recovery import OnDoubt, refuse, segments_on
from payhub_engines.consensus.state_transfer import finish_install
from payhub_engines.consensus.threads import ThreadWorker, Worker
from payhub_engines.consensus.timers import ELECTION_MIN_MS, MonotonicClock, monotonic_clock
from payhub_engines.consensus.transport import Network, NoTransport
from payhub_engines.consensus.turns import Turns
from payhub_engines.consensus.waiting import Appends, Barriers

_logger = logging.getLogger(__name__)

QUEUE_ENTRIES_MAX: Final = 1024
QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
HAND_OVER_MS_MAX: Final = 3_000
STOP_MS_MAX: Final = 1_000

MakeWorker = Callable[[str], Worker]
MakeExecutor = Callable[[str], Executor]


class RaftLog:
    """Implements ``ReplicatedLog`` for groups of 1, 3 or 5 replicas."""

    def __init__(
        self,
        disk: Disk,
        *,
        cluster: str,
        replica: str,
        members: Iterable[str] = (),
        network: Network | None = None,
        snapshots: Path | None = None,
        clock: MonotonicClock = monotonic_clock,
        chooser: random.Random | None = None,
        make_worker: MakeWorker = ThreadWorker,
        make_executor: MakeExecutor | None = None,
        queue_entries_max: int = QUEUE_ENTRIES_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        """Prepare; ``start`` does the work.

        Args:
            disk: this replica's own folder, such as ``FileDisk(data_dir / "journal")``.
            cluster: the group's id (the engine's).
            replica: this replica's id within the group, for ever.
            members: ids of all replicas of the group; none means this one alone.
            network: reaches the others.
            snapshots: a folder for states on their way, on the same file system as the machine's state.
            clock: monotonic milliseconds.
            chooser: chooses how long to wait before an election.
            make_worker: makes the thread that writes the journal, by a name.
            make_executor: makes the thread that reads and writes snapshots, by a name.
            queue_entries_max: appends that may wait.
            queue_bytes_max: bytes of appends that may wait.

        Raises:
            GroupSettingsError: the group is none.
        """
        self._members = sorted({*members, replica})
        if len(self._members) > 1 and (network is None or snapshots is None):
            raise GroupSettingsError("A group of several needs a network and a folder for snapshots.")
        self._disk = disk
        self._cluster = cluster
        self._replica = replica
        self._network: Network = NoTransport() if network is None else network
        self._snapshots = snapshots
        self._clock = clock
        self._chooser = chooser
        self._make_worker = make_worker
        self._make_executor = _thread if make_executor is None else make_executor
        self._appends = Appends(queue_entries_max, queue_bytes_max)
        self._barriers = Barriers()
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_started = self._is_stopping = self._is_handing_over = False
        self._turns: Turns | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads, its state is current, and it takes entries."""
        return not self._is_closed and self._turns is not None and self._turns.is_leading

    @property
    def leader(self) -> str | None:
        """Id of the replica that leads, as far as this one knows."""
        core = None if self._turns is None or self._is_closed else self._turns.core
        return None if core is None else core.leader

    @property
    def term(self) -> int:
        """The current Raft term."""
        return self._started_core().term

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        return self._started_core().commit_index

    @property
    def first_index(self) -> int:
        """The lowest index that was not trimmed."""
        return _first_index(self._started().journal)

    async def start(self, machine: StateMachine, on_role: OnRole) -> None:
        """Replay committed entries, then take part in the group; a group of one leads before this returns.

        Raises:
            ConsensusError: the replica must not start; the message says what to do.
        """
        if self._is_started or self._stopped.is_set():
            raise LogStoppedError("The log was started before.")
        self._is_started = True
        journal: Journal | None = None
        try:
            has_journal = bool(segments_on(self._disk))
            membership = claim(
                self._disk, self._cluster, self._replica, self._members, has_journal=has_journal
            )
            journal = Journal(self._disk, on_doubt=self._doubt(membership))
            pending = None
            if self._snapshots is not None:
                pending = finish_install(self._snapshots, machine, journal)
            _check_journal(membership, journal)
            _check_state(machine.applied_index, journal, 0 if pending is None else pending.index)
            self._turns = self._make_turns(machine, on_role, journal, membership)
            await self._begin(self._turns)
        except BaseException:
            if journal is not None:
                journal.abandon()
            await self._network.stop()
            if self._turns is not None:
                await self._turns.close()
            self._disk.close()
            self._stopped.set()
            raise
        self._task = asyncio.create_task(self._turns.run(), name="replicated-log")
        self._task.add_done_callback(self._finish)

    async def append(self, data: bytes) -> int:
        """Append an entry; return its index once it is durable, committed and applied here.

        When the caller is cancelled, the entry may or may not take effect.

        Raises:
            NotLeaderError: another replica leads, or none; nothing was done.
            OutcomeUnknownError: leadership was lost meanwhile.
            LogFullError: too much waits already.
            LogStoppedError: the log is stopping or has failed.
            EntryTooLargeError: ``data`` is longer than ``ENTRY_BYTES_MAX``.
        """
        turns = self._leading()
        if len(data) > ENTRY_BYTES_MAX:
            raise EntryTooLargeError(len(data), ENTRY_BYTES_MAX)
        waiter = self._appends.put(data)
        turns.wake()
        return await waiter

    async def barrier(self) -> None:
        """Wait until the state held here is known to be current.

        Raises:
            NotLeaderError: this replica does not lead, or lost its leadership meanwhile.
            LogStoppedError: the log is stopping or has failed.
        """
        turns = self._leading()
        waiter = self._barriers.put()
        turns.wake()
        await waiter

    async def hand_over(self) -> str | None:
        """Take no more entries, finish those that wait, and let an up-to-date follower lead.

        Returns:
            who leads now; None where nobody took over within a bounded time and this replica goes on.

        Raises:
            NotLeaderError: this replica does not lead.
        """
        turns = self._leading()
        if len(self._members) == 1:
            return None
        self._is_handing_over = True
        until_ms = self._clock() + HAND_OVER_MS_MAX
        asked_until_ms = 0
        core = self._started_core()
        try:
            while self._clock() < until_ms and not self._is_closed:
                if not core.is_leader and core.leader is not None:
                    return core.leader
                is_due = self._appends.is_empty and self._clock() >= asked_until_ms
                if core.is_leader and is_due and turns.hand_over() is not None:
                    asked_until_ms = self._clock() + ELECTION_MIN_MS
                await turns.next_turn()
        finally:
            self._is_handing_over = False
        return None

    def entries(self, from_index: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return applied entries from an index on, in order.

        Raises:
            EntriesTrimmedError: entries from there on were forgotten.
        """
        journal = self._started().journal
        applied_index = min(self._started_core().applied_index, journal.last_index)
        index = max(from_index, 1)
        if index < _first_index(journal):
            raise EntriesTrimmedError(index, _first_index(journal))
        found: list[tuple[int, bytes]] = []
        size = 0
        while index <= applied_index:
            command = journal.command(index)
            if command[:1] == REGULAR:
                size += len(command) - 1
                if found and size > bytes_max:
                    break
                found.append((index, command[1:]))
            index += 1
        return found

    def trim(self, below_index: int) -> None:
        """Forget the entries below an index that the state holds durably.

        The trim is on disk with the next sync, which follows at once. A crash before that keeps the
        entries, which is safe.
        """
        if self._is_closed:
            raise LogStoppedError
        self._started_core()
        self._started().trim(below_index)

    async def stop(self) -> None:
        """Finish what waits, for a bounded time, close the files and stop. Stopping twice is allowed."""
        self._is_stopping = True
        if self._task is None:
            if not self._is_started and not self._stopped.is_set():
                self._disk.close()
                self._stopped.set()
            return
        turns = self._started()
        until_ms = self._clock() + STOP_MS_MAX
        turns.wake()  # once: who waits for others' acknowledgements must not keep the processor busy
        while not self._stopped.is_set() and not self._appends.is_empty and self._clock() < until_ms:
            await turns.next_turn()
        turns.stop()
        await self._stopped.wait()

    async def wait_stopped(self) -> None:
        """Wait until the log has stopped.

        A process that serves a log waits for this and ends when it raises: the replica can only be
        mended by a restart.

        Raises:
            ConsensusError: the log stopped because of a failure.
        """
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def _is_closed(self) -> bool:
        return self._is_stopping or self._stopped.is_set()

    def _leading(self) -> Turns:
        if self._is_closed:
            raise LogStoppedError
        if self._turns is None or not self._turns.is_leading:
            raise NotLeaderError
        if self._is_handing_over:
            raise NotLeaderError("This replica is handing over; another is about to lead.")
        return self._turns

    def _doubt(self, membership: Membership) -> OnDoubt:
        """Return what to do about a last frame that cannot be read and may have been acknowledged."""
        if len(self._members) == 1:
            return refuse

        def record(doubt: JournalDoubtfulError) -> None:
            _logger.warning("replica %s cuts its journal and asks the others: %s", self._replica, doubt)
            membership.doubt()

        return record

    def _make_turns(
        self, machine: StateMachine, on_role: OnRole, journal: Journal, membership: Membership
    ) -> Turns:
        return Turns(
            replica=self._replica,
            members=self._members,
            journal=journal,
            membership=membership,
            machine=machine,
            on_role=on_role,
            network=self._network,
            snapshots=self._snapshots,
            appends=self._appends,
            barriers=self._barriers,
            clock=self._clock,
            chooser=self._chooser,
            writer=self._make_worker("journal"),
            file_thread=self._make_executor("snapshots"),
        )

    async def _begin(self, turns: Turns) -> None:
        if len(self._members) == 1:
            turns.lead_alone()
        else:
            turns.take_part()
            await self._network.start(turns)

    def _finish(self, task: asyncio.Task[None]) -> None:
        failure = LogStoppedError("The log's task was cancelled.") if task.cancelled() else task.exception()
        if failure is not None:
            _logger.critical("replica %s of %s stops: %s", self._replica, self._cluster, failure)
        self._failure = failure
        self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        """Close all, however the turns ended; a failure is loud and final."""
        turns = self._started()
        try:
            await self._network.stop()
            await turns.close()  # waits for the threads: no file may be closed under a write
            turns.journal.abandon()
            self._disk.close()
        finally:
            stopped = LogStoppedError("The replica has stopped; the outcome is unknown.")
            self._appends.fail(stopped, stopped)
            self._barriers.fail(stopped)
            self._stopped.set()
            turns.release()

    def _started(self) -> Turns:
        if self._turns is None:
            raise NotLeaderError("The log has not started yet.")
        return self._turns

    def _started_core(self) -> RaftCore:
        core = self._started().core
        if core is None:
            raise NotLeaderError("The replica has not joined its group yet.")
        return core


def _check_journal(membership: Membership, journal: Journal) -> None:
    if membership.is_member and not len(journal):
        detail = "The journal has lost all its entries; bring it back, or replace the replica."
        raise ReplicaIdentityError("journal-missing", detail)


def _check_state(applied_index: int, journal: Journal, taken_over_index: int) -> None:
    if applied_index > max(journal.last_index, taken_over_index):
        detail = (
            f"The state holds entry {applied_index}, the journal ends at {journal.last_index}: "
            "the journal lost entries or belongs to another state. Restore both from one backup."
        )
        raise StateMismatchError("journal-behind-state", detail)
    lowest = _first_index(journal)
    if applied_index < lowest - 1:
        detail = (
            f"The state holds entry {applied_index}, the journal begins at {lowest}: "
            "entries between them are gone. Restore the state from a checkpoint."
        )
        raise StateMismatchError("state-behind-journal", detail)


def _first_index(journal: Journal) -> int:
    """Return the lowest index to be read; the entry below it, once the log was trimmed, is only a mark."""
    return journal.first_index + journal.begins_with_mark(STATE)


def _thread(name: str) -> Executor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
