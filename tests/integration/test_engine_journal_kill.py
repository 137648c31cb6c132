"""An engine's journal and state under kill -9: what was acknowledged is there, exactly once.

Run as a program, this file is the victim: it appends for ever and prints each acknowledged entry.
"""

import asyncio
import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.storage.rocks import RocksState

ROUNDS = 9
APPENDERS = 8
START_S = 15.0
TRIM_EVERY = 97


class Replica:
    """A log and the state that it is applied to."""

    def __init__(self, directory: Path) -> None:
        self.state = RocksState(directory / "state")
        self.log = RaftLog(FileDisk(directory / "journal"), cluster="north", replica="north-0")

    async def start(self) -> None:
        await self.log.start(self, lambda _: None)

    async def stop(self) -> None:
        await self.log.stop()
        self.state.close()

    @property
    def applied_index(self) -> int:
        return self.state.applied_index

    def checkpoint(self, folder: Path) -> int:
        self.state.checkpoint(folder)
        return self.applied_index

    def install(self, folder: Path) -> None:
        raise AssertionError(folder)

    def apply(self, index: int, data: bytes) -> None:
        count = int.from_bytes(self.state.get(b"count/" + data) or b"", "big")
        counted = {
            b"count/" + data: (count + 1).to_bytes(4, "big"),
            b"index/" + index.to_bytes(8, "big"): data,
        }
        self.state.write(counted, index)


async def be_victim(directory: Path, life: str) -> None:
    """Append with several appenders at once and print every acknowledgement; trim now and then."""
    replica = Replica(directory)
    await replica.start()

    async def append_for_ever(appender: int) -> None:
        for number in range(1 << 30):
            name = f"{life}-{appender}-{number}"
            index = await replica.log.append(name.encode())
            os.write(1, f"{index} {name}\n".encode())
            if index % TRIM_EVERY == 0:
                replica.log.trim(replica.state.sync() - TRIM_EVERY)

    await asyncio.gather(*(append_for_ever(appender) for appender in range(APPENDERS)))


def kill_after(directory: Path, life: int, delay_s: float) -> dict[int, bytes]:
    """Run the victim, kill it some time after its first acknowledgement; return what it acknowledged."""
    victim = subprocess.Popen(
        [sys.executable, __file__, str(directory), str(life)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert victim.stdout is not None
    output = bytearray()
    try:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if select.select([victim.stdout], [], [], 0.01)[0]:
                read = os.read(victim.stdout.fileno(), 1 << 16)
                assert read, "the victim ended by itself"
                if not output:
                    deadline = time.monotonic() + delay_s
                output += read
    finally:
        victim.send_signal(signal.SIGKILL)
        with victim.stdout:
            output += victim.stdout.read()
        victim.wait()
    lines = bytes(output).split(b"\n")[:-1]
    return {int(index): name for index, name in (line.split() for line in lines)}


async def test_every_acknowledged_entry_survives_kill_9_exactly_once(tmp_path):
    chooser = random.Random(2)
    acknowledged: dict[int, bytes] = {}
    for life in range(ROUNDS):
        fresh = kill_after(tmp_path, life, chooser.uniform(0.02, 0.4))
        assert fresh
        assert min(fresh) > max(acknowledged, default=0)
        acknowledged |= fresh
        replica = Replica(tmp_path)
        await replica.start()
        reader = replica.state
        for index, name in acknowledged.items():
            assert reader.get(b"index/" + index.to_bytes(8, "big")) == name
        assert all(value == b"\0\0\0\1" for _, value in reader.scan(b"count/"))
        logged = dict(replica.log.entries(replica.log.first_index, 1 << 30))
        assert logged.items() >= {
            (index, name) for index, name in acknowledged.items() if index >= replica.log.first_index
        }
        await replica.stop()
    assert len(acknowledged) > 100 * ROUNDS


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(be_victim(Path(sys.argv[1]), sys.argv[2]))
