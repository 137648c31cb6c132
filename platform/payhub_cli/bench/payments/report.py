"""What a measurement of payments found, for machines and for people."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from payhub_cli.bench.load import Load, percentile
from payhub_cli.bench.report import lines, rounded


class PaymentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints; times in milliseconds.

    Attributes:
        payments: completed, as the channel was told.
        payments_per_s: of these, from the first sent to the last one's end.
        engine_cpu_ms_per_payment: of all replicas together.
        scheme_cpu_ms_per_payment: of the light switch and the light bank.
        signed: RS256 on every message, made and verified.
        payee: ``payhub``: both institutions are the engine's tenants; ``switch``: it plays the payee's.
        refusals: how often the channel was told to come again.
        failed: payments that ended without being paid.
        lost: accepted, and without an end or without its money; ``duplicated``: moved other than once.
        undelivered: messages that the switch gave up.
        refused_messages: what the switch would not take: unsigned, or no FSPIOP.
        peer_not_run: why there are no figures of the peer.
    """

    payments: int
    seconds: float
    payments_per_s: float
    p50_ms: float
    p99_ms: float
    engine_cpu_ms_per_payment: float
    gateway_cpu_ms_per_payment: float
    scheme_cpu_ms_per_payment: float
    nats_cpu_ms_per_payment: float
    client_cpu_ms_per_payment: float
    signed: bool
    replicas: int
    in_flight: int
    payee: str
    refusals: int
    failed: int
    lost: int
    duplicated: int
    undelivered: int
    refused_messages: int
    wrong: list[str] = []
    peer_payments_per_s: float | None = None
    peer_p50_ms: float | None = None
    peer_p99_ms: float | None = None
    peer_cpu_ms_per_payment: float | None = None
    peer_failed: int | None = None
    peer_not_run: str | None = None

    def problems(self) -> list[str]:
        """Return what must not be, in sentences."""
        told = {
            "accepted payments were lost": self.lost,
            "payments were not done exactly once": self.duplicated,
            "payments failed": self.failed,
            "messages could not be delivered": self.undelivered,
            "messages were refused by the switch": self.refused_messages,
        }
        return [f"{count} {text}." for text, count in told.items() if count] + self.wrong


def with_peer(figures: PaymentFigures, load: Load, cpu_s: float, failed: Mapping[str, str]) -> PaymentFigures:
    """Return the figures with the peer's.

    Args:
        figures: payhub's.
        load: what the peer has done.
        cpu_s: what it took for that.
        failed: why it did not complete some, by payment.
    """
    reason = next(iter(failed.values()), "")
    if not load.completed:
        return replace(figures, peer_not_run=f"It completed no payment. {reason}".strip())
    latencies = sorted(load.latencies_ms)
    return replace(
        figures,
        peer_payments_per_s=load.completed / load.seconds,
        peer_p50_ms=percentile(latencies, 50),
        peer_p99_ms=percentile(latencies, 99),
        peer_cpu_ms_per_payment=cpu_s * 1000 / load.completed,
        peer_failed=len(failed),
    )


def as_json(figures: PaymentFigures) -> str:
    """Return the figures as indented JSON, rounded to what they can tell."""
    return msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(figures)))).decode()


def text(figures: PaymentFigures) -> str:
    """Return the figures for people."""
    each = "replica" if figures.replicas == 1 else "replicas"
    signed = "RS256 made and verified" if figures.signed else "unsigned"
    payee = "the engine's tenant too" if figures.payee == "payhub" else "played by the switch"
    took = f"{figures.payments} in {figures.seconds:.1f} s"
    rows = [
        ("engine", f"{figures.replicas} {each}, sync on, {signed}; the payee is {payee}"),
        ("payments", f"{took}, {figures.in_flight} in flight; {figures.refusals} refusals"),
        ("payments/s", f"{figures.payments_per_s:.0f}"),
        ("latency ms", f"p50 {figures.p50_ms:.0f}  p99 {figures.p99_ms:.0f}"),
        ("CPU ms a payment", _cpu(figures)),
        ("lost, duplicated", f"{figures.lost}, {figures.duplicated} (by the bank's books)"),
        ("peer", _peer(figures)),
    ]
    return lines(rows)


def _cpu(figures: PaymentFigures) -> str:
    own = f"engine {figures.engine_cpu_ms_per_payment:.2f}  gateway {figures.gateway_cpu_ms_per_payment:.2f}"
    scheme = f"switch and bank {figures.scheme_cpu_ms_per_payment:.2f}"
    nats, client = figures.nats_cpu_ms_per_payment, figures.client_cpu_ms_per_payment
    return f"{own}  {scheme}  NATS {nats:.2f}  client {client:.2f}"


def _peer(figures: PaymentFigures) -> str:
    if figures.peer_payments_per_s is None:
        return f"not run: {figures.peer_not_run}" if figures.peer_not_run else "not asked for"
    latency = f"p50 {figures.peer_p50_ms:.0f}  p99 {figures.peer_p99_ms:.0f}"
    cpu = f"{figures.peer_cpu_ms_per_payment:.2f} CPU ms a payment"
    return f"{figures.peer_payments_per_s:.0f} payments/s  {latency}  {cpu}  {figures.peer_failed} failed"
