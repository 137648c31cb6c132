"""`payhub up`: an installation in the foreground."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import click

from payhub_cli.installation import Installation, installed
from payhub_cli.profiles import Profile


def run(profile: Profile, folder: Path, *, sandbox: bool) -> None:
    """Run an installation until SIGINT or SIGTERM."""
    asyncio.run(_run(profile, folder, sandbox=sandbox))


async def _run(profile: Profile, folder: Path, *, sandbox: bool) -> None:
    async with installed(profile, folder, sandbox=sandbox) as installation:
        with stop_signals() as stopped:
            starting = asyncio.create_task(installation.supervisor.start())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                _tell(installation)
                await stopping
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
        click.echo("Stopping ...", err=True)


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Turn SIGINT and SIGTERM into an event for the length of a block."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _tell(installation: Installation) -> None:
    click.echo(f"payhub runs (profile {installation.profile}). Data: {installation.around.folder}")
    for child in installation.supervisor.children:
        click.echo(f"  {child.spec.name:14} {child.spec.url}")
    click.echo("Tokens and keys: secrets.json in the data folder. Memory: payhub status. Stop: Ctrl-C.")
