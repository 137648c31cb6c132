"""The replicas as processes: started, killed, started again, and what they cost."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Final

import msgspec
import psutil

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.protocol import ENGINE, ReplicaSettings
from payhub_cli.local import certificates, files, ports
from payhub_cli.local.server import guarded, tail

STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How the engine that is measured is built.

    Attributes:
        replicas: 1, 3 or 5.
        nats_url: where the audit trail goes; empty: nowhere.
        is_mutual_tls: whether the replicas speak TLS to one another.
        payload_bytes: of each payment's extension.
    """

    replicas: int
    nats_url: str
    is_mutual_tls: bool
    payload_bytes: int


@dataclass(slots=True)
class _Member:
    settings: ReplicaSettings
    file: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None


class Replicas:
    """All replicas of one engine, by id. They end with this process, however it ends."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        """Prepare their settings in ``folder``."""
        ids = [str(number) for number in range(1, shape.replicas + 1)]
        names = [f"{kind}-{each}" for each in ids for kind in ("raft", "client")]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chosen = ports.choose_ports(folder / "ports.json", names)
        peers = ",".join(f"{each}={ports.LOOPBACK}:{chosen[f'raft-{each}']}" for each in ids)
        if shape.is_mutual_tls:
            certificates.prepare(folder / "certificates", [(ENGINE, each) for each in ids])
        self._members: dict[str, _Member] = {}
        for each in ids:
            own = certificates.files_of(folder / "certificates", ENGINE, each)
            settings = ReplicaSettings(
                replica=each,
                peers=peers if shape.replicas > 1 else "",
                port=chosen[f"client-{each}"],
                data_dir=str(folder / each),
                nats_url=shape.nats_url,
                payload_bytes=shape.payload_bytes,
                certificate=str(own.certificate) if shape.is_mutual_tls else "",
                key=str(own.key) if shape.is_mutual_tls else "",
                authority=str(own.authority) if shape.is_mutual_tls else "",
            )
            file = folder / f"{each}.json"
            files.write_private(file, msgspec.json.encode(settings))
            self._members[each] = _Member(settings, file, folder / f"{each}.log")

    @property
    def ports(self) -> dict[str, int]:
        """Where each listens for the client."""
        return {each: member.settings.port for each, member in self._members.items()}

    def start(self, replica: str | None = None) -> None:
        """Start one, or all."""
        for member in self._members.values() if replica is None else [self._members[replica]]:
            command = [sys.executable, "-m", "payhub_cli.bench.replica", str(member.file)]
            with member.log.open("ab") as log:
                member.process = subprocess.Popen(  # noqa: S603 - the command is payhub's own
                    guarded(command, SIGKILL, None),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )

    def kill(self, replica: str) -> None:
        """Kill one with -9, and wait until it is gone."""
        process = self._process(replica)
        process.kill()
        process.wait()

    def check(self) -> None:
        """See that all that were started run.

        Raises:
            BenchError: one has ended by itself; the end of its log is in the text.
        """
        for each, member in self._members.items():
            status = None if member.process is None else member.process.poll()
            if status is not None and status != -SIGKILL:
                raise BenchError(f"Replica {each} ended with status {status}. {tail(member.log)}")

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time of each that runs, since its start."""
        return {
            each: cpu_s(member.process.pid)
            for each, member in self._members.items()
            if member.process is not None and member.process.poll() is None
        }

    def written_bytes(self) -> int:
        """Return what the running ones gave to the disk by their own account (see ``local.disk_use``)."""
        processes = [member.process for member in self._members.values() if member.process is not None]
        running = [process.pid for process in processes if process.poll() is None]
        return sum(psutil.Process(pid).io_counters().write_bytes for pid in running)

    def stop(self) -> None:
        """End all; nothing of theirs is needed any more."""
        for member in self._members.values():
            if member.process is not None and member.process.poll() is None:
                member.process.terminate()
        for member in self._members.values():
            if member.process is not None:
                try:
                    member.process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    member.process.kill()
                    member.process.wait()

    def _process(self, replica: str) -> subprocess.Popen[bytes]:
        process = self._members[replica].process
        if process is None:
            raise BenchError(f"Replica {replica} was not started.")
        return process


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
