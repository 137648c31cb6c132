"""Sending the state to a follower, taking over a leader's: between core, files and state machine."""

import logging
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
        self._source = SnapshotSource(root, executor, transport.send, clock, machine)
        self._taker = SnapshotTaker(root, executor, transport.send, clock)

    @property
    def hold_index(self) -> int | None:
        """The index that the log must not be trimmed above, because somebody is being sent the state."""
        return self._source.hold_index

    def receive(self, core: RaftCore, peer: str, message: SnapshotMessage) -> None:
        """Take a message, at any time: nothing of it touches core or journal."""
        match message:
            case SnapshotQuery(term):
                if core.is_leader and term == core.term:
                    self._source.query(peer, term, self._term_at)
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

    def tidy(self) -> None:
        """Ask again for what was lost; remove what nobody needs."""
        self._source.tidy()
        self._taker.tidy()

    async def stop(self) -> None:
        """End what is going on."""
        await self._source.stop()
        await self._taker.stop()

    def _term_at(self, index: int) -> int | None:
        try:
            return self._journal.term_at(index)
        except IndexError:
            return None

    def _take_offer(self, core: RaftCore, leader: str, offer: SnapshotOffer) -> None:
        if leader != core.leader or offer.term != core.term or offer.index <= core.applied_index:
            return
        try:
            self._taker.take_offer(leader, offer, self._on_ready)
        except SnapshotError as error:
            _logger.warning("the state that replica %s offers is refused: %s", leader, error)

    def _install(self, core: RaftCore, folder: Path, offer: SnapshotOffer) -> None:
        """Replace the state, then the journal; a stop in between is mended at the next start."""
        if offer.index > core.applied_index:
            snapshot_files.mark(self._root, snapshot_files.Pending(offer.index, offer.entry_term))
            self._machine.install(folder)
            if self._machine.applied_index != offer.index:
                detail = f"The state holds entry {self._machine.applied_index}, not {offer.index}."
                raise SnapshotError(detail)
            self._journal.restart(offer.index, offer.entry_term, STATE)
            core.installed(offer.index)
            _logger.info("the state up to entry %d is taken over", offer.index)
        snapshot_files.clear(self._root)


def finish_install(root: Path, machine: StateMachine, journal: Journal) -> None:
    """Finish what a stop cut off, at the start: state and journal have to go together.

    Raises:
        SnapshotError: what was being done cannot be read.
    """
    pending = snapshot_files.pending(root)
    if pending is not None:
        if machine.applied_index < pending.index:
            machine.install(root / snapshot_files.READY)
        if pending.index >= journal.first_index:
            journal.restart(pending.index, pending.term, STATE)
    snapshot_files.clear(root)
