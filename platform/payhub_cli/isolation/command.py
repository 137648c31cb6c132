"""`payhub isolation`: makes an installation with four institutions, and lets one try to reach another."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
from rich.console import Console

from payhub_cli import installation as installations
from payhub_cli.demo.channel import CLIENT_ID, Channel
from payhub_cli.demo.client import Api
from payhub_cli.demo.onboarding import Onboarding
from payhub_cli.demo.progress import Steps, console
from payhub_cli.installation import Installation, installed
from payhub_cli.isolation.model import Report
from payhub_cli.isolation.report import show
from payhub_cli.isolation.strangers import strangers
from payhub_cli.isolation.suite import prove
from payhub_cli.local.files import new_folder
from payhub_cli.up import undisturbed, until_stopped

EXIT_WRONG: Final = 1
EXIT_INTERRUPTED: Final = 130


def run(data_root: Path, *, as_json: bool) -> int:
    """Try, tell, and return the exit status: 0 only where nothing was found.

    Args:
        data_root: where a folder is made; it is removed afterwards, unless something was found.
        as_json: one JSON document on standard output, progress on standard error.
    """
    folder = new_folder(data_root.resolve(), "isolation-")
    shown = console(sys.stderr if as_json else sys.stdout)
    status = EXIT_WRONG
    try:
        report = asyncio.run(until_stopped(_work(folder, shown)))
        if report is None:
            status = EXIT_INTERRUPTED
            return status
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(report)))
        else:
            show(shown, report)
        status = 0 if report.holds() else EXIT_WRONG
    finally:
        if status == EXIT_WRONG:
            shown.print(f"Logs and data are kept in {folder}", soft_wrap=True)
        else:
            with undisturbed():
                installations.remove_outside(folder)
                shutil.rmtree(folder)
    return status


async def _work(folder: Path, shown: Console) -> Report:
    steps = Steps(shown)
    async with installed("full", folder, sandbox=True) as installation, aiohttp.ClientSession() as session:
        with steps.step("Start an installation with four institutions"):
            await installation.supervisor.start()
        return await _prove(installation, session, steps)


async def _prove(installation: Installation, session: aiohttp.ClientSession, steps: Steps) -> Report:
    token = installation.around.secrets.aggregator_token
    tenants = Api(session, installation.url("tenants"), {"Authorization": f"Bearer {token}"})
    gateway, sandbox = (Api(session, installation.url(name)) for name in ("gateway", "sandbox"))
    channel = Channel(gateway)
    with steps.step("Onboard them; one makes a payment, another gets a channel and an operator"):
        onboarding = Onboarding(tenants, sandbox, installation.replica_urls())
        await onboarding.run(CLIENT_ID, channel.public_keys())
        await channel.authenticate()
        who = await strangers(gateway, tenants)
    with steps.step("Try every operation on what the other has") as step:
        return await prove(session, gateway, tenants, who, step.advance)
