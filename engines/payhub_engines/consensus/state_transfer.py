"""Sending the state to a follower, taking over a leader's: between core, files and state machine."""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from payhub_engines.consensus import snapshot_files
from payhub_engines.consensus.errors import SnapshotError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.log import StateMachine
from payhub_engines.consensus.messages import (
    Chunk,
    ChunkQuery,
    SnapshotMessage,
    SnapshotOffer,
    SnapshotQuery,
)
from payhub_engines.consensus.overlay import STATE, RaftCore
from payhub_engines.consensus.snapshots import SnapshotSource, SnapshotTaker
from payhub_engines.consensus.timers import MonotonicClock
from payhub_engines.consensus.transport import Transport

_logger = logging.getLogger(__name__)


class StateTransfer:
    """Both sides of it for one replica."""

    def __init__(
        self,
        root: Path,
        executor: Executor,
        transport: Transport,
        clock: MonotonicClock,
        machine: StateMachine,
        journal: Journal,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        self._root = root
        self._machine = machine
        self._journal = journal
        self._on_ready = on_ready
        self._pending = snapshot_files.pending(root) if root.parts else None  # what the journal is behind
        self._source = SnapshotSource(root, executor, transport.send, clock, machine)
        self._taker = SnapshotTaker(root, executor, transport.send, clock)

    @property
    def hold_index(self) -> int | None:
        """The entry that the log must go on to begin with, because somebody is being sent the state."""
        return self._source.hold_index

    def receive(self, core: RaftCore, peer: str, message: SnapshotMessage) -> None:
        """Take a message, at any time: nothing of it touches core or journal."""
        match message:
            case SnapshotQuery(term):
                if core.is_leader and term == core.term:
                    first = self._journal.first_index
                    self._source.query(peer, term, first, self._journal.term_at(first))
            case ChunkQuery():
                self._source.chunk(peer, message)
            case SnapshotOffer():
                self._take_offer(core, peer, message)
            case Chunk():
                self._taker.take_chunk(peer, message)

    def advance(self, core: RaftCore) -> None:
        """At the end of a turn, with nothing being written: ask for a state, or install one that arrived.

        Raises:
            SnapshotError: the machine does not hold what it was given.
        """
        if core.is_beyond_help and core.leader is not None:
            self._taker.query(core.leader, core.term)
        if self._taker.ready is not None:
            folder, offer = self._taker.ready
            self._taker.ready = None
            self._install(core, folder, offer)
        if self._pending is not None and self._journal.durable_index >= self._pending.index:
            self._pending = None
            snapshot_files.clear(self._root)

    def tidy(self) -> None:
        """Ask again for what was lost; remove what nobody needs."""
        self._source.tidy()
        self._taker.tidy()

    async def stop(self) -> None:
        """End what is going on."""
        await self._source.stop()
        await self._taker.stop()

    def _take_offer(self, core: RaftCore, leader: str, offer: SnapshotOffer) -> None:
        if leader != core.leader or offer.term != core.term or not core.is_beyond_help:
            return
        if not offer.log_index <= offer.index >= core.applied_index:
            return
        try:
            self._taker.take_offer(leader, offer, self._on_ready)
        except SnapshotError as error:
            _logger.warning("the state that replica %s offers is refused: %s", leader, error)

    def _install(self, core: RaftCore, folder: Path, offer: SnapshotOffer) -> None:
        """Replace the state, then the journal; a stop in between is mended at the next start.

        The journal begins where the leader's does, and the leader sends what follows: whoever may come to
        lead has what the audit still lacks. Until the journal has reached the end of the state, a note
        tells that it is behind. Such a replica has acknowledged nothing of that and cannot be elected.
        """
        note = snapshot_files.Pending(offer.index, offer.log_index, offer.log_term)
        if offer.index < core.applied_index or not _is_needed(self._journal, note):
            shutil.rmtree(folder, ignore_errors=True)  # meanwhile another leader has sent the entries
            return
        snapshot_files.mark(self._root, note)
        self._pending = note
        self._machine.install(folder)
        if self._machine.applied_index != offer.index:
            detail = f"The state holds entry {self._machine.applied_index}, not {offer.index}."
            raise SnapshotError(detail)
        self._journal.restart(offer.log_index, offer.log_term, STATE)
        core.installed(offer.index, offer.log_index)
        _logger.info("the state up to entry %d is taken over; the log follows", offer.index)


def _is_needed(journal: Journal, note: snapshot_files.Pending) -> bool:
    """Tell whether a journal lacks the entry with which the sender's begins, and so cannot follow it."""
    if note.log_index < journal.first_index and len(journal):
        return False
    return note.log_index > journal.last_index or journal.term_at(note.log_index) != note.log_term


def finish_install(root: Path, machine: StateMachine, journal: Journal) -> snapshot_files.Pending | None:
    """Finish what a stop cut off, at the start: state and journal have to go together.

    Returns:
        the note, where the journal is still behind the state that was taken over.

    Raises:
        SnapshotError: what was being done cannot be read.
    """
    pending = snapshot_files.pending(root)
    if pending is not None:
        if machine.applied_index < pending.index:
            machine.install(root / snapshot_files.READY)
        if _is_needed(journal, pending):
            journal.restart(pending.log_index, pending.log_term, STATE)
        if journal.last_index < pending.index:
            return pending
    snapshot_files.clear(root)
    return None
