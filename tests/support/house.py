"""A whole installation for tests: real processes, four onboarded institutions, one channel of Buffalo."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from support.ports import free_ports

from payhub_cli.demo import story
from payhub_cli.demo.audit import until_complete
from payhub_cli.demo.books import Books, books, conservation, nothing_held
from payhub_cli.demo.channel import CLIENT_ID, Channel
from payhub_cli.demo.client import Api
from payhub_cli.demo.onboarding import Onboarding
from payhub_cli.demo.result import completed
from payhub_cli.demo.story import PlannedPayment
from payhub_cli.installation import LOCK_FILE, Installation, installed, remove_outside
from payhub_cli.local import files
from payhub_cli.process import ask_health
from payhub_cli.profiles import port_names, replica_names
from payhub_cli.supervisor import Child
from payhub_platform.contracts.channel import TransferStatus
from payhub_platform.money import Money
from payhub_platform.security.internal import internal_headers

SETTLE_WAIT_S = 40.0
POLL_S = 0.05
_SETTLED = {1: ["leader"], 3: ["follower", "follower", "leader"]}


@dataclass
class House:
    """Handles on everything that runs."""

    installation: Installation
    session: aiohttp.ClientSession
    channel: Channel
    sandbox: Api
    gateway: Api
    operations: Api
    tenants: Api
    engines: list[Api]
    sent: int = field(default=0)

    def replica(self, engine: str, replica: str) -> str:
        """Return the name of a replica's process."""
        return replica_names(engine, self.installation.around.replicas)[replica]

    async def roles(self, engine: str) -> dict[str, str]:
        """Return what each replica of an engine says that it is, by replica id; empty where it is away."""
        urls = self.installation.around.replica_urls(engine)
        asked = await asyncio.gather(*(asyncio.to_thread(ask_health, url) for url in urls.values()))
        return {replica: health.role for replica, health in zip(urls, asked, strict=True)}

    async def leader(self, engine: str) -> str:
        """Wait until all replicas of an engine agree that one leads, and return its id."""
        async with asyncio.timeout(SETTLE_WAIT_S):
            while sorted((roles := await self.roles(engine)).values()) != _SETTLED[len(roles)]:
                await asyncio.sleep(POLL_S)
        return next(replica for replica, role in roles.items() if role == "leader")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        os.kill(self.child(name).pid, number)

    def child(self, name: str) -> Child:
        """Return a supervised process."""
        return next(child for child in self.installation.supervisor.children if child.spec.name == name)

    def kill(self, name: str) -> None:
        """Kill a process as a power cut would; the supervisor starts it again."""
        os.kill(self.child(name).pid, signal.SIGKILL)

    def ended_cleanly(self, name: str) -> bool:
        """Tell whether a stopped process ended by itself, with status 0."""
        process = self.child(name).process
        return process is not None and process.returncode == 0

    async def until_ready(self, name: str) -> None:
        """Wait until a process serves again."""
        async with asyncio.timeout(SETTLE_WAIT_S):
            while self.child(name).state != "ready":
                await asyncio.sleep(POLL_S)

    def plan(self, count: int, bank: str = "lion", amount: str = "1.00") -> list[PlannedPayment]:
        """Plan payments that must all succeed, under keys never used before."""
        self.sent += count
        return [
            PlannedPayment(
                key=f"house-{number}",
                payer=story.msisdn(story.PAYER_FSP, 1 + number % 4),
                payee=story.msisdn(bank, 1 + number % 4),
                payee_fsp=bank,
                amount=Money.parse(amount, story.CURRENCY),
            )
            for number in range(self.sent - count, self.sent)
        ]

    async def pay(
        self, planned: list[PlannedPayment], on_final: Callable[[], None] = lambda: None
    ) -> list[TransferStatus]:
        """Send payments and wait until each is final; busy or restarting services are tried again."""
        return await self.channel.pay_all(planned, on_final)

    async def books(self) -> Books:
        """Read all banks' books and the switch's positions."""
        fsps = list(story.PLACEMENTS)
        ledgers = await asyncio.gather(*(self.sandbox.get(f"/banks/{fsp}/admin/ledger") for fsp in fsps))
        return books(dict(zip(fsps, ledgers, strict=True)), await self.sandbox.get("/switch/admin/positions"))

    async def assert_books(
        self, before: Books, planned: list[PlannedPayment], statuses: Sequence[TransferStatus]
    ) -> None:
        """Assert that exactly the completed payments moved money, once, and that nothing is held."""
        moved = completed(planned, list(statuses))
        deadline = time.monotonic() + SETTLE_WAIT_S
        while True:
            after = await self.books()
            failed = [
                f"{check.name}: {check.detail}"
                for check in [*conservation(before, after, moved), nothing_held(after)]
                if not check.holds
            ]
            if not failed:
                return
            assert time.monotonic() < deadline, failed
            await asyncio.sleep(POLL_S)

    async def assert_audit_complete(self) -> None:
        """Assert that every event of every engine's log is in PostgreSQL."""
        state = await until_complete(self.engines, self.operations)
        assert state.is_complete, state.figures

    async def stored_events(self) -> int:
        """Return how many records operations has stored."""
        audit = await self.operations.get("/api/v1/audit")
        return sum(engine["storedEvents"] for engine in audit["engines"])

    async def place(self, fsp: str, *placement: str, weights: Sequence[int] = ()) -> None:
        """Have other engines serve a tenant."""
        body = {"placement": list(placement), **({"weights": list(weights)} if weights else {})}
        await self.tenants.put(f"/v1/tenants/{fsp}/placement", body)

    async def until_moved(self, fsp: str) -> dict[str, Any]:
        """Wait until nothing is open at the engines that served a tenant before, and return its placement."""
        async with asyncio.timeout(SETTLE_WAIT_S):
            while (view := await self.tenants.get(f"/v1/tenants/{fsp}/placement"))["isMoving"]:
                await asyncio.sleep(POLL_S)
        return dict(view)

    async def raw(self, method: str, path: str, **options: Any) -> tuple[int, str, dict[str, Any]]:
        """Ask the gateway and return status, media type and decoded body."""
        url = self.gateway.base_url + path
        async with self.session.request(method, url, **options) as answer:
            content = await answer.read()
            return answer.status, answer.content_type, msgspec.json.decode(content or b"{}")


@contextlib.asynccontextmanager
async def running_house(folder: Path, replicas: int = 1) -> AsyncIterator[House]:
    """Start the profile full with the sandbox, onboard everybody, get a token."""
    _keep_ports(folder, port_names("full", sandbox=True, replicas=replicas))
    async with (
        installed("full", folder, sandbox=True, replicas=replicas) as installation,
        aiohttp.ClientSession() as session,
    ):
        await installation.supervisor.start()
        secrets = installation.around.secrets

        def api(name: str) -> Api:
            return Api(session, installation.url(name))

        engine_urls = installation.engine_urls()
        gateway, sandbox = api("gateway"), api("sandbox")
        channel = Channel(gateway)
        tenants = api("tenants").with_headers({"Authorization": f"Bearer {secrets.aggregator_token}"})
        await Onboarding(tenants, sandbox, installation.replica_urls()).run(CLIENT_ID, channel.public_keys())
        await channel.authenticate()
        own = internal_headers(secrets.internal_token)
        yield House(
            installation=installation,
            session=session,
            channel=channel,
            sandbox=sandbox,
            gateway=gateway,
            operations=api("operations").with_headers({"Authorization": f"Bearer {secrets.operator_token}"}),
            tenants=tenants,
            engines=[Api(session, url, own) for url in engine_urls.values()],
        )
    remove_outside(folder)


def _keep_ports(folder: Path, names: list[str]) -> None:
    """Make the folder and keep ports in it, as an earlier start would have; a test beside us has others."""
    folder.mkdir()
    (folder / LOCK_FILE).touch()
    chosen = dict(zip(names, free_ports(len(names)), strict=True))
    files.write_private(folder / "ports.json", msgspec.json.encode(chosen))
