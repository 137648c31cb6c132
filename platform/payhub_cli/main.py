"""The `payhub` command."""

import logging
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import click

from payhub_platform.errors import PayhubError

DATA_ROOT = Path(".payhub")
EXIT_REFUSED = 2


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
def up(profile: str, data: Path | None, sandbox: bool) -> None:
    """Run an installation until Ctrl-C.

    The environment variables NATS_URL and DATABASE_URL replace the bundled servers.
    """
    from payhub_cli.up import run  # noqa: PLC0415 - each command loads only what it needs

    folder = (data or DATA_ROOT / profile).resolve()
    run("full" if profile == "full" else "barebone", folder, sandbox=sandbox or profile == "full")


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
def demo(keep: bool, as_json: bool, data: Path | None) -> None:
    """Send 20 payments between four institutions over two engines, and check that all is right.

    Exit status 0 only when every check holds.
    """
    from payhub_cli.demo.command import run  # noqa: PLC0415 - as above

    sys.exit(run(DATA_ROOT, data, keep=keep, as_json=as_json))


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
