"""`payhub bench engine`: starts an engine of its own, loads it, tells what it did."""

import asyncio
import contextlib
import math
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psutil

from payhub_cli.bench.client import Client
from payhub_cli.bench.flood import RATE, FloodSettings, measure_flood
from payhub_cli.bench.group import Replicas, Shape
from payhub_cli.bench.measure import Bench
from payhub_cli.bench.report import Figures, FloodFigures, as_json, flood_text, text
from payhub_cli.bench.steady import Settings, measure
from payhub_cli.errors import FolderError
from payhub_cli.local import nats
from payhub_cli.local.files import new_folder
from payhub_cli.local.server import running
from payhub_cli.up import until_stopped
from payhub_platform.bus.connection import Bus, connect

EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130
SECONDS: Final = 30.0
SECONDS_MAX: Final = 3600.0  # where only the number of payments is given
IN_FLIGHT: Final = 150
FLOOD_IN_FLIGHT: Final = 2_000
PAYLOAD_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line; None where it was not."""

    replicas: int
    payments: int | None
    seconds: float | None
    in_flight: int | None
    rate: float | None
    kill: bool
    flood: bool
    rude: bool
    export: bool
    mutual_tls: bool
    as_json: bool
    data: Path | None


def run(data_root: Path, options: Options) -> int:
    """Measure and return the exit status: 1 when something was lost, doubled or left out.

    Raises:
        PayhubError: the measurement could not be made.
    """
    folder = bench_folder(data_root, options.data)
    is_of_no_use = False
    try:
        figures = asyncio.run(_until_stopped(folder, options))
        if figures is None:
            is_of_no_use = True
            return EXIT_INTERRUPTED
        problems = figures.problems()
        shown = text(figures) if isinstance(figures, Figures) else flood_text(figures)
        click.echo(as_json(figures) if options.as_json else shown)
        for problem in problems:
            click.echo(problem, err=True)
        is_of_no_use = not problems
        return EXIT_WRONG if problems else 0
    finally:
        if options.data is None and is_of_no_use:
            shutil.rmtree(folder)
        elif not is_of_no_use:
            click.echo(f"Logs and data are kept in {folder}", err=True)


async def _until_stopped(folder: Path, options: Options) -> Figures | FloodFigures | None:
    return await until_stopped(_measure(folder, options))


async def _measure(folder: Path, options: Options) -> Figures | FloodFigures:
    async with _bench(folder, options) as bench:
        seconds = options.seconds or (SECONDS_MAX if options.payments else SECONDS)
        if options.flood:
            flood = FloodSettings(
                replicas=options.replicas,
                seconds=options.seconds or SECONDS,
                payments_max=options.payments or math.inf,
                in_flight=options.in_flight or FLOOD_IN_FLIGHT,
                rate=options.rate or RATE,
                is_rude=options.rude,
            )
            return await measure_flood(bench, flood)
        settings = Settings(
            replicas=options.replicas,
            seconds=seconds,
            payments=options.payments or 0,
            in_flight=options.in_flight or IN_FLIGHT,
            rate=options.rate or 0.0,
            is_killed=options.kill,
            is_mutual_tls=options.mutual_tls,
        )
        return await measure(bench, settings)


@contextlib.asynccontextmanager
async def _bench(folder: Path, options: Options) -> AsyncIterator[Bench]:
    """Start NATS and the replicas for the length of a block."""
    began = time.perf_counter()

    def say(line: str) -> None:
        click.echo(f"{time.perf_counter() - began:6.1f} s  {line}", err=True)

    with contextlib.ExitStack() as stack:
        url, exporting = "", None
        if options.export:
            say("start NATS")
            server = stack.enter_context(running(nats.prepare(folder / "nats"), folder / "nats.log"))
            url, exporting = server.url, await connect(server.url, "bench")
        shape = Shape(options.replicas, url, options.mutual_tls, PAYLOAD_BYTES)
        replicas = Replicas(folder / "engine", shape)
        stack.callback(replicas.stop)
        say(f"start {options.replicas} replica{'s' if options.replicas > 1 else ''}")
        replicas.start()
        client = Client(replicas.ports, replicas.check)
        try:
            say(f"replica {await client.find_leader()} leads")
            pair: tuple[Bus, int] | None = None if exporting is None else (exporting, _nats_pid())
            yield Bench(replicas, client, pair, folder, say)
        finally:
            if exporting is not None:
                await exporting.close()


def _nats_pid() -> int:
    """Return the process id of the NATS server that was just started; it is a child of ours."""
    return next(child.pid for child in psutil.Process().children() if "nats" in child.name())


def bench_folder(data_root: Path, data: Path | None) -> Path:
    """Return the folder to measure in: ``data``, which must be empty, or a new one.

    Raises:
        FolderError: it cannot be used.
    """
    return _empty(data.resolve()) if data else new_folder(data_root.resolve(), "bench-")


def _empty(folder: Path) -> Path:
    """Return a folder that nobody has measured in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderError(f"{folder} is not empty; a measurement begins with an empty log.")
    except OSError as error:
        raise FolderError(f"{folder} cannot be used: {error.strerror}.") from error
    return folder
