"""State for a follower whose next entries the leader has trimmed: offered, asked for in pieces, installed.

The follower asks, two pieces at a time, so that heartbeats wait for at most half a megabyte. What is lost
is asked for again. A leader keeps one copy, as long as somebody asks for pieces of it.
"""

import asyncio
import logging
import secrets
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

import msgspec

from payhub_engines.consensus import snapshot_files
from payhub_engines.consensus.errors import SnapshotError
from payhub_engines.consensus.log import StateMachine
from payhub_engines.consensus.messages import (
    CHUNK_BYTES,
    Chunk,
    ChunkQuery,
    Message,
    SnapshotFile,
    SnapshotOffer,
    SnapshotQuery,
)
from payhub_engines.consensus.snapshot_files import Incoming
from payhub_engines.consensus.timers import MonotonicClock

_logger = logging.getLogger(__name__)

CHUNKS_AHEAD: Final = 2
READS_MAX: Final = 16  # pieces being read for all followers together; more are asked for again
QUERY_EVERY_MS: Final = 500
ASK_AGAIN_MS: Final = 1_000
GIVE_UP_MS: Final = 15_000
KEEP_MS: Final = 60_000
SNAPSHOT_BITS: Final = 62

Send = Callable[[str, Message], None]


class SnapshotSource:
    """The leader's side."""

    def __init__(
        self, root: Path, executor: Executor, send: Send, clock: MonotonicClock, machine: StateMachine
    ) -> None:
        self._root = root
        self._executor = executor
        self._send = send
        self._clock = clock
        self._machine = machine
        self._copied: SnapshotOffer | None = None  # what the folder holds; without its files at first
        self._offer: SnapshotOffer | None = None
        self._folder = root
        self._used_at_ms = 0
        self._making: asyncio.Task[None] | None = None
        self._asked: set[str] = set()
        self._reads: set[asyncio.Task[None]] = set()

    @property
    def hold_index(self) -> int | None:
        """The entry that the log must go on to begin with, because somebody is being sent the state."""
        return None if self._copied is None else self._copied.log_index

    def query(self, peer: str, term: int, log_index: int, log_term: int) -> None:
        """Offer a follower the state; make the copy first where there is none, or too old a one.

        Args:
            peer: the follower.
            term: the leader's.
            log_index: the first entry of its log.
            log_term: that entry's term.
        """
        self._asked.add(peer)
        if self._making is not None:
            return
        self._used_at_ms = self._clock()
        if self._offer is not None and self._offer.log_index >= log_index:
            self._make_offers(term)
            return
        self._drop()
        number = secrets.randbits(SNAPSHOT_BITS)
        self._folder = self._root / f"{snapshot_files.OUTGOING}-{number}"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            index = self._machine.checkpoint(self._folder)
        except Exception:
            # Whatever the machine cannot do for a follower, this replica goes on without it.
            _logger.exception("the state cannot be copied for replica %s", peer)
            self._drop()
            return
        self._copied = SnapshotOffer(term, number, index, log_index, log_term, [])
        self._making = asyncio.create_task(self._make(self._copied), name="snapshot-manifest")

    def chunk(self, peer: str, asked: ChunkQuery) -> None:
        """Send a piece, or say that there is none."""
        offer = self._offer
        if offer is None or offer.snapshot != asked.snapshot or asked.file >= len(offer.files):
            self._send(peer, Chunk(asked.snapshot, asked.file, asked.offset, b""))
            return
        self._used_at_ms = self._clock()
        if len(self._reads) < READS_MAX:
            task = asyncio.create_task(self._read(peer, asked, offer.files[asked.file]))
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    def tidy(self) -> None:
        """Remove a copy that nobody asks for any more."""
        if self._offer is not None and self._clock() - self._used_at_ms > KEEP_MS:
            self._drop()

    async def stop(self) -> None:
        """End what is going on and remove the copy."""
        tasks = [*self._reads, *([self._making] if self._making is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drop()

    async def _make(self, offer: SnapshotOffer) -> None:
        loop = asyncio.get_running_loop()
        try:
            files = await loop.run_in_executor(self._executor, snapshot_files.manifest, self._folder)
        except (OSError, SnapshotError):
            _logger.exception("the state cannot be sent")
            self._drop()
            return
        finally:
            self._making = None
        self._used_at_ms = self._clock()
        self._offer = msgspec.structs.replace(offer, files=files)
        self._make_offers(offer.term)

    def _make_offers(self, term: int) -> None:
        if self._offer is not None:
            self._offer = msgspec.structs.replace(self._offer, term=term)
            for peer in sorted(self._asked):
                self._send(peer, self._offer)
        self._asked.clear()

    async def _read(self, peer: str, asked: ChunkQuery, file: SnapshotFile) -> None:
        loop = asyncio.get_running_loop()
        try:
            data = await loop.run_in_executor(
                self._executor, snapshot_files.read_chunk, self._folder, file, asked.offset
            )
        except OSError:
            _logger.exception("a piece of the state cannot be read")
            data = b""
        self._send(peer, Chunk(asked.snapshot, asked.file, asked.offset, data))

    def _drop(self) -> None:
        self._offer = self._copied = None
        if self._folder != self._root:
            shutil.rmtree(self._folder, ignore_errors=True)


class SnapshotTaker:
    """The follower's side: one download at a time, from who leads."""

    def __init__(self, root: Path, executor: Executor, send: Send, clock: MonotonicClock) -> None:
        self._root = root
        self._executor = executor
        self._send = send
        self._clock = clock
        self._asked_at_ms = -QUERY_EVERY_MS
        self._leader = ""
        self._offer: SnapshotOffer | None = None
        self._next = (0, 0)  # file and offset to be asked for
        self._awaited: deque[tuple[int, int]] = deque()
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._heard_at_ms = 0
        self._progress_at_ms = 0
        self._task: asyncio.Task[None] | None = None
        self.ready: tuple[Path, SnapshotOffer] | None = None

    def query(self, leader: str, term: int) -> None:
        """Ask the leader for its state, now and then."""
        now_ms = self._clock()
        is_busy = self._offer is not None or self.ready is not None
        if not is_busy and now_ms - self._asked_at_ms >= QUERY_EVERY_MS:
            self._asked_at_ms = now_ms
            self._send(leader, SnapshotQuery(term))

    def take_offer(self, leader: str, offer: SnapshotOffer, on_ready: Callable[[], None]) -> None:
        """Begin to take over a state, unless one is under way.

        Raises:
            SnapshotError: the offer cannot be.
        """
        if self._offer is not None or self.ready is not None:
            return
        snapshot_files.check_offer(offer)
        self._leader, self._offer = leader, offer
        self._next = (0, 0)
        self._awaited.clear()
        self._arrived = asyncio.Queue()
        self._heard_at_ms = self._progress_at_ms = self._clock()
        _logger.info("taking over the state up to entry %d from replica %s", offer.index, leader)
        self._task = asyncio.create_task(self._write(offer, on_ready), name="snapshot-download")
        self._ask()

    def take_chunk(self, leader: str, chunk: Chunk) -> None:
        """Take the next piece; what is out of order was asked for twice."""
        offer = self._offer
        if offer is None or leader != self._leader or chunk.snapshot != offer.snapshot or not self._awaited:
            return
        if (chunk.file, chunk.offset) != self._awaited[0]:
            return
        size = offer.files[chunk.file].size
        if len(chunk.data) != min(CHUNK_BYTES, size - chunk.offset):
            self.abandon("the leader no longer has it")
            return
        self._awaited.popleft()
        self._heard_at_ms = self._progress_at_ms = self._clock()
        self._arrived.put_nowait(chunk.data)
        self._ask()

    def tidy(self) -> None:
        """Ask again for what was lost; give up where nothing comes."""
        if self._offer is None or not self._awaited:
            return
        now_ms = self._clock()
        if now_ms - self._progress_at_ms > GIVE_UP_MS:
            self.abandon("nothing comes")
        elif now_ms - self._heard_at_ms > ASK_AGAIN_MS:
            self._heard_at_ms = now_ms
            for file, offset in self._awaited:
                self._send(self._leader, ChunkQuery(self._offer.snapshot, file, offset))

    def abandon(self, reason: str) -> None:
        """Forget the download; the next one begins anew."""
        if self._offer is None:
            return
        _logger.warning("the state of replica %s is not taken over: %s", self._leader, reason)
        self._offer = None
        self._awaited.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def stop(self) -> None:
        """End what is going on."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ask(self) -> None:
        if self._offer is None:
            return
        while len(self._awaited) + self._arrived.qsize() < CHUNKS_AHEAD:
            file, offset = self._next
            while file < len(self._offer.files) and self._offer.files[file].size == 0:
                file += 1  # an empty file has no pieces
            if file == len(self._offer.files):
                self._next = (file, 0)
                return
            self._awaited.append((file, offset))
            self._send(self._leader, ChunkQuery(self._offer.snapshot, file, offset))
            offset += CHUNK_BYTES
            self._next = (file, offset) if offset < self._offer.files[file].size else (file + 1, 0)

    async def _write(self, offer: SnapshotOffer, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        incoming: Incoming | None = None
        try:
            folder = await loop.run_in_executor(self._executor, snapshot_files.begin, self._root)
            incoming = Incoming(folder, offer.files)
            for file in offer.files:
                left = file.size
                if not left:
                    await loop.run_in_executor(self._executor, incoming.write, b"")
                while left:
                    data = await self._arrived.get()
                    left -= len(data)
                    await loop.run_in_executor(self._executor, incoming.write, data)
                    self._ask()
            ready = await loop.run_in_executor(self._executor, snapshot_files.finish, self._root)
        except (OSError, SnapshotError) as error:
            self._task = None
            self._asked_at_ms = self._clock() + GIVE_UP_MS - QUERY_EVERY_MS
            self.abandon(str(error))
            return
        finally:
            if incoming is not None:
                # In the thread that may still be writing to it.
                self._executor.submit(incoming.close)
        self._task = None
        self._offer = None
        self.ready = (ready, offer)
        on_ready()
