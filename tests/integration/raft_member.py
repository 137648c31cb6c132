"""One replica of a group as a process: a log over mutual TLS, a state in RocksDB, a line protocol.

``python raft_member.py FOLDER REPLICA CONTROL_PORT PEERS`` answers lines on loopback: ``append NAME``,
``read``, ``entries``, ``status``, ``trim``, ``hand-over``. FOLDER holds the group's certificates and a folder
per replica.
"""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.errors import LogStoppedError, NotLeaderError, OutcomeUnknownError
from payhub_engines.consensus.group import Certificates, Group, parse_addresses
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.storage.rocks import RocksState

CLUSTER = "north"


def certificates(folder: Path, replica: str) -> Certificates:
    return Certificates(folder / f"{replica}.pem", folder / f"{replica}.key", folder / "ca.pem")


class State:
    """Implements ``StateMachine`` in RocksDB: a row for each entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.installed = 0
        self._rocks = RocksState(path)

    @property
    def applied_index(self) -> int:
        return self._rocks.applied_index

    def apply(self, index: int, data: bytes) -> None:
        self._rocks.write({index.to_bytes(8, "big"): data}, index)

    def checkpoint(self, folder: Path) -> int:
        self._rocks.checkpoint(folder)
        return self.applied_index

    def install(self, folder: Path) -> None:
        self._rocks.close()
        shutil.rmtree(self.path, ignore_errors=True)
        folder.rename(self.path)
        self.installed += 1
        self._rocks = RocksState(self.path)

    def sync(self) -> int:
        """Make all entries durable; return the last one."""
        return self._rocks.sync()

    def entries(self) -> list[tuple[int, str]]:
        return [(int.from_bytes(key, "big"), data.decode()) for key, data in self._rocks.scan(b"")]


class MemberProcess:
    def __init__(self, folder: Path, replica: str, peers: str) -> None:
        own = folder / f"data-{replica}"
        own.mkdir(exist_ok=True)
        self.state = State(own / "state")
        group = Group(CLUSTER, replica, parse_addresses(peers), certificates(folder, replica))
        self.log = RaftLog(
            FileDisk(own / "journal"),
            cluster=CLUSTER,
            replica=replica,
            members=group.addresses,
            network=TcpNetwork(group),
            snapshots=own / "snapshots",
        )

    async def answer(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        try:
            return f"ok {await self._do(verb, rest)}"
        except NotLeaderError:
            return "not-leader"
        except (OutcomeUnknownError, LogStoppedError):
            return "unknown"

    async def _do(self, verb: str, rest: str) -> object:
        match verb:
            case "append":
                return await self.log.append(rest.encode())
            case "read":
                return await self.log.barrier()
            case "entries":
                return json.dumps(self.state.entries())
            case "trim":
                return self.log.trim(self.state.sync())
            case "hand-over":
                return await self.log.hand_over()
            case _:
                status = (self.log.is_leader, self.log.leader, self.state.installed)
                return json.dumps([*status, self.state.applied_index])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write((await self.answer(line.decode().strip()) + "\n").encode())
            await writer.drain()
        writer.close()


async def main(folder: Path, replica: str, port: int, peers: str) -> None:
    member = MemberProcess(folder, replica, peers)
    await member.log.start(member.state, lambda _: None)
    await asyncio.start_server(member.serve, "127.0.0.1", port, limit=1 << 24)
    os.write(1, b"started\n")
    await member.log.wait_stopped()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
