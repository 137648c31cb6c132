"""`payhub bench payments`: builds a small scheme, pays through it, tells what that took."""

import asyncio
import contextlib
import resource
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
from msgspec import structs

from payhub_cli.bench.command import EXIT_INTERRUPTED, EXIT_WRONG, bench_folder
from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.load import Load, Plan, percentile
from payhub_cli.bench.payments.channel import AMOUNT, Payments, drive
from payhub_cli.bench.payments.installation import PAYER_FSP, Cost, Shape, Site, built
from payhub_cli.bench.payments.peer import Peer, PeerMissingError, started
from payhub_cli.bench.payments.report import PaymentFigures, as_json, text, with_peer
from payhub_cli.bench.payments.scheme import BOOKS_PATH, SchemeAccount
from payhub_cli.bench.payments.verdict import is_settled, judge
from payhub_cli.demo.channel import Channel
from payhub_cli.demo.client import Api
from payhub_cli.up import until_stopped

WARM_UP_S: Final = 2.0
WARM_UP_PAYMENTS: Final = 200
SETTLE_S_MAX: Final = 20.0
SETTLE_POLL_S: Final = 0.2
PROGRESS_S: Final = 2.0
CLIENT_ID: Final = f"{PAYER_FSP}-bench"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        payments: end after so many; None: after ``seconds``.
        is_payee_played: the switch plays the payee's institution.
        has_peer: the peer pays as well, afterwards.
    """

    replicas: int
    payments: int | None
    seconds: float
    in_flight: int
    is_signed: bool
    is_payee_played: bool
    has_peer: bool
    as_json: bool
    data: Path | None


def run(data_root: Path, options: Options) -> int:
    """Measure and return the exit status: 1 when something was lost, doubled, failed or left out.

    Raises:
        PayhubError: the measurement could not be made.
    """
    folder = bench_folder(data_root, options.data)
    is_of_no_use = False
    try:
        figures = asyncio.run(until_stopped(_measure(folder, options)))
        if figures is None:
            is_of_no_use = True
            return EXIT_INTERRUPTED
        problems = figures.problems()
        click.echo(as_json(figures) if options.as_json else text(figures))
        for problem in problems:
            click.echo(problem, err=True)
        is_of_no_use = not problems
        return EXIT_WRONG if problems else 0
    finally:
        if options.data is None and is_of_no_use:
            shutil.rmtree(folder)
        elif not is_of_no_use:
            click.echo(f"Logs and data are kept in {folder}", err=True)


async def _measure(folder: Path, options: Options) -> PaymentFigures:
    began = time.perf_counter()

    def say(line: str) -> None:
        click.echo(f"{time.perf_counter() - began:6.1f} s  {line}", err=True)

    shape = Shape(options.replicas, options.is_signed, options.is_payee_played)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        built(folder, shape, say) as site,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        channel = Channel(Api(session, site.around.url("gateway")), CLIENT_ID)
        await site.publish(CLIENT_ID, channel.public_keys())
        await channel.authenticate()
        return await Bench(site, session, channel, say).measure(options)


class Bench:
    """One measurement of a site that runs.

    Args:
        site: its processes.
        session: of this client.
        channel: has a token.
        say: is told of the progress.
    """

    def __init__(
        self, site: Site, session: aiohttp.ClientSession, channel: Channel, say: Callable[[str], None]
    ) -> None:
        self._site = site
        self._session = session
        self._channel = channel
        self._say = say
        self._token = secrets.token_hex(3)

    async def measure(self, options: Options) -> PaymentFigures:
        """Warm up, pay, and compare the bank's books with what the channel was told.

        Raises:
            BenchError: nothing was completed, or a process crashed.
        """
        payments_max = options.payments or float("inf")
        warm_max = min(WARM_UP_PAYMENTS, payments_max)
        warm = await self._pay(Plan(f"{self._token}-warm", "", WARM_UP_S, options.in_flight, 0.0, warm_max))
        plan = Plan(f"{self._token}-load", "", options.seconds, options.in_flight, 0.0, payments_max)
        before = self._site.cost(), _own_cpu_s()
        paid = await self._pay(plan, warm.usual_s)
        after = self._site.cost(), _own_cpu_s()
        self._site.check()
        if not paid.load.completed:
            raise BenchError(f"No payment was completed. {_first(paid.failed)}".strip())
        figures = await self._figures(options, [warm, paid], before, after)
        return await self._beside(figures, plan) if options.has_peer else figures

    async def _beside(self, figures: PaymentFigures, plan: Plan) -> PaymentFigures:
        """Add the peer's figures for the same load, or why there are none."""
        self._say("start the peer")
        try:
            async with started(self._site) as (url, pid):
                warm = Plan(f"{self._token}-peerwarm", "", WARM_UP_S, plan.in_flight, 0.0, WARM_UP_PAYMENTS)
                await self._peer_paid(Peer(self._session, url, pid, Load(warm)))
                peer = Peer(self._session, url, pid, Load(replace(plan, prefix=f"{self._token}-peer")))
                before_s = peer.cpu_s()
                await self._peer_paid(peer)
                return with_peer(figures, peer.load, peer.cpu_s() - before_s, peer.failed)
        except PeerMissingError as error:
            return structs.replace(figures, peer_not_run=str(error))

    async def _peer_paid(self, peer: Peer) -> None:
        async with self._progress(peer.load):
            await drive(peer.load, peer.pay)

    async def _pay(self, plan: Plan, usual_s: float = 0.1) -> Payments:
        load = Load(plan)
        payments = Payments(
            self._session, self._site.around.url("gateway"), self._channel.headers, load, usual_s=usual_s
        )
        async with self._progress(load):
            await drive(load, payments.pay)
        return payments

    async def _figures(
        self,
        options: Options,
        loads: list[Payments],
        before: tuple[Cost, float],
        after: tuple[Cost, float],
    ) -> PaymentFigures:
        accepted = {sent for each in loads for sent in each.sent.values()}
        failed = {payment for each in loads for payment in each.failed}
        completed = {
            sent for each in loads for payment, sent in each.sent.items() if payment not in each.load.due_at
        } - failed
        is_credited = not options.is_payee_played
        account = await self._settled(completed, is_credited=is_credited)
        verdict = judge(accepted, failed, completed, account.books, AMOUNT, is_credited=is_credited)
        load = loads[-1].load
        latencies = sorted(load.latencies_ms)
        each_ms = 1000 / load.completed
        (cost, own_s), (cost_before, own_before_s) = after, before
        reasons = [f"A payment failed: {_first(each.failed)}" for each in loads if each.failed]
        return PaymentFigures(
            payments=load.completed,
            seconds=load.seconds,
            payments_per_s=load.completed / load.seconds,
            p50_ms=percentile(latencies, 50),
            p99_ms=percentile(latencies, 99),
            engine_cpu_ms_per_payment=(cost.engine_s - cost_before.engine_s) * each_ms,
            gateway_cpu_ms_per_payment=(cost.gateway_s - cost_before.gateway_s) * each_ms,
            scheme_cpu_ms_per_payment=(cost.scheme_s - cost_before.scheme_s) * each_ms,
            nats_cpu_ms_per_payment=(cost.nats_s - cost_before.nats_s) * each_ms,
            client_cpu_ms_per_payment=(own_s - own_before_s) * each_ms,
            signed=options.is_signed,
            replicas=options.replicas,
            in_flight=options.in_flight,
            payee="switch" if options.is_payee_played else "payhub",
            refusals=sum(each.load.refusals for each in loads),
            failed=len(failed),
            lost=verdict.lost,
            duplicated=verdict.duplicated,
            undelivered=account.undelivered,
            refused_messages=account.refused,
            wrong=[*verdict.examples, *reasons],
        )

    async def _settled(self, completed: set[str], *, is_credited: bool) -> SchemeAccount:
        """Return the books once they hold all that must follow, or when it takes too long."""
        deadline = time.perf_counter() + SETTLE_S_MAX
        while True:
            async with self._session.get(self._site.scheme_url + BOOKS_PATH) as answer:
                account = msgspec.json.decode(await answer.read(), type=SchemeAccount)
            if is_settled(completed, account.books, is_credited=is_credited):
                return account
            if time.perf_counter() > deadline:
                return account
            await asyncio.sleep(SETTLE_POLL_S)

    @contextlib.asynccontextmanager
    async def _progress(self, load: Load) -> AsyncIterator[None]:
        async def tell() -> None:
            while True:
                await asyncio.sleep(PROGRESS_S)
                self._say(f"{load.completed} payments, {len(load.due_at)} under way")

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()


def _first(failed: dict[str, str]) -> str:
    return next((f"{payment}: {code}" for payment, code in failed.items()), "")


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
