"""The commands of ``payhub bench``, and their options."""

import sys
from pathlib import Path

import click

from payhub_cli.state import DATA_ROOT

SECONDS_OF_A_TOKEN = 240  # the bench's channel asks for one, which lives for five minutes


@click.group()
def bench() -> None:
    """Measure payhub on this machine."""


@bench.command()
@click.option("--replicas", type=click.Choice(["1", "3", "5"]), default="3", show_default=True)
@click.option("--payments", type=click.IntRange(1), help="End after so many.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    help="End after so long.  [default: 30, or no end with --payments]",
)
@click.option("--in-flight", type=click.IntRange(1), help="Payments at once.  [default: 150; --flood: 2000]")
@click.option("--rate", type=click.FloatRange(0.1), help="Payments a second, whatever the engine does.")
@click.option("--kill", is_flag=True, help="Kill the leader with -9 in the middle.")
@click.option(
    "--flood", is_flag=True, help="Four tenants at a steady rate, without and with a fifth that floods."
)
@click.option(
    "--rude", is_flag=True, help="The fifth ignores Retry-After and comes again ten times a second."
)
@click.option("--no-export", is_flag=True, help="Leave NATS out.")
@click.option("--mutual-tls", is_flag=True, help="TLS between the replicas.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Empty folder, kept.  [default: one that is removed]"
)
def engine(  # noqa: PLR0917 - as many as it has options
    replicas: str,
    payments: int | None,
    seconds: float | None,
    in_flight: int | None,
    rate: float | None,
    kill: bool,
    flood: bool,
    rude: bool,
    no_export: bool,
    mutual_tls: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Run whole payments through an engine of its own: payments/s, latency, cost, and whether all is exact.

    One payment is three processes, 15 jobs, 5 messages and 4 timers. Every sync is on, and the time runs
    until every event is exported. Exit status 0 only when no payment was lost or done twice.
    """
    from payhub_cli.bench.command import Options, run  # noqa: PLC0415 - each command loads only what it needs

    if kill and flood:
        raise click.UsageError("--kill and --flood are two measurements.")
    if rude and not flood:
        raise click.UsageError("--rude tells how to --flood.")
    options = Options(
        replicas=int(replicas),
        payments=payments,
        seconds=seconds,
        in_flight=in_flight,
        rate=rate,
        kill=kill,
        flood=flood,
        rude=rude,
        export=not no_export,
        mutual_tls=mutual_tls,
        as_json=as_json,
        data=data,
    )
    sys.exit(run(DATA_ROOT, options))


@bench.command()
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), default=10, show_default=True, help="Of each load."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gateway(seconds: float, as_json: bool) -> None:
    """Send transfers through a gateway of its own to a stub of an engine, and beside it through nginx.

    Token check, limits, idempotency and logs are on. What is not installed is told as not run.
    """
    from payhub_cli.bench.gateway import run  # noqa: PLC0415 - as above

    sys.exit(run(DATA_ROOT, seconds, as_json=as_json))


@bench.command()
@click.option("--replicas", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--payments", type=click.IntRange(1), help="End after so many, or after --seconds.")
@click.option("--seconds", type=click.FloatRange(0.1, SECONDS_OF_A_TOKEN), default=10, show_default=True)
@click.option("--in-flight", type=click.IntRange(1, 1000), default=32, show_default=True)
@click.option("--signed", is_flag=True, help="Sign every message with RS256, and verify every signature.")
@click.option(
    "--payee",
    type=click.Choice(["payhub", "switch"]),
    help="Who the payee's institution is: a tenant too, or played by the switch.  [default: payhub]",
)
@click.option(
    "--peer", is_flag=True, help="Mojaloop's sdk-scheme-adapter pays as well; the switch plays the payee."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Empty folder, kept.  [default: one that is removed]"
)
def payments(  # noqa: PLR0917 - as many as it has options
    replicas: str,
    payments: int | None,
    seconds: float,
    in_flight: int,
    signed: bool,
    payee: str | None,
    peer: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Pay end to end over HTTP: channel, gateway, engine, a light switch and a light bank of our own.

    Every sync is on. Exit status 0 only when every payment was done exactly once by the bank's books.
    """
    from payhub_cli.bench.payments.command import Options, run  # noqa: PLC0415 - as above

    if peer and payee == "payhub":
        raise click.UsageError("--peer only pays: it needs a payee that the switch plays.")
    options = Options(
        replicas=int(replicas),
        payments=payments,
        seconds=seconds,
        in_flight=in_flight,
        is_signed=signed,
        is_payee_played=peer or payee == "switch",
        has_peer=peer,
        as_json=as_json,
        data=data,
    )
    sys.exit(run(DATA_ROOT, options))


@bench.command()
@click.option("--tenants", type=click.IntRange(20, 5_000), default=1_000, show_default=True)
@click.option("--rate", type=click.FloatRange(1), default=40, show_default=True, help="Payments a second.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=8, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tenants(tenants: int, rate: float, seconds: float, as_json: bool) -> None:
    """Install many institutions beside ten: start-up, memory, and how long payments take."""
    from payhub_cli.bench.tenants import run  # noqa: PLC0415 - as above

    sys.exit(run(DATA_ROOT, tenants, rate, seconds, as_json=as_json))
