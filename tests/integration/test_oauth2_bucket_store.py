"""The shared store in a real NATS: the contract, restarts, and what happens while it is gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from support.oauth2_store import CONTRACT, new_key
from support.servers import running_nats

from payhub_cli.local.server import LocalServer
from payhub_gateway.oauth2.bucket_store import BucketStore
from payhub_gateway.oauth2.store import (
    CLIENTS,
    CODES,
    GRANTS,
    REPLAYS,
    Kind,
    StateStore,
    StoreUnavailableError,
)
from payhub_platform.bus.connection import Bus, connect


async def connected(url: str) -> tuple[Bus, BucketStore]:
    bus = await connect(url, "test")
    async with asyncio.timeout(10):
        while not bus.is_connected:
            await asyncio.sleep(0.02)
    store = BucketStore()
    store.open(bus)
    return bus, store


@pytest.fixture
async def store(nats_server: LocalServer) -> AsyncIterator[BucketStore]:
    bus, held = await connected(nats_server.url)
    yield held
    await bus.close()


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_the_store_in_nats(store: BucketStore, check: Callable[[StateStore], Awaitable[None]]):
    await check(store)


async def test_copies_see_each_others_records(nats_server: LocalServer, store: BucketStore):
    bus, other = await connected(nats_server.url)
    try:
        key = new_key()
        assert await store.create(REPLAYS, key, b"")
        assert not await other.create(REPLAYS, key, b"")
    finally:
        await bus.close()


async def test_a_bucket_forgets_by_itself(store: BucketStore):
    brief = Kind("brief" + new_key()[:8], 1)
    assert await store.create(brief, "a", b"x")
    async with asyncio.timeout(10):
        while await store.get(brief, "a") is not None:
            await asyncio.sleep(0.1)
    assert await store.create(brief, "a", b"y")


async def test_it_says_quickly_that_nats_is_gone_and_loses_nothing(tmp_path: Path):
    store = BucketStore()
    with pytest.raises(StoreUnavailableError):  # not opened yet
        await store.get(CODES, "a")
    folder = tmp_path / "nats"
    with running_nats(folder) as server:
        bus, store = await connected(server.url)
        assert await store.create(GRANTS, "a", b"kept")
        assert await store.create(CLIENTS, "c", b"kept")
    try:
        async with asyncio.timeout(5):
            for _ in range(3):
                with pytest.raises(StoreUnavailableError):
                    await store.get(GRANTS, "a")
        with running_nats(folder):
            async with asyncio.timeout(20):
                while True:
                    try:
                        found = await store.get(GRANTS, "a")
                        break
                    except StoreUnavailableError:
                        await asyncio.sleep(0.1)
            assert found is not None
            assert found.value == b"kept"
            assert await store.update(GRANTS, "a", b"new", found.revision)
    finally:
        await bus.close()


async def test_a_watcher_hears_what_happens_after_nats_came_back(tmp_path: Path):
    folder, heard = tmp_path / "nats", set()
    with running_nats(folder) as server:
        bus, store = await connected(server.url)

        async def listen() -> None:
            async for change in store.watch(CLIENTS):
                heard.add(change.key)

        task = asyncio.create_task(listen())
        await created(store, "before")
        await until(lambda: "before" in heard)
    with running_nats(folder):
        await created(store, "after")
        await until(lambda: "after" in heard)
        task.cancel()
        await bus.close()


async def created(store: BucketStore, key: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await store.create(CLIENTS, key, b"x")
            except StoreUnavailableError:
                await asyncio.sleep(0.1)
            else:
                return


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)
