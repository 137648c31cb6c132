"""`payhub demo`: makes an installation, runs the demonstration on it, tells what it found."""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from payhub_cli import installation as installations
from payhub_cli.demo import report, servers
from payhub_cli.demo.progress import Steps, console, mark
from payhub_cli.demo.result import Findings
from payhub_cli.demo.run import run as demonstrate
from payhub_cli.installation import Installation, installed
from payhub_cli.local.files import new_folder
from payhub_cli.up import undisturbed, until_stopped

EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130


def run(data_root: Path, data: Path | None, *, keep: bool, as_json: bool, replicas: int | None = None) -> int:
    """Run the demonstration and return the exit status: 130 when interrupted before its end.

    Args:
        data_root: where a new folder is made when ``data`` is None.
        data: the folder to use, which is kept.
        keep: leave everything running until Ctrl-C, and keep the data.
        as_json: one JSON document on standard output, progress on standard error.
        replicas: of each engine; None means as many as the folder has, or one.
    """
    folder = data.resolve() if data else new_folder(data_root.resolve(), "demo-")
    shown = console(sys.stderr if as_json else sys.stdout)
    demo = _Demo(folder, shown, keep=keep, as_json=as_json, replicas=replicas)
    status = EXIT_WRONG
    try:
        status = asyncio.run(demo.run())
    finally:
        # What went wrong can be looked into; what went well, or never began, leaves nothing.
        is_of_no_use = not demo.has_begun or (status in (0, EXIT_INTERRUPTED) and not keep)
        if data is None and is_of_no_use:
            with undisturbed():
                installations.remove_outside(folder)
                shutil.rmtree(folder)
        elif demo.has_begun and status != 0:
            shown.print(f"Logs and data are kept in {folder}", soft_wrap=True)
    return status


class _Demo:
    def __init__(
        self, folder: Path, shown: Console, *, keep: bool, as_json: bool, replicas: int | None
    ) -> None:
        self._folder = folder
        self._console = shown
        self._keep = keep
        self._as_json = as_json
        self._replicas = replicas
        self._started = time.monotonic()
        self.has_begun = False

    async def run(self) -> int:
        status = await until_stopped(self._work())
        return EXIT_INTERRUPTED if status is None else status

    async def _work(self) -> int:
        steps = Steps(self._console)
        code = secrets.token_urlsafe(16)
        await servers.check(os.environ)
        async with installed(
            "full", self._folder, sandbox=True, login_code=code, replicas=self._replicas
        ) as installation:
            self.has_begun = True
            try:
                names = ", ".join(child.spec.name for child in installation.supervisor.children)
                with steps.step(f"Start {names}"):
                    await installation.supervisor.start()
                findings = await demonstrate(installation, steps)
                holds = self._tell(findings)
                if self._keep:
                    await self._stay(installation)
            finally:
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
                    self._console.print(f"{mark(self._console, holds=False)} {check.name} ({check.detail})")
        else:
            report.show(self._console, findings, checks, wall_s)
            until = "" if self._keep else " (until it stops now; --keep leaves it open)"
            self._console.print(f"Operations: {findings.ops_url}{until}", soft_wrap=True)
        return all(check.holds for check in checks)

    async def _stay(self, installation: Installation) -> None:
        folder = installation.around.folder
        self._console.print(f"Everything goes on running in {folder}. Stop: Ctrl-C.", soft_wrap=True)
        self._console.print(
            "The address of operations lets you in once; later, operator_token in secrets.json there does. "
            "All addresses: payhub status.",
            soft_wrap=True,
        )
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
