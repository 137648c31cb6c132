"""Runs the same durable workflow on payhub's engine and its peers, and prints their figures side by side."""

import asyncio
import os
import platform
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import click
import msgspec
import psutil

from payhub_peers.adapters import PEERS
from payhub_peers.measure import Settings, measure
from payhub_peers.processes import sync_us
from payhub_peers.report import Machine, Run, machine_line, table

WORKFLOWS_MAX: Final = 1_000_000
_GIB: Final = 1024**3


@click.command()
@click.option("--workflows", default=WORKFLOWS_MAX, help="End a load after this many workflows.")
@click.option("--clients", default=16, show_default=True, help="Submitters at once.")
@click.option("--seconds", default=20.0, show_default=True, help="End a load after this long.")
@click.option("--kill", is_flag=True, help="Load again and kill -9 the peer's main process in the middle.")
@click.option("--kill-all", is_flag=True, help="The same with every process of the peer, its database too.")
@click.option("--only", multiple=True, type=click.Choice(sorted(PEERS)), help="This peer; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--work-dir", type=click.Path(path_type=Path), help="Environments and data; on a real disk.")
def main(
    *,
    workflows: int,
    clients: int,
    seconds: float,
    kill: bool,
    kill_all: bool,
    only: tuple[str, ...],
    as_json: bool,
    work_dir: Path | None,
) -> None:
    """Run the eight-step workflow on each peer in turn; exit 1 where one could not be run."""
    work = (work_dir or Path(tempfile.gettempdir()) / "payhub-peers").resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = Settings(clients, seconds, workflows, "all" if kill_all else "main" if kill else "")
    run = asyncio.run(_run(work, settings, only or tuple(PEERS)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(run)))
    else:
        click.echo(f"\n{machine_line(run.machine)}; {clients} clients, {seconds:.0f} s each\n")
        click.echo(table(run.peers))
    sys.exit(any(result.failure for result in run.peers))


async def _run(work: Path, settings: Settings, names: tuple[str, ...]) -> Run:
    machine = _machine(work)
    results = [await measure(PEERS[name](work), settings, partial(_say, name)) for name in names]
    return Run(machine=machine, clients=settings.clients, seconds=settings.seconds, peers=results)


def _say(name: str, text: str) -> None:
    click.echo(f"{name}: {text}", err=True)


def _machine(work: Path) -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=psutil.virtual_memory().total / _GIB,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sync_us=sync_us(work),
    )


def _processor() -> str:
    """Return the processor's name as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
