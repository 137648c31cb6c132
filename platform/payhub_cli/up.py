"""`payhub up`: an installation in the foreground."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from payhub_cli.installation import Installation, installed
from payhub_cli.profiles import Profile

T = TypeVar("T")

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(profile: Profile, folder: Path, *, sandbox: bool, replicas: int | None = None) -> None:
    """Run an installation until SIGINT or SIGTERM."""
    asyncio.run(_run(profile, folder, sandbox=sandbox, replicas=replicas))


async def _run(profile: Profile, folder: Path, *, sandbox: bool, replicas: int | None) -> None:
    await until_stopped(_up(profile, folder, sandbox=sandbox, replicas=replicas))


async def _up(profile: Profile, folder: Path, *, sandbox: bool, replicas: int | None) -> None:
    async with installed(profile, folder, sandbox=sandbox, replicas=replicas) as installation:
        try:
            await installation.supervisor.start()
            _tell(installation)
            await asyncio.Event().wait()
        finally:
            click.echo("Stopping ...", err=True)


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what ``work`` returns; SIGINT and SIGTERM cancel it, and then None is returned.

    Signals that come later change nothing: whoever is cancelled stops in bounded time.
    """
    with _stop_signals() as stopped:
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        working.cancel()  # what has ended is not changed by it
        try:
            return await working
        except asyncio.CancelledError:
            return None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM for the length of a block, which must be short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Turn SIGINT and SIGTERM into an event for the length of a block; after one, more are ignored."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
            if stopped.is_set():  # all that is left to do is to end, with the status that is due
                signal.signal(number, signal.SIG_IGN)


def _tell(installation: Installation) -> None:
    click.echo(f"payhub runs (profile {installation.profile}). Data: {installation.around.folder}")
    for child in installation.supervisor.children:
        click.echo(f"  {child.spec.name:14} {child.spec.url}")
    click.echo("Tokens and keys: secrets.json in the data folder. Memory: payhub status. Stop: Ctrl-C.")
