"""The engine's state in RocksDB, written together with the index of the last log entry that it holds.

Writes are not synced: the journal is durable and replays what a power loss takes from the end of RocksDB's
own log. Point-in-time recovery makes what is left a prefix of the writes, with the index of the last
one. Hence the journal may be trimmed only below what ``sync`` returned.
"""

from collections.abc import Iterator, Mapping
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

from payhub_engines.storage.errors import StateError

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
    """Implements ``Store`` on disk; knows the last log entry that it holds."""

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
        self._is_closed = False

    @property
    def applied_index(self) -> int:
        """The index of the last log entry that the state holds, 0 when empty."""
        return self._applied_index

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""
        self._check_open()
        value: bytes | None = self._db.get(_STATE + key)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, as they are at the call."""
        self._check_open()
        # No iterate_upper_bound: rocksdict 0.3.29 frees the bound while the iterator still reads it, and
        # a scan then ends at random. rocksdict's types know nothing of raw mode, where all is bytes.
        found = cast("Iterator[tuple[bytes, bytes]]", self._db.items(from_key=_STATE + prefix))
        return _within(found, _STATE + prefix)

    def write(self, changes: Mapping[bytes, bytes | None], applied_index: int) -> None:
        """Write changed rows (None deletes) and the index of the last entry that made them, in one batch.

        Raises:
            StateError: ``applied-twice``: the state holds this entry already.
        """
        self._check_open()
        if applied_index <= self._applied_index:
            detail = f"Entry {applied_index} is applied already; the state holds {self._applied_index}."
            raise StateError("applied-twice", detail)
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(_STATE + key)
            else:
                batch.put(_STATE + key, value)
        batch.put(_APPLIED_KEY, applied_index.to_bytes(_INDEX_BYTES, "big"))
        self._db.write(batch)
        self._applied_index = applied_index

    def sync(self) -> int:
        """Make all writes so far durable and return the index up to which they are.

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
        """Close. Closing twice is allowed."""
        if not self._is_closed:
            self._is_closed = True
            self._db.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StateError("state-closed", "The state is closed.")


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
