"""What an entry costs: ``PYTHONPATH=tests python -m integration.raft_cost --bytes 30000 --callers 4``.

Runs a group in processes of its own over mutual TLS on loopback, appends for some seconds with so many
callers at once, and prints CPU microseconds per committed entry of each replica (applying costs nothing
here), with what the kernel took of them, and the callers' waiting times.
"""

import argparse
import asyncio
import os
import resource
import tempfile
import time
from multiprocessing import Process, Queue
from pathlib import Path

from integration.raft_certificates import Authority
from integration.raft_member import CLUSTER, certificates
from support.ports import free_ports

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.group import Address, Group
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog

SETTLE_S = 1.5


class Nothing:
    """Implements ``StateMachine`` and keeps only how far it is."""

    applied_index = 0

    def apply(self, index: int, _: bytes) -> None:
        self.applied_index = index

    def checkpoint(self, folder: Path) -> int:
        raise AssertionError(folder)

    def install(self, folder: Path) -> None:
        raise AssertionError(folder)


async def measure(folder: Path, group: Group, asked: argparse.Namespace, results: Queue) -> None:
    own = folder / f"data-{group.replica}"
    machine = Nothing()
    log = RaftLog(
        FileDisk(own / "journal"),
        cluster=CLUSTER,
        replica=group.replica,
        members=group.addresses,
        network=TcpNetwork(group),
        snapshots=own / "snapshots",
    )
    await log.start(machine, lambda _: None)
    await asyncio.sleep(SETTLE_S)
    first, began = machine.applied_index, resource.getrusage(resource.RUSAGE_SELF)
    waited: list[float] = []
    until = time.monotonic() + asked.seconds

    async def call(data: bytes) -> None:
        while time.monotonic() < until:
            before = time.perf_counter()
            await log.append(data)
            waited.append(time.perf_counter() - before)

    is_leader = log.is_leader
    if is_leader:
        await asyncio.gather(*(call(os.urandom(asked.bytes)) for _ in range(asked.callers)))
    else:
        await asyncio.sleep(asked.seconds)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    count = max(machine.applied_index - first, 1)
    user_us = (ended.ru_utime - began.ru_utime) * 1e6 / count
    kernel_us = (ended.ru_stime - began.ru_stime) * 1e6 / count
    line = f"{count} entries, CPU {user_us + kernel_us:.0f} us each, {kernel_us:.0f} us of it in the kernel"
    if is_leader:
        waited.sort()
        middle, high = waited[len(waited) // 2], waited[len(waited) * 99 // 100]
        line += f", p50 {middle * 1e3:.2f} ms, p99 {high * 1e3:.2f} ms"
    results.put(f"{'leader' if is_leader else 'follower'}: {line}")
    await asyncio.sleep(SETTLE_S)
    await log.stop()


def run(folder: Path, group: Group, asked: argparse.Namespace, results: Queue) -> None:
    asyncio.run(measure(folder, group, asked, results))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what an entry of the replicated log costs.")
    parser.add_argument("--replicas", type=int, choices=(3, 5), default=3)
    parser.add_argument("--bytes", type=int, default=30_000, help="of an entry")
    parser.add_argument("--callers", type=int, default=4, help="at once")
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    names = [str(number + 1) for number in range(asked.replicas)]
    ports = free_ports(len(names))
    addresses = {name: Address("127.0.0.1", port) for name, port in zip(names, ports, strict=True)}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        authority = Authority()
        results: Queue = Queue()
        processes = []
        for name in names:
            authority.write(folder, name, f"payhub://{CLUSTER}/{name}")
            group = Group(CLUSTER, name, addresses, certificates(folder, name))
            processes.append(Process(target=run, args=(folder, group, asked, results)))
        for process in processes:
            process.start()
        for line in sorted((results.get() for _ in names), reverse=True):
            print(line)  # noqa: T201 - a program's output
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
