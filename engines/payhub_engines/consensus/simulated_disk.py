"""A disk in memory that loses power: unsynced tails vanish, tear or turn to zeros, names come and go.

Like Linux it takes pages for clean after a sync that failed: they are read back, and gone with the power.
"""

import errno
import random
from dataclasses import dataclass, field

from payhub_engines.consensus.disk import AppendFile

BLOCK_BYTES = 64
"""Blocks are small here, so that a frame has several."""


class PowerLossError(Exception):
    """The simulated machine lost power in the middle of an operation."""


@dataclass
class _File:
    data: bytearray = field(default_factory=bytearray)
    synced_length: int = 0
    only_in_memory: tuple[int, int] | None = None  # from, to: what a sync failed to write


class _SimulatedAppend:
    def __init__(self, disk: "SimulatedDisk", file: _File) -> None:
        self._disk = disk
        self._file = file

    def append(self, parts: list[bytes]) -> None:
        self._file.data += b"".join(parts)
        self._disk.step()

    def sync(self) -> None:
        self._disk.step()
        if self._disk.fail_next_sync:
            self._disk.fail_next_sync = False
            self._file.only_in_memory = (self._file.synced_length, len(self._file.data))
            raise OSError(errno.EIO, "Input/output error")
        self._file.synced_length = len(self._file.data)

    def close(self) -> None:
        return


class SimulatedDisk:
    """Implements ``Disk`` with the faults of real ones, decided by the test.

    Attributes:
        steps: changing operations done so far.
        power_loss_after: raise ``PowerLossError`` at the first operation beyond this count.
        full: refuse appends and new files with ENOSPC.
        fail_next_sync: let the next sync fail with EIO.
        is_reordering: blocks of one write reach the disk in any order, and the file's length before them.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self.steps = 0
        self.power_loss_after: int | None = None
        self.full = False
        self.fail_next_sync = False
        self.is_reordering = False

    def step(self) -> None:
        """Count one changing operation, and fail it when its time has come."""
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.power_loss_after is not None and self.steps >= self.power_loss_after:
            raise PowerLossError
        self.steps += 1

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(self._files)

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return len(self._files[name].data)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes; fewer only at the end of the file."""
        return bytes(self._files[name].data[offset : offset + length])

    def create(self, name: str) -> AppendFile:
        """Make a file that does not exist and open it."""
        if name in self._files:
            raise FileExistsError(name)
        self.step()
        self._files[name] = _File()
        return self.open(name)

    def open(self, name: str) -> AppendFile:
        """Open an existing file at its end."""
        return _SimulatedAppend(self, self._files[name])

    def truncate(self, name: str, length: int) -> None:
        """Cut a file, durably."""
        self.step()
        file = self._files[name]
        del file.data[length:]
        file.synced_length = len(file.data)
        if file.only_in_memory is not None and file.only_in_memory[0] >= length:
            file.only_in_memory = None

    def rewrite(self, name: str, offset: int) -> None:
        """Write again, durably, what a file is read to hold from an offset on."""
        self.step()
        file = self._files[name]
        file.synced_length = len(file.data)
        if file.only_in_memory is not None and file.only_in_memory[0] >= offset:
            file.only_in_memory = None

    def replace(self, name: str, data: bytes) -> None:
        """Write a whole small file, atomically and durably."""
        self.step()
        self._files[name] = self._durable_names[name] = _File(bytearray(data), len(data))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.step()
        del self._files[name]

    def sync_directory(self) -> None:
        """Make new and removed names durable."""
        self.step()
        self._durable_names = dict(self._files)

    def close(self) -> None:
        """Release nothing: a simulated folder has no lock."""
        return

    def after_power_loss(self, seed: int) -> "SimulatedDisk":
        """Return the disk as a machine may find it after power came back; a seed chooses among outcomes."""
        chooser = random.Random(seed)  # noqa: S311 - a simulation repeats itself, it keeps no secrets
        found = SimulatedDisk()
        found.is_reordering = self.is_reordering
        for name in sorted(self._files.keys() | self._durable_names.keys()):
            file = self._files.get(name) or self._durable_names[name]
            is_settled = (name in self._files) == (name in self._durable_names)
            if is_settled or chooser.random() < 0.5:  # noqa: PLR2004 - an unsynced name stays or goes
                is_any_order = self.is_reordering and chooser.random() < 0.5  # noqa: PLR2004 - not always
                data = _blocks(file, chooser) if is_any_order else _survivors(file, chooser)
                found.put(name, data)
        return found

    def put(self, name: str, data: bytes) -> None:
        """Place a durable file, as a test wants it."""
        self._files[name] = self._durable_names[name] = _File(bytearray(data), len(data))

    def flip_bit(self, name: str, offset: int, bit: int = 0) -> None:
        """Damage one bit of a file."""
        self._files[name].data[offset] ^= 1 << bit


def _survivors(file: _File, chooser: random.Random) -> bytes:
    """Choose what is left of a file: the synced part, and of the rest a prefix, or zeros in its place."""
    unsynced = len(file.data) - file.synced_length
    kept = file.synced_length + chooser.randint(0, unsynced)
    data = _durable(file)[:kept]
    # A file system may have recorded the new length before it wrote the blocks: zeros at the end.
    zeros = chooser.randint(0, len(file.data) - kept)
    return data + bytes(zeros)


def _blocks(file: _File, chooser: random.Random) -> bytes:
    """Choose which blocks of the unsynced part were written; there are zeros in place of the others."""
    data = bytearray(_durable(file))
    for begin in range(file.synced_length, len(data), BLOCK_BYTES):
        if chooser.random() < 0.5:  # noqa: PLR2004 - each by itself
            end = min(begin + BLOCK_BYTES, len(data))
            data[begin:end] = bytes(end - begin)
    return bytes(data)


def _durable(file: _File) -> bytes:
    if file.only_in_memory is None:
        return bytes(file.data)
    begin, end = file.only_in_memory
    if end >= len(file.data):
        return bytes(file.data[:begin])
    return bytes(file.data[:begin]) + bytes(end - begin) + bytes(file.data[end:])
