"""Copies of a gateway share a client's limits through a real NATS, and go on without it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from support.servers import running_nats

from payhub_cli.local.server import LocalServer
from payhub_gateway.rates.exchange import Exchange, open_bucket
from payhub_gateway.rates.service import RateLimits
from payhub_platform.bus.connection import connect
from payhub_platform.clock import system_clock
from payhub_platform.contracts.tenant import ApiLimits

LIMITS = ApiLimits(rate_per_s=10, burst=40, quota_per_day=100)
INTERVAL_S = 0.1
WAIT_S = 20.0


@contextlib.asynccontextmanager
async def copy(nats_url: str) -> AsyncIterator[RateLimits]:
    limits = RateLimits(system_clock, time.monotonic_ns)
    exchange = Exchange(limits, INTERVAL_S)
    bus = await connect(nats_url, "test")
    exchange.open(bus)
    try:
        yield limits
    finally:
        await exchange.close()
        await bus.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.05)


def burst(limits: RateLimits) -> int:
    return limits.look("lion", "app", LIMITS).burst


def used(limits: RateLimits) -> int:
    return limits.look("lion", "app", LIMITS).used


async def test_a_copy_that_cannot_be_understood_is_passed_over(nats_server: LocalServer):
    async with copy(nats_server.url) as one:
        bus = await connect(nats_server.url, "test")
        async with asyncio.timeout(WAIT_S):
            while not bus.is_connected:
                await asyncio.sleep(0.05)
        bucket = await open_bucket(bus)
        await bucket.put("stranger", b"\xff")
        before = one.copies
        async with copy(nats_server.url):
            await until(lambda: one.copies == before + 1)
        await bus.close()


async def test_copies_find_one_another_and_count_together(nats_server: LocalServer):
    async with copy(nats_server.url) as one:
        async with copy(nats_server.url) as other:
            await until(lambda: (one.copies, other.copies) == (2, 2))
            assert (burst(one), burst(other)) == (20, 20)
            for _ in range(3):
                one.admit("lion", "app", LIMITS)
            other.admit("lion", "app", LIMITS)
            await until(lambda: (used(one), used(other)) == (4, 4))
        await until(lambda: one.copies == 1)
        assert used(one) == 4
    async with copy(nats_server.url) as later:
        await until(lambda: used(later) == 4)


async def test_without_nats_each_goes_on_with_its_share(tmp_path: Path):
    with contextlib.ExitStack() as first:
        nats = first.enter_context(running_nats(tmp_path / "nats"))
        async with copy(nats.url) as one, copy(nats.url) as other:
            await until(lambda: (one.copies, other.copies) == (2, 2))
            first.close()
            for _ in range(30):
                one.admit("lion", "app", LIMITS)
                await asyncio.sleep(INTERVAL_S)
            assert (one.copies, burst(one), burst(other)) == (2, 20, 20)
            admitted = used(one)
            assert admitted > 20
            with running_nats(tmp_path / "nats"):
                await until(lambda: used(other) == admitted)
