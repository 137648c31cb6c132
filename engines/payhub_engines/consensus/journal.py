"""The journal: an append-only log on segment files, with Raft's term, vote and commit index.

Adds are buffered; a sync writes them as one frame and makes it durable. ``take`` and ``done`` belong to
the event loop's thread, ``write`` may run in another, so that a slow disk does not block the loop.

A write that fails leaves the disk in an unknown state (the kernel may drop dirty pages after a failed
fsync), so that no later write is tried: the replica stops and reads the files again when it starts.
"""

# pysyncobj's names are in camel case:
# ruff: noqa: N802, N803

from typing import Final

import msgspec
from pysyncobj.journal import Journal as PySyncObjJournal

from payhub_engines.consensus import records
from payhub_engines.consensus.disk import AppendFile, Disk
from payhub_engines.consensus.entry_cache import EntryCache
from payhub_engines.consensus.errors import JournalDamagedError, JournalOrderError, JournalWriteError
from payhub_engines.consensus.framing import Batch, RecordBuffer
from payhub_engines.consensus.places import UNWRITTEN, Place, Places
from payhub_engines.consensus.records import Kind, Record, SegmentState
from payhub_engines.consensus.recovery import OnDoubt, recover, refuse, segment_name

SEGMENT_BYTES: Final = 32 * 1024 * 1024
CACHE_BYTES_MAX: Final = 8 * 1024 * 1024

Entry = tuple[bytes, int, int]
"""As pysyncobj wants it: command, index, term."""


class Journal(PySyncObjJournal):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """Entries by index from ``first_index`` to ``last_index``; as a sequence for pysyncobj, from 0."""

    def __init__(
        self,
        disk: Disk,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        cache_bytes: int = CACHE_BYTES_MAX,
        on_doubt: OnDoubt = refuse,
    ) -> None:
        """Read the journal on a disk; an empty disk is an empty journal.

        Args:
            disk: a folder of its own.
            segment_bytes: a file that has so many gets no more frames.
            cache_bytes: of the newest entries, kept in memory.
            on_doubt: asked before the last frame is cut off although it may have been acknowledged.

        Raises:
            JournalDamagedError: something that was durable is damaged or missing.
            JournalVersionError: a newer release wrote it.
            JournalDoubtfulError: the last frame may have been acknowledged and cannot be read.
        """
        found = recover(disk, on_doubt)
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._places: Places = found.places
        self._cache = EntryCache(cache_bytes)
        self._term = found.term
        self._vote = found.vote
        self._commit_index = self._commit_written = found.commit_index
        self._buffer = RecordBuffer()
        self._next_sequence = found.next_sequence
        self._segments = found.segments
        self._active: AppendFile | None = None
        self._active_size = found.active_size
        if self._segments:
            self._active = self._reopen(segment_name(self._segments[-1]), found.last_frame)
        self._last_written = self._places.last
        self._durable_index = self._places.last
        self._is_reset = False
        self._is_writing = False
        self._is_broken = False
        self._first_kind = (-1, b"")  # term and first byte of entry 1, when it was last read
        self.sync_count = 0

    # What payhub uses.

    @property
    def first_index(self) -> int:
        """The lowest index that was not trimmed."""
        return self._places.first

    @property
    def last_index(self) -> int:
        """The highest index, durable or not; ``first_index - 1`` when empty."""
        return self._places.last

    @property
    def last_term(self) -> int:
        """The last entry's term, 0 when empty."""
        return self._places.term(self._places.last) if len(self._places) else 0

    @property
    def durable_index(self) -> int:
        """The highest index that survives a power loss."""
        return self._durable_index

    @property
    def is_dirty(self) -> bool:
        """Whether a sync would write something. A moved commit index alone can wait for company."""
        return bool(self._buffer)

    def term_at(self, index: int) -> int:
        """Return an entry's term."""
        return self._places.term(index)

    def command(self, index: int) -> bytes:
        """Return an entry's command, from memory or from its segment.

        Raises:
            IndexError: there is no such entry.
            JournalDamagedError: the file no longer holds what was written.
        """
        place = self._places.place(index)
        held = self._cache.get(index)
        if held is not None:
            return held
        name = segment_name(place.segment)
        record = records.decode_record(self._disk.read(name, place.offset, place.length))
        if record is None or (record.kind, record.index) != (Kind.ENTRY, index):
            raise JournalDamagedError(name, place.offset, f"Entry {index} can no longer be read.")
        return record.data

    def begins_with_mark(self, kind: bytes) -> bool:
        """Tell whether the first entry stands for what was trimmed: any after a trim, or one of a kind."""
        if self.first_index > 1 or not len(self):
            return self.first_index > 1
        term = self._places.term(1)
        if self._first_kind[0] != term:  # index and term name an entry for ever, so that it is read once
            self._first_kind = (term, self.command(1)[:1])
        return self._first_kind[1] == kind

    def read(self, from_index: int, count: int | None, bytes_max: int | None) -> list[Entry]:
        """Return entries from an index on: at most ``count``, and no more once they reach ``bytes_max``."""
        if from_index < self.first_index:
            return []
        last = self.last_index if count is None else min(self.last_index, from_index + count - 1)
        found: list[Entry] = []
        size = 0
        for index in range(from_index, last + 1):
            command = self.command(index)
            found.append((command, index, self._places.term(index)))
            size += len(command)
            if bytes_max is not None and size >= bytes_max:
                break
        return found

    def trim(self, below_index: int) -> None:
        """Forget entries below an index that is durable; their segments go with the next sync."""
        if below_index <= self.first_index:
            return
        if below_index > self._durable_index:
            raise JournalOrderError(f"Trim below {below_index}, but durable is {self._durable_index}.")
        self._places.drop_below(below_index)
        self._cache.drop_below(below_index)
        self._push(Record(Kind.TRIM, below_index, 0, b""))

    def restart(self, index: int, term: int, command: bytes) -> None:
        """Begin at an entry that the state holds, durably (Raft, figure 13).

        What follows it is kept where this log has that entry, else it is not of the same history and goes.

        Args:
            index: the last entry that the state holds.
            term: its term.
            command: stands in for it where this log does not hold it.
        """
        self.sync()
        if self.first_index <= index <= self.last_index and self.term_at(index) == term:
            self.trim(index)
        else:
            self.clear()
            self.add(command, index, term)
        self._commit_index = max(self._commit_index, index)
        self.sync()

    def sync(self) -> None:
        """Write and make durable all that waits, in this thread."""
        while self._buffer:
            self._write_next()

    def close(self) -> None:
        """Write all that waits, and the commit index, and close the files."""
        if self._active is None:
            return
        self.sync()
        if self._commit_index != self._commit_written:
            self._write_next()
        self.abandon()

    def abandon(self) -> None:
        """Close the files and write nothing."""
        self._is_broken = True
        if self._active is not None:
            self._active.close()
            self._active = None

    # A sync in three steps.

    def take(self) -> Batch:
        """Take what waits, at most one frame of it."""
        self._check_usable()
        is_new = not self._segments or self._active_size >= self._segment_bytes
        segment = (self._segments[-1] if self._segments else 0) + 1 if is_new else self._segments[-1]
        begin = 0 if is_new else self._active_size
        commit_index = min(self._commit_index, self._durable_index)
        frame = self._buffer.take(
            self._next_sequence,
            segment_record=self._segment_record() if is_new else b"",
            commit_index=None if commit_index == self._commit_written else commit_index,
            last_index=self._last_written,
        )
        keep = self._places.place(self.first_index).segment if len(self._places) else UNWRITTEN
        # What trims must be durable with this frame at the latest, hence only when nothing is left over.
        removable = [] if self._buffer else [number for number in self._segments if number < keep]
        self._is_writing = True
        return Batch(frame, is_new, segment, begin, commit_index, removable)

    def write(self, batch: Batch) -> None:
        """Make a batch durable. Touches files only, so that any thread may run it.

        Raises:
            JournalWriteError: the disk refused; the journal takes nothing more.
        """
        try:
            self._write_files(batch)
        except OSError as error:
            self._is_broken = True
            raise JournalWriteError(error.strerror or type(error).__name__) from error

    def done(self, batch: Batch) -> None:
        """Take note that a batch is durable."""
        self._is_writing = False
        self.sync_count += 1
        self._next_sequence += 1
        self._active_size = batch.begin + batch.frame.length
        if batch.is_new_segment:
            self._segments.append(batch.segment)
        self._segments = [number for number in self._segments if number not in batch.removable]
        for index, term, offset, length in batch.frame.entries:
            # An entry that was trimmed or replaced since it was taken has no place to note.
            if self.first_index <= index <= self.last_index and self._places.term(index) == term:
                self._places.settle(index, Place(batch.segment, batch.begin + offset, length))
        self._last_written = batch.frame.last_index
        self._durable_index = self._settled_index(self._last_written)
        self._commit_written = batch.commit_index
        self._cache.evict(self._durable_index)

    def _reopen(self, name: str, last_frame: int) -> AppendFile:
        """Open the last segment, and make durable what was read from it.

        A process that was killed between a write and its sync, or whose sync failed, leaves bytes that are
        read back, but that a loss of power would still take. Only the last frame can be such.
        """
        try:
            self._disk.rewrite(name, last_frame)
            self._disk.sync_directory()
            return self._disk.open(name)
        except OSError as error:
            raise JournalWriteError(error.strerror or type(error).__name__) from error

    def _settled_index(self, last_written: int) -> int:
        """Return the highest index that is on disk and still current: a replaced entry does not count."""
        index = min(last_written, self.last_index)
        while index >= self.first_index and self._places.place(index).segment == UNWRITTEN:
            index -= 1
        return index

    def _write_next(self) -> None:
        batch = self.take()
        self.write(batch)
        self.done(batch)

    def _write_files(self, batch: Batch) -> None:
        if batch.is_new_segment:
            if self._active is not None:
                self._active.close()
            self._active = self._disk.create(segment_name(batch.segment))
        if self._active is None:
            raise JournalOrderError("The journal is closed.")
        self._active.append(batch.frame.parts)
        self._active.sync()
        if batch.is_new_segment:
            self._disk.sync_directory()
        for segment in batch.removable:
            # One by one, oldest first: after a power loss the rest is still without a hole.
            self._disk.remove(segment_name(segment))
            self._disk.sync_directory()

    def _segment_record(self) -> bytes:
        commit_index = min(self._commit_index, self._durable_index)
        state = SegmentState(self._term, self._vote, commit_index, self.first_index, self._last_written)
        return records.encode_record(Record(Kind.SEGMENT, 0, 0, msgspec.msgpack.encode(state)))

    def _push(self, record: Record) -> None:
        self._check_usable()
        self._buffer.push(record)

    def _check_usable(self) -> None:
        if self._is_broken:
            raise JournalWriteError("an earlier write failed, or the journal is closed")

    def _check_idle(self) -> None:
        self._check_usable()
        if self._is_writing:
            raise JournalOrderError("The log changed while it was being written.")

    # What pysyncobj calls, by its names.

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry; durable after the next sync."""
        self._check_idle()
        if self._is_reset:
            self._places = Places(idx)
            self._is_reset = False
        if idx != self.last_index + 1:
            raise JournalOrderError(f"Entry {idx} cannot follow entry {self.last_index}.")
        if len(command) > records.RECORD_DATA_BYTES_MAX:
            raise JournalOrderError(f"A command of {len(command)} bytes is too large.")
        self._push(Record(Kind.ENTRY, idx, term, command))
        self._places.append(term, Place(UNWRITTEN, 0, 0))
        self._cache.put(idx, command)

    def clear(self) -> None:
        """Forget all entries."""
        self._check_idle()
        self._push(Record(Kind.RESET, 0, 0, b""))
        self._places = Places()
        self._cache.drop_from(0)
        self._durable_index = 0
        self._is_reset = True

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Forget the entries from a position on: another leader's take their place."""
        self._check_idle()
        index = self.first_index + entryFrom
        if index <= self._commit_index:
            raise JournalOrderError(f"Entry {index} is committed and cannot be replaced.")
        self._push(Record(Kind.TRUNCATE, index, 0, b""))
        self._places.drop_from(index)
        self._cache.drop_from(index)
        self._durable_index = min(self._durable_index, index - 1)

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Forget the entries before a position."""
        self.trim(self.first_index + entryTo)

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        positions = range(len(self._places))[item]
        if isinstance(positions, range):
            return [self._entry(self.first_index + position) for position in positions]
        return self._entry(self.first_index + positions)

    def __len__(self) -> int:
        return len(self._places)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Note the commit index; it is written with the next sync."""
        self._commit_index = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        """Return the commit index as known, at least 1 as pysyncobj wants it."""
        return max(1, min(self._commit_index, self.last_index))

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Note term and vote; durable after the next sync, which messages that tell of them wait for."""
        self._check_idle()
        self._term, self._vote = term, votedForNodeId or ""
        self._push(Record(Kind.HARD_STATE, 0, term, self._vote.encode()))

    def getCurrentTerm(self) -> int:
        """Return the current term."""
        return self._term

    def getVotedForNodeId(self) -> str | None:
        """Return whom this replica voted for in the current term."""
        return self._vote or None

    def _destroy(self) -> None:
        self.close()

    def _entry(self, index: int) -> Entry:
        return self.command(index), index, self._places.term(index)
