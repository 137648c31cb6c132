"""`payhub demo`: makes an installation, runs the demonstration on it, tells what it found."""

import asyncio
import contextlib
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from payhub_cli import installation as installations
from payhub_cli.demo import report
from payhub_cli.demo.progress import Steps
from payhub_cli.demo.result import Findings
from payhub_cli.demo.run import run as demonstrate
from payhub_cli.installation import Installation, installed
from payhub_cli.up import stop_signals
from payhub_platform.errors import PayhubError

EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130
PIPE_COLUMNS: Final = 110


def run(data_root: Path, data: Path | None, *, keep: bool, as_json: bool) -> int:
    """Run the demonstration and return the exit status.

    Args:
        data_root: where a new folder is made when ``data`` is None.
        data: the folder to use, which is kept.
        keep: leave everything running until Ctrl-C, and keep the data.
        as_json: one JSON document on standard output, progress on standard error.
    """
    folder = data.resolve() if data else _new_folder(data_root.resolve())
    console = _console(as_json=as_json)
    demo = _Demo(folder, console, keep=keep, as_json=as_json)
    status = EXIT_WRONG
    try:
        status = asyncio.run(demo.run())
    finally:
        # What went wrong can be looked into; what went well leaves nothing.
        if data is None and not keep and status in (0, EXIT_INTERRUPTED):
            installations.remove_outside(folder)
            shutil.rmtree(folder)
        elif status != 0:
            console.print(f"Logs and data are kept in {folder}")
    return status


class _Demo:
    def __init__(self, folder: Path, console: Console, *, keep: bool, as_json: bool) -> None:
        self._folder = folder
        self._console = console
        self._keep = keep
        self._as_json = as_json
        self._started = time.monotonic()
        self._is_kept = False  # told its findings, and stays until Ctrl-C

    async def run(self) -> int:
        with stop_signals() as stopped:
            work = asyncio.create_task(self._work(stopped))
            interrupt = asyncio.create_task(stopped.wait())
            await asyncio.wait({work, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not self._is_kept:
                work.cancel()
            interrupt.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                return await work
        return EXIT_INTERRUPTED

    async def _work(self, stopped: asyncio.Event) -> int:
        steps = Steps(self._console)
        code = secrets.token_urlsafe(16)
        async with installed("full", self._folder, sandbox=True, login_code=code) as installation:
            names = ", ".join(child.spec.name for child in installation.supervisor.children)
            with steps.step(f"Start {names}"):
                await installation.supervisor.start()
            findings = await demonstrate(installation, steps)
            holds = self._tell(findings)
            if self._keep:
                await self._stay(installation, stopped)
            self._console.print("Stopping ...")
        return 0 if holds else EXIT_WRONG

    def _tell(self, findings: Findings) -> bool:
        wall_s = time.monotonic() - self._started
        checks = findings.checks()
        if self._as_json:
            document = msgspec.json.encode(findings.document(wall_s))
            click.echo(msgspec.json.format(document).decode())
            for check in checks:
                if not check.holds:
                    self._console.print(f"✗ {check.name} ({check.detail})")
        else:
            report.show(self._console, findings, checks, wall_s)
            self._console.print(f"Operations: {findings.ops_url}", soft_wrap=True)
        return all(check.holds for check in checks)

    async def _stay(self, installation: Installation, stopped: asyncio.Event) -> None:
        self._is_kept = True
        self._console.print(f"Everything goes on running in {installation.around.folder}. Stop: Ctrl-C.")
        await stopped.wait()


def _console(*, as_json: bool) -> Console:
    file = sys.stderr if as_json else sys.stdout
    # A pipe has no width; a terminal's own is used.
    return Console(file=file, width=None if file.isatty() else PIPE_COLUMNS, highlight=False)


def _new_folder(root: Path) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="demo-", dir=root))
    except OSError as error:
        raise PayhubError("data-folder", f"No data folder can be made in {root}: {error}.") from error
