"""The engine's state in RocksDB: one transaction at a time, written together with its log index.

Commits are not synced: the journal is durable and replays what a power loss takes from the end of RocksDB's
own log. Point-in-time recovery makes what is left a prefix of the commits, with the index of the last
one. Hence the journal may be trimmed only below what ``sync`` returned.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
)

from payhub_engines.core.store import Store
from payhub_engines.storage.errors import StateError
from payhub_engines.storage.overlay import Overlay, merge

BLOCK_CACHE_BYTES: Final = 8 * 1024 * 1024
WRITE_BUFFER_BYTES: Final = 4 * 1024 * 1024
WRITE_BUFFERS_MAX: Final = 2
WAL_BYTES_MAX: Final = 32 * 1024 * 1024
OPEN_FILES_MAX: Final = 64
BACKGROUND_JOBS_MAX: Final = 2
BLOOM_BITS: Final = 10  # per key
INFO_LOG_BYTES_MAX: Final = 1024 * 1024
INFO_LOGS_MAX: Final = 2

# One column family, so that state and index are always in the same memtable and the same file; one byte
# keeps them apart.
_META: Final = b"m"
_STATE: Final = b"s"
_APPLIED_KEY: Final = _META + b"applied-index"
_INDEX_BYTES: Final = 8


class RocksState:
    """An ordered map of bytes on disk that knows the last log entry applied to it."""

    def __init__(self, path: Path) -> None:
        """Open the state, or make an empty one.

        Raises:
            StateError: ``state-unreadable``: it is damaged, or another process uses it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(path), _options())
        except Exception as error:  # rocksdict raises nothing more exact
            detail = (
                f"The state in {path} cannot be opened: {error}. Stop the other process that uses it, "
                "or restore the folder from a checkpoint."
            )
            raise StateError("state-unreadable", detail) from error
        raw = self._db.get(_APPLIED_KEY)
        self._applied_index = int.from_bytes(raw or b"", "big")
        self._open: Transaction | None = None
        self._is_closed = False

    @property
    def applied_index(self) -> int:
        """The index of the last log entry that the state holds, 0 when empty."""
        return self._applied_index

    def begin(self) -> "Transaction":
        """Begin the one transaction that may be open.

        Raises:
            StateError: ``transaction-open``: the one before was neither committed nor discarded.
        """
        self._check_open()
        if self._open is not None:
            raise StateError("transaction-open", "Only one transaction may be open at a time.")
        self._open = Transaction(self)
        return self._open

    def reader(self) -> Store:
        """Return a read-only view that always shows the last commit."""
        return Reader(self)

    def sync(self) -> int:
        """Make all commits so far durable and return the index up to which they are.

        Blocks on the disk without the interpreter's lock: call it in a thread.
        """
        self._check_open()
        applied_index = self._applied_index
        self._db.flush_wal(sync=True)
        return applied_index

    def checkpoint(self, path: Path) -> None:
        """Make a consistent copy of the state in a folder that does not exist (hard links where possible)."""
        self._check_open()
        self._db.flush_wal(sync=True)
        Checkpoint(self._db).create_checkpoint(str(path))

    def close(self) -> None:
        """Close; an open transaction is lost. Closing twice is allowed."""
        if not self._is_closed:
            self._is_closed = True
            self._open = None
            self._db.close()

    # For Transaction and Reader.

    def read(self, key: bytes) -> bytes | None:
        """Return a committed value."""
        self._check_open()
        value: bytes | None = self._db.get(_STATE + key)
        return value

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over committed keys with a prefix, as they are now, whatever is committed meanwhile."""
        self._check_open()
        # No iterate_upper_bound: rocksdict 0.3.29 frees the bound while the iterator still reads it, and
        # a scan then ends at random. rocksdict's types know nothing of raw mode, where all is bytes.
        found = cast("Iterator[tuple[bytes, bytes]]", self._db.items(from_key=_STATE + prefix))
        return _within(found, _STATE + prefix)

    def write(self, transaction: "Transaction", overlay: Overlay, applied_index: int) -> None:
        """Write a transaction's changes and its index in one batch, and end it."""
        self._check_open()
        self._check_current(transaction)
        if applied_index <= self._applied_index:
            detail = f"Entry {applied_index} is applied already; the state holds {self._applied_index}."
            raise StateError("applied-twice", detail)
        batch = WriteBatch(raw_mode=True)
        for key, value in overlay.items():
            if value is None:
                batch.delete(_STATE + key)
            else:
                batch.put(_STATE + key, value)
        batch.put(_APPLIED_KEY, applied_index.to_bytes(_INDEX_BYTES, "big"))
        self._db.write(batch)
        self._applied_index = applied_index
        self._open = None

    def end(self, transaction: "Transaction") -> None:
        """End a transaction without writing."""
        self._check_current(transaction)
        self._open = None

    def _check_current(self, transaction: "Transaction") -> None:
        if self._open is not transaction:
            raise StateError("transaction-ended", "The transaction was committed or discarded before.")

    def _check_open(self) -> None:
        if self._is_closed:
            raise StateError("state-closed", "The state is closed.")


class Transaction:
    """A ``Store`` that reads its own writes; nobody else sees them before ``commit``."""

    def __init__(self, state: RocksState) -> None:
        self._state = state
        self._overlay = Overlay()

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""
        return self._overlay.get(key) if key in self._overlay else self._state.read(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        self._overlay.set(key, value)

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens where there is none."""
        self._overlay.set(key, None)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, as they are at the call."""
        return merge(self._state.iterate(prefix), self._overlay.copy_range(prefix))

    def commit(self, applied_index: int) -> None:
        """Write all changes and the index of the entry that made them, together.

        Raises:
            StateError: ``applied-twice``: the state holds this entry already.
        """
        self._state.write(self, self._overlay, applied_index)

    def discard(self) -> None:
        """Forget all changes."""
        self._state.end(self)


class Reader:
    """A ``Store`` over what is committed; it writes nothing."""

    def __init__(self, state: RocksState) -> None:
        self._state = state

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""
        return self._state.read(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Refuse."""
        raise StateError("read-only", f"A reader cannot set {len(key)} + {len(value)} bytes.")

    def delete(self, key: bytes) -> None:
        """Refuse."""
        raise StateError("read-only", f"A reader cannot delete a key of {len(key)} bytes.")

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, as they are at the call."""
        return self._state.iterate(prefix)


def _within(items: Iterator[tuple[bytes, bytes]], prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in items:
        if not key.startswith(prefix):
            return
        yield key[1:], value


def _options() -> Options:
    """Return settings that keep memory small: about 16 MiB of buffers and cache."""
    options = Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS_MAX)
    options.set_max_total_wal_size(WAL_BYTES_MAX)
    options.set_max_open_files(OPEN_FILES_MAX)
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX)
    options.set_keep_log_file_num(INFO_LOGS_MAX)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_bloom_filter(bits_per_key=BLOOM_BITS, block_based=False)
    options.set_block_based_table_factory(tables)
    return options
