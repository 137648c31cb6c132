"""The `payhub` command."""

import logging
import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import click

from payhub_cli.bench.commands import bench
from payhub_cli.state import DATA_ROOT
from payhub_platform.contracts.tenant import AmsKind
from payhub_platform.errors import PayhubError

EXIT_REFUSED = 2

replicas_option = click.option(
    "--replicas",
    type=click.Choice(["1", "3", "5"]),
    help="Replicas of each engine, for good.  [default: as the data folder has, or 1]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Run, show and try payhub, a multi-tenant payment hub."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)


@cli.command()
@click.option(
    "--profile",
    type=click.Choice(["barebone", "full"]),
    default="barebone",
    show_default=True,
    help="barebone: one of each. full: two engines in two sites, with the sandbox.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: .payhub/PROFILE]")
@click.option("--sandbox", is_flag=True, help="With a Mojaloop switch and four core banks to try it on.")
@replicas_option
def up(profile: str, data: Path | None, sandbox: bool, replicas: str | None) -> None:
    """Run an installation until Ctrl-C.

    The environment variables NATS_URL and DATABASE_URL replace the bundled servers.
    """
    from payhub_cli.up import run  # noqa: PLC0415 - each command loads only what it needs

    folder = (data or DATA_ROOT / profile).resolve()
    run(
        "full" if profile == "full" else "barebone",
        folder,
        sandbox=sandbox or profile == "full",
        replicas=int(replicas) if replicas else None,
    )


@cli.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the one that runs]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(data: Path | None, as_json: bool) -> None:
    """Show each process of a running installation and its memory; exit 1 unless all are ready."""
    from payhub_cli.status import find, run  # noqa: PLC0415 - as above

    sys.exit(run(data.resolve() if data else find(DATA_ROOT), as_json=as_json))


@cli.command()
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C, and keep its data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; amounts in minor units.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder, kept.  [default: one that is removed]"
)
@replicas_option
def demo(keep: bool, as_json: bool, data: Path | None, replicas: str | None) -> None:
    """Send 20 payments between four institutions over two engines, and check that all is right.

    Exit status 0 only when every check holds.
    """
    from payhub_cli.demo.command import run  # noqa: PLC0415 - as above

    count = int(replicas) if replicas else None
    sys.exit(run(DATA_ROOT, data, keep=keep, as_json=as_json, replicas=count))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def isolation(as_json: bool) -> None:
    """Try every operation of the APIs as one institution on what another has.

    Exit status 0 only when each is answered as if nothing were there, in about the same time.
    """
    from payhub_cli.isolation.command import run  # noqa: PLC0415 - as above

    sys.exit(run(DATA_ROOT, as_json=as_json))


@cli.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the one that runs]")
@click.option("--bank", default="buffalo", show_default=True, help="Which bank of the sandbox.")
@click.option("--certify", is_flag=True, help="Run the payment suite too; it takes about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def onboard(data: Path | None, bank: str, certify: bool, as_json: bool) -> None:
    """Onboard an institution through the API of a running installation, and make its first payment.

    It needs `payhub up --sandbox`. Exit status 0 only when the payment completed, and the suite passed.
    """
    from payhub_cli.onboard.command import run  # noqa: PLC0415 - as above
    from payhub_cli.status import find  # noqa: PLC0415 - as above

    sys.exit(run(data.resolve() if data else find(DATA_ROOT), bank, certify=certify, as_json=as_json))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: a free one.")
@click.option(
    "--algorithm",
    type=click.Choice(["ES256", "RS256"]),
    default="ES256",
    show_default=True,
    help="How the switch and the test DFSP sign.",
)
@click.option(
    "--fineract",
    type=click.Choice(["1.8", "current"]),
    default="current",
    show_default=True,
    help="Which Fineract the banks are.",
)
@click.option("--no-forced-cases", is_flag=True, help="No amount or identifier forces anything.")
@click.option("--climate", metavar="JSON", help="Latency, losses, duplicates by chance; see docs/sandbox.md.")
@click.option("--json", "as_json", is_flag=True, help="Print the start-up document as one line of JSON.")
def sandbox(
    host: str,
    port: int,
    algorithm: str,
    fineract: str,
    no_forced_cases: bool,
    climate: str | None,
    as_json: bool,
) -> None:
    """Run a Mojaloop switch, core banks and a test DFSP alone, until Ctrl-C.

    Nothing else is needed. It prints where the guide is.
    """
    from payhub_cli.sandbox import Options, run  # noqa: PLC0415 - as above

    options = Options(
        host=host,
        port=port,
        algorithm="RS256" if algorithm == "RS256" else "ES256",
        fineract="1.8" if fineract == "1.8" else "current",
        forced_cases=not no_forced_cases,
        climate=climate,
        as_json=as_json,
    )
    sys.exit(run(options))


@cli.group()
def bpmn() -> None:
    """Check process files."""


@bpmn.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--jobs", "-j", multiple=True, metavar="TYPE", help="A job type that another worker serves.")
@click.option("--messages", "-m", multiple=True, metavar="NAME", help="A message that somebody publishes.")
@click.option("--strict", is_flag=True, help="Exit 1 on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def lint(
    files: tuple[Path, ...], jobs: tuple[str, ...], messages: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Print all that is wrong with process FILES, each with its line; exit 1 on errors.

    A job type or message that no connector of payhub knows is a warning; name what you serve and
    publish yourself with --jobs and --messages, as often as needed.
    """
    from payhub_cli.bpmn.lint import run  # noqa: PLC0415 - as above

    sys.exit(run(files, jobs, messages, strict=strict, as_json=as_json))


@cli.group()
def ams() -> None:
    """Core banking systems: what they must do, and whether they do."""


@ams.command()
def contract() -> None:
    """Print the AMS contract, an OpenAPI 3.1 description for vendors of core banking systems."""
    from payhub_engines.connectors.ams.contract_file import read  # noqa: PLC0415 - as above

    click.echo(read(), nl=False)


@ams.command()
@click.argument("url")
@click.option("--kind", type=click.Choice(["fineract", "contract"]), default="fineract", show_default=True)
@click.option("--account", required=True, metavar="TYPE/VALUE", help="The only account that is used.")
@click.option("--amount", default="1", show_default=True, help="In units of the account's currency.")
@click.option("--user", default="", help="The password is read from PAYHUB_AMS_PASSWORD.")
@click.option("--platform-tenant", default="", help="Fineract's tenant.")
@click.option("--token-url", default="", help="OAuth2 instead of user and password.")
@click.option("--client-id", default="", help="The secret is read from PAYHUB_AMS_CLIENT_SECRET.")
@click.option("--scope", default="", help="OAuth2 scope.")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM of the bank's own authority.")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM of the client certificate.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM of its private key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; progress goes to stderr.")
def check(  # noqa: PLR0917 - as many as it has options
    url: str,
    kind: AmsKind,
    account: str,
    amount: str,
    user: str,
    platform_tenant: str,
    token_url: str,
    client_id: str,
    scope: str,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Examine the core bank at URL: each check with what was sent, wanted and came, and how to mend it.

    Money is held, taken and paid back on the one account given, which nobody else should use meanwhile; its
    balance is the same afterwards. Exit status 0 only when the bank conforms.
    """
    from payhub_cli.ams.command import Options, run  # noqa: PLC0415 - as above

    options = Options(
        url=url,
        kind=kind,
        account=account,
        amount=amount,
        user=user,
        password=os.environ.get("PAYHUB_AMS_PASSWORD", ""),
        platform_tenant=platform_tenant,
        token_url=token_url,
        client_id=client_id,
        client_secret=os.environ.get("PAYHUB_AMS_CLIENT_SECRET", ""),
        scope=scope,
        ca=ca,
        certificate=certificate,
        key=key,
    )
    sys.exit(run(options, as_json=as_json))


cli.add_command(bench)


@cli.command()
def version() -> None:
    """Print payhub's version."""
    click.echo(f"payhub {installed_version('payhub')}")


def main() -> None:
    """Run the command; what payhub refuses is told in one sentence, without a traceback."""
    try:
        cli()
    except PayhubError as error:
        click.echo(f"payhub: {error.title} ({error.code}). {error.detail}", err=True)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("payhub_"):
            raise
        text = f"The module {error.name} is missing. Install payhub with the extras of what it should run."
        click.echo(f"payhub: {text}", err=True)
    else:
        return
    sys.exit(EXIT_REFUSED)
