"""`payhub onboard`: runs the calls against an installation of this machine, and tells their times."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import msgspec

from payhub_cli import state
from payhub_cli.demo.client import Api
from payhub_cli.onboard.errors import OnboardError
from payhub_cli.onboard.steps import Onboarding, Places, Step

EXIT_WRONG: Final = 1
_SECRETS: Final = "secrets.json"
_ENGINE: Final = "engine-"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What `payhub onboard --json` prints; ``wall_s`` is from the request to the end of the first payment."""

    tenant: str
    payment: str
    wall_s: float
    steps: list[Step]
    certification: dict[str, Any] | None = None


def run(folder: Path, bank: str, *, certify: bool, as_json: bool) -> int:
    """Onboard a bank of the sandbox and return the exit status: 0 where it paid, and passed what was asked.

    Raises:
        NotRunningError: no installation runs in ``folder``.
        OnboardError: it has no sandbox, or a step was refused.
    """
    outcome = asyncio.run(_onboard(folder, bank, certify=certify))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    else:
        show(outcome)
    passed = outcome.certification is None or outcome.certification["state"] == "passed"
    return 0 if outcome.payment == "COMPLETED" and passed else EXIT_WRONG


async def _onboard(folder: Path, bank: str, *, certify: bool) -> Outcome:
    urls = {record.name: record.url for record in state.read(folder).processes}
    if "sandbox" not in urls:
        raise OnboardError("This installation has no sandbox. Start one: payhub up --sandbox.")
    engines = [(name, url) for name, url in urls.items() if name.startswith(_ENGINE)]
    engine = engines[0][0].removeprefix(_ENGINE).partition("-")[0]
    secrets = msgspec.json.decode((folder / _SECRETS).read_bytes(), type=dict[str, str])
    token = {"Authorization": f"Bearer {secrets['aggregator_token']}"}
    async with aiohttp.ClientSession() as session:
        onboarding = Onboarding(
            Places(
                tenants=Api(session, urls["tenants"], token),
                gateway=Api(session, urls["gateway"]),
                sandbox=Api(session, urls["sandbox"]),
                engine=engine,
                callback_urls=[
                    f"{url}/fspiop" for name, url in engines if name.startswith(f"{_ENGINE}{engine}")
                ],
            )
        )
        started = time.monotonic()
        payment = await onboarding.run(bank)
        wall_s = time.monotonic() - started
        report = None
        if certify:
            guide = await Api(session, urls["sandbox"]).get("/sandbox")
            members = next(each for each in guide["banks"] if each["fspId"] == bank)["members"]
            # Not the member who has just paid: its bank may still be booking.
            report = await onboarding.certify(bank, members[1]["msisdn"])
    return Outcome(
        tenant=bank,
        payment=payment,
        wall_s=round(wall_s, 2),
        steps=onboarding.steps,
        certification=report,
    )


def show(outcome: Outcome) -> None:
    """Print each call with its time, and each case of the suite; what failed with what to mend."""
    for step in outcome.steps:
        click.echo(f"{step.ms:7} ms  {step.call:48} {step.what}")
    click.echo(f"{outcome.wall_s:7.2f} s   from the request to the first payment: {outcome.payment}")
    if outcome.certification is None:
        return
    for line in outcome.certification["cases"]:
        done = "passed" if line["passed"] else "FAILED"
        click.echo(f"{line['durationMs']:7} ms  {done}  {line['caseId']:22} {line['found']}")
        if not line["passed"]:
            click.echo(f"                    expected {line['expected']}\n                    {line['mend']}")
    click.echo(f"Certification: {outcome.certification['state']}")
