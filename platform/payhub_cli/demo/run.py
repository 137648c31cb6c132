"""The demonstration itself, against an installation that runs."""

import asyncio
import time
from typing import Final

import aiohttp

from payhub_cli.demo import audit, servers, story, webhooks
from payhub_cli.demo.books import Books, books, conservation, nothing_held
from payhub_cli.demo.channel import CLIENT_ID, Channel
from payhub_cli.demo.client import Api
from payhub_cli.demo.onboarding import Onboarding
from payhub_cli.demo.progress import Steps
from payhub_cli.demo.result import Findings, completed
from payhub_cli.demo.story import PlannedPayment
from payhub_cli.installation import Installation
from payhub_platform.security.internal import internal_headers

QUIET_WAIT_S: Final = 20.0
QUIET_POLL_S: Final = 0.2


async def run(installation: Installation, steps: Steps) -> Findings:
    """Onboard, pay, and look at everything that must hold afterwards.

    Raises:
        DemoError: a step could not be done at all; what merely ended wrong is in the findings.
    """
    secrets = installation.around.secrets
    async with aiohttp.ClientSession() as session, webhooks.receiver() as receiver:
        sandbox = Api(session, installation.url("sandbox"))
        tenants = Api(
            session, installation.url("tenants"), {"Authorization": f"Bearer {secrets.aggregator_token}"}
        )
        operator = {"Authorization": f"Bearer {secrets.operator_token}"}
        operations = Api(session, installation.url("operations"), operator)
        engine_urls = installation.engine_urls()
        channel = Channel(Api(session, installation.url("gateway")))
        await servers.check_tenants(tenants)
        with steps.step("Onboard Lion, Buffalo, Rhino and Elephant through the tenants API"):
            await Onboarding(tenants, sandbox, installation.replica_urls()).run(
                CLIENT_ID, channel.public_keys()
            )
        with steps.step("Get an OAuth2 token for a channel of Buffalo (private_key_jwt)"):
            await channel.authenticate()
        with steps.step("Have the channel told by webhook what becomes of its payments"):
            await receiver.subscribe(tenants, operations)
        before = await _read_books(sandbox)
        planned = story.payments()
        with steps.step(f"Send {len(planned)} payments through the gateway") as step:
            statuses = await channel.pay_all(planned, on_final=lambda: step.advance(len(planned)))
        with steps.step("Compare the banks' books with the switch's positions"):
            after = await _until_quiet(sandbox, before, completed(planned, statuses))
        with steps.step("Compare the engines' logs with PostgreSQL"):
            own = internal_headers(secrets.internal_token)
            engines = [Api(session, url, own) for url in engine_urls.values()]
            state = await audit.until_complete(engines, operations)
        with steps.step("Compare what the channel was told with what it asked for itself"):
            told = await receiver.until_told(statuses)
            await receiver.unsubscribe(tenants)
    return Findings(
        planned=planned,
        statuses=statuses,
        before=before,
        after=after,
        audit=state,
        told=told,
        ops_url=f"{installation.url('operations')}/login?code={installation.around.login_code}",
    )


async def _read_books(sandbox: Api) -> Books:
    fsps = list(story.PLACEMENTS)
    ledgers = await asyncio.gather(*(sandbox.get(f"/banks/{fsp}/admin/ledger") for fsp in fsps))
    positions = await sandbox.get("/switch/admin/positions")
    return books(dict(zip(fsps, ledgers, strict=True)), positions)


async def _until_quiet(sandbox: Api, before: Books, moved: list[PlannedPayment]) -> Books:
    """Wait, with a limit, for the payees' banks: they credit after the payer has been told."""
    deadline = time.monotonic() + QUIET_WAIT_S
    while True:
        after = await _read_books(sandbox)
        checks = [*conservation(before, after, moved), nothing_held(after)]
        if all(check.holds for check in checks) or time.monotonic() > deadline:
            return after
        await asyncio.sleep(QUIET_POLL_S)
