"""What a replica keeps over its lives, and may lose: the journal's disk, and the rows of the state."""

import errno
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk, _File
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.storage.errors import StateError

Rows = dict[bytes, bytes]
Changes = Mapping[bytes, bytes | None]


class FaultyDisk(SimulatedDisk):
    """A disk that may also fail for good, and that a killed process reaches no more.

    Attributes:
        error_after: raise EIO at the first changing operation beyond this count; what was not synced by
            then may be lost, as after a loss of power.
        has_failed: whether it has refused an operation: the process that saw it has to end.
        is_detached: the process that holds it is being killed.
        on_power_loss: told when power is lost in the middle of an operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error_after: int | None = None
        self.has_failed = False
        self.is_detached = False
        self.on_power_loss: Callable[[], None] = lambda: None

    def step(self) -> None:
        if self.is_detached:
            raise PowerLossError
        self.has_failed |= self.full
        if self.error_after is not None and self.steps >= self.error_after:
            self.has_failed = True
            raise OSError(errno.EIO, "Input/output error")
        try:
            super().step()
        except PowerLossError:
            self.is_detached = True
            self.on_power_loss()
            raise

    @property
    def lost_writes(self) -> bool:
        """Whether an operation failed, so that nobody knows what of the unsynced is on disk."""
        return self.error_after is not None and self.steps >= self.error_after

    def after_kill(self) -> "FaultyDisk":
        """Return the disk as the next process finds it: all that was written, synced or not."""
        found = FaultyDisk()
        copies = {id(file): _File(bytearray(file.data), file.synced_length) for file in self._all()}
        found._files = {name: copies[id(file)] for name, file in self._files.items()}
        found._durable_names = {name: copies[id(file)] for name, file in self._durable_names.items()}
        return found

    def after_loss(self, chooser: random.Random) -> "FaultyDisk":
        """Return the disk as a machine finds it when power is back."""
        found, survived = FaultyDisk(), self.after_power_loss(chooser.getrandbits(32))
        found._files, found._durable_names = survived._files, survived._durable_names
        return found

    def _all(self) -> list[_File]:
        return [*self._files.values(), *self._durable_names.values()]


@dataclass
class Device:
    """The rows in one folder: what is durable, and writes of which a loss of power takes the last ones."""

    rows: Rows = field(default_factory=dict)
    index: int = 0
    tail: list[tuple[Changes, int]] = field(default_factory=list)

    def sync(self) -> None:
        for changes, index in self.tail:
            for key, value in changes.items():
                if value is None:
                    self.rows.pop(key, None)
                else:
                    self.rows[key] = value
            self.index = index
        self.tail.clear()

    def lose_power(self, chooser: random.Random) -> None:
        del self.tail[chooser.randint(0, len(self.tail)) :]
        self.sync()


class Devices:
    """All folders of rows of one replica, by the number that a file in each of them holds."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.opened: SimulatedStore | None = None

    def open(self, path: Path, disk: FaultyDisk) -> "SimulatedStore":
        disk.step()
        path.mkdir(parents=True, exist_ok=True)
        number = path / "number"
        if not number.exists():
            copy, device = path / "rows", Device()
            if copy.exists():
                device.index, device.rows = msgspec.msgpack.decode(copy.read_bytes(), type=tuple[int, Rows])
            self.devices.append(device)
            number.write_text(str(len(self.devices) - 1))
        self.opened = SimulatedStore(self.devices[int(number.read_text())], disk)
        return self.opened

    def lose_power(self, chooser: random.Random) -> None:
        for device in self.devices:
            device.lose_power(chooser)


class SimulatedStore:
    """Implements ``StateStore``: as ``RocksState``, on a device of the simulation."""

    def __init__(self, device: Device, disk: FaultyDisk) -> None:
        self._device = device
        self._disk = disk
        self._rows = MemoryStore()
        for key, value in sorted(device.rows.items()):
            self._rows.put(key, value)
        self._applied_index = device.index
        self._is_closed = False
        for changes, index in device.tail:
            self._take(changes, index)

    @property
    def applied_index(self) -> int:
        return self._applied_index

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return self._rows.scan(prefix)

    def write(self, changes: Changes, applied_index: int) -> None:
        self._check_open()
        if applied_index <= self._applied_index:
            raise StateError("applied-twice", f"Entry {applied_index} is applied already.")
        self._disk.step()
        self._device.tail.append((dict(changes), applied_index))
        self._take(changes, applied_index)

    def sync(self) -> int:
        self._check_open()
        self._disk.step()
        self._device.sync()
        return self._applied_index

    def checkpoint(self, path: Path) -> None:
        self.sync()
        path.mkdir(parents=True)
        (path / "rows").write_bytes(msgspec.msgpack.encode((self._device.index, self._device.rows)))

    def close(self) -> None:
        self._is_closed = True

    def _take(self, changes: Changes, index: int) -> None:
        for key, value in changes.items():
            if value is None:
                self._rows.delete(key)
            else:
                self._rows.put(key, value)
        self._applied_index = index

    def _check_open(self) -> None:
        if self._is_closed:
            raise StateError("state-closed", "The state is closed.")
