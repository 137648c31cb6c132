"""The figures of a measurement, and how they are shown."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints.

    Attributes:
        payments_per_s: completed and exported: the time runs until JetStream has acknowledged the last event.
        completed_per_s: until the last payment ended, whatever was exported by then.
        p50_ms: from the sending of a payment (in an open loop: from when it was due) until its end is known.
        cpu_ms_per_payment_leader: of all processor time of its process; with a kill, until the kill.
        cpu_ms_per_payment_follower: the mean of the followers; 0 where there are none.
        leader_changes: during the load; the processor time is the last leader's (with a kill: the first's).
        fsync: every acknowledged entry was synced to disk by a majority before.
        exports: whether anything is to be exported.
        exported: JetStream has acknowledged every event of every payment.
        export_lag_s: from the end of the last payment until all was exported.
        bytes_written_per_payment: by all replicas and NATS, as ``bytes_counted_by`` counts.
        bytes_counted_by: ``device``: the whole machine's disk. ``processes``: the replicas' own account,
            which some kernels exaggerate.
        log_bytes_per_payment: the entries of one replica's log.
        lost: accepted payments that never ended.
        duplicated: payments for which something happened other than exactly once.
        wrong: what was wrong with some of them.
        killed: the replica that was killed.
        recovery_s: from the kill to the next payment that ended; None when none did.
        caught_up: the killed replica, started again, holds the same log as the leader.
    """

    payments: int
    seconds: float
    payments_per_s: float
    completed_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_ms_per_payment_leader: float
    cpu_ms_per_payment_follower: float
    cpu_ms_per_payment_client: float
    cpu_ms_per_payment_nats: float
    replicas: int
    leader_changes: int
    in_flight: int
    rate: float
    mutual_tls: bool
    fsync: bool = True
    exports: bool
    exported: bool
    export_lag_s: float
    bytes_written_per_payment: int
    bytes_counted_by: str
    flushes_per_payment: float | None
    log_bytes_per_payment: int
    events_per_payment: float
    refusals: int
    lost: int
    duplicated: int
    wrong: list[str] = []
    killed: str | UnsetType = UNSET
    recovery_s: float | UnsetType | None = UNSET
    caught_up: bool | UnsetType = UNSET

    def problems(self) -> list[str]:
        """Return what must not be, in sentences."""
        found = []
        if self.lost:
            found.append(f"{self.lost} accepted payments were lost.")
        if self.duplicated:
            found.append(f"{self.duplicated} payments were not done exactly once.")
        if self.exports and not self.exported:
            found.append("Not every event was exported in time.")
        if self.recovery_s is None:
            found.append("No payment ended after the kill.")
        if self.caught_up is False:
            found.append("The killed replica did not catch up.")
        return found + self.wrong


class FloodFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--flood --json`` prints: four tenants at a steady rate, alone and while a fifth floods.

    Attributes:
        rate: payments a second of each of the four.
        flood_is_rude: the fifth comes again ten times a second, whatever Retry-After says.
        calm_p50_of_all_ms: of all four's payments together, without the flood; likewise with it.
        calm_p99_ms: by tenant, without the flood.
        flood_p99_ms: by tenant, with it.
        calm_p99_of_all_ms: of all four's payments together; likewise with the flood.
        ratio: of the latter two; the goal is 1.5.
        flooder_per_s: what the fifth got done.
        flooder_refusals: how often it was told to come again.
    """

    replicas: int
    rate: float
    flood_in_flight: int
    flood_is_rude: bool
    calm_p50_of_all_ms: float
    flood_p50_of_all_ms: float
    calm_p99_ms: Mapping[str, float]
    flood_p99_ms: Mapping[str, float]
    calm_p99_of_all_ms: float
    flood_p99_of_all_ms: float
    ratio: float
    flooder_per_s: float
    flooder_refusals: int
    others_refusals: int
    lost: int
    duplicated: int
    wrong: list[str] = []

    def problems(self) -> list[str]:
        """Return what must not be, in sentences. How fair it was is for the reader to judge."""
        found = [f"{self.lost} accepted payments were lost."] if self.lost else []
        if self.duplicated:
            found.append(f"{self.duplicated} payments were not done exactly once.")
        return found + self.wrong


def as_json(figures: Figures | FloodFigures) -> str:
    """Return the figures as indented JSON, rounded to what they can tell."""
    return msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(figures)))).decode()


def text(figures: Figures) -> str:
    """Return the figures for people."""
    each = "replica" if figures.replicas == 1 else "replicas"
    tls = ", mutual TLS" if figures.mutual_tls else ""
    how = f"{figures.rate:.0f}/s open loop" if figures.rate else f"closed loop, {figures.in_flight} in flight"
    took = f"in {figures.seconds:.1f} s; {figures.refusals} refusals"
    rows = [
        ("engine", f"{figures.replicas} {each}, sync on{tls}; {how}"),
        ("payments", f"{figures.payments} {took}, {figures.leader_changes} changes of the leader"),
        ("payments/s", f"{figures.payments_per_s:.0f} ({figures.completed_per_s:.0f} to the last one's end)"),
        ("latency ms", _latency(figures)),
        ("CPU ms a payment", _cpu(figures)),
        ("export", _export(figures)),
        ("a payment", _size(figures)),
        ("lost, duplicated", f"{figures.lost}, {figures.duplicated} (the whole log was read)"),
    ]
    if figures.killed is not UNSET:
        recovery = f"{figures.recovery_s:.2f} s" if isinstance(figures.recovery_s, float) else "never"
        caught_up = "caught up" if figures.caught_up else "did NOT catch up"
        rows.append(
            ("kill -9", f"leader {figures.killed}: recovery {recovery}; started again, it {caught_up}")
        )
    return lines(rows)


def _latency(figures: Figures) -> str:
    low = f"p50 {figures.p50_ms:.1f}  p99 {figures.p99_ms:.1f}"
    return f"{low}  p99.9 {figures.p999_ms:.1f}  max {figures.max_ms:.1f}"


def _cpu(figures: Figures) -> str:
    leader, follower = figures.cpu_ms_per_payment_leader, figures.cpu_ms_per_payment_follower
    others = f"client {figures.cpu_ms_per_payment_client:.3f}  NATS {figures.cpu_ms_per_payment_nats:.3f}"
    return f"leader {leader:.3f}  follower {follower:.3f}  {others}"


def _size(figures: Figures) -> str:
    logged = f"{figures.events_per_payment:.0f} events, {figures.log_bytes_per_payment} bytes of log"
    return f"{logged}, {figures.bytes_written_per_payment} bytes written ({_counted(figures)})"


def flood_text(figures: FloodFigures) -> str:
    """Return the figures of a flood for people."""
    rows = [
        (
            "tenants",
            f"4 at {figures.rate:.0f} payments/s each; 1 floods with {figures.flood_in_flight} in flight, "
            + ("rudely" if figures.flood_is_rude else "and honours Retry-After"),
        ),
        ("p50 ms", f"calm {figures.calm_p50_of_all_ms:.1f}, flood {figures.flood_p50_of_all_ms:.1f}"),
        ("p99 ms, calm", _tenants(figures.calm_p99_ms, figures.calm_p99_of_all_ms)),
        ("p99 ms, flood", _tenants(figures.flood_p99_ms, figures.flood_p99_of_all_ms)),
        ("ratio", f"{figures.ratio:.2f} (goal: at most 1.5)"),
        ("the flooder", f"{figures.flooder_per_s:.0f} payments/s, {figures.flooder_refusals} refusals"),
        ("the others", f"{figures.others_refusals} refusals"),
        ("lost, duplicated", f"{figures.lost}, {figures.duplicated} (the whole log was read)"),
    ]
    return lines(rows)


def _export(figures: Figures) -> str:
    if figures.exported:
        return f"complete {figures.export_lag_s:.2f} s after the last payment"
    return "NOT complete" if figures.exports else "off"


def _counted(figures: Figures) -> str:
    if figures.flushes_per_payment is None:
        return "by the processes' own account"
    return f"{figures.flushes_per_payment:.2f} flushes; the whole machine's disk"


def _tenants(values: Mapping[str, float], of_all: float) -> str:
    return f"{of_all:.1f} (" + "  ".join(f"{tenant} {value:.1f}" for tenant, value in values.items()) + ")"


def lines(rows: list[tuple[str, str]]) -> str:
    """Return names and values, one pair a line."""
    return "\n".join(f"{name:<18} {value}" for name, value in rows)


def rounded(value: object) -> object:
    """Return a value with all numbers in it rounded to what they can tell."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return value
