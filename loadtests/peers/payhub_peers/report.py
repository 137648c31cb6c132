"""The figures of a run, and how they are shown."""

import math
from collections.abc import Iterable, Sequence

import msgspec


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What the undisturbed run showed.

    The CPU time is that of all of the peer's processes. Bytes and flushes are what the whole machine's disk
    was given meanwhile; None where the disk does not tell.
    """

    workflows: int
    seconds: float
    workflows_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_ms_per_workflow: float
    written_kib_per_workflow: float | None
    flushes_per_workflow: float | None
    steps_lost: int
    steps_doubled: int


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What the run with a kill -9 showed, counted when every accepted workflow had its time to end.

    ``recovery_s`` runs from the kill to the next completed workflow, the restart included; None where
    none followed.
    """

    killed: str
    workflows_accepted: int
    workflows_lost: int
    steps_lost: int
    steps_doubled: int
    recovery_s: float | None


class PeerResult(msgspec.Struct, frozen=True, kw_only=True):
    """One peer's figures, or why it has none."""

    peer: str
    title: str
    durable_by: str
    speed: Speed | None = None
    recovery: Recovery | None = None
    failure: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured; ``sync_us`` is the median of writing and syncing 4 KiB where the data lies."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    sync_us: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run."""

    machine: Machine
    clients: int
    seconds: float
    peers: list[PeerResult]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of all are not above (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("No values have no percentile.")
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def table(results: Iterable[PeerResult]) -> str:
    """Return the figures as a Markdown table, one row a peer; ``-`` is what was not measured."""
    head = (
        "peer|workflows/s|p50 ms|p99 ms|p99.9 ms|CPU ms/workflow|KiB to disk/workflow|flushes/workflow"
        "|killed|lost workflows|lost steps|doubled steps|recovery s"
    ).split("|")
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    rows += [_row(result) for result in results]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def machine_line(machine: Machine) -> str:
    """Return the machine in one line."""
    return (
        f"{machine.cores} cores of {machine.processor}, {machine.memory_gib:.0f} GiB, {machine.system}, "
        f"Python {machine.python}, {machine.sync_us:.0f} us to write and sync 4 KiB"
    )


def _row(result: PeerResult) -> list[str]:
    if result.failure:
        return [result.title, "not run", *["-"] * 11]
    return [result.title, *_speed(result.speed), *_recovery(result.recovery)]


def _speed(speed: Speed | None) -> list[str]:
    if speed is None:
        return ["-"] * 7
    milliseconds = (speed.p50_ms, speed.p99_ms, speed.p999_ms)
    return [
        f"{speed.workflows_per_s:.0f}",
        *(f"{value:.0f}" for value in milliseconds),
        f"{speed.cpu_ms_per_workflow:.2f}",
        "-" if speed.written_kib_per_workflow is None else f"{speed.written_kib_per_workflow:.0f}",
        "-" if speed.flushes_per_workflow is None else f"{speed.flushes_per_workflow:.1f}",
    ]


def _recovery(recovery: Recovery | None) -> list[str]:
    if recovery is None:
        return ["-"] * 5
    counts = (recovery.workflows_lost, recovery.steps_lost, recovery.steps_doubled)
    seconds = "never" if recovery.recovery_s is None else f"{recovery.recovery_s:.2f}"
    return [recovery.killed, *map(str, counts), seconds]
