"""What every store of the OAuth2 server must do, whatever keeps its records."""

import asyncio
import contextlib
import uuid

import pytest

from payhub_gateway.oauth2.store import CLIENTS, CODES, REPLAYS, Kind, StateStore, StoreFullError


def new_key() -> str:
    return uuid.uuid4().hex


async def a_record_is_created_once(store: StateStore) -> None:
    key = new_key()
    assert await store.get(CODES, key) is None
    assert await store.create(CODES, key, b"one")
    assert not await store.create(CODES, key, b"two")
    entry = await store.get(CODES, key)
    assert entry is not None
    assert entry.value == b"one"


async def kinds_do_not_share_keys(store: StateStore) -> None:
    key = new_key()
    assert await store.create(CODES, key, b"one")
    assert await store.get(REPLAYS, key) is None
    assert await store.create(REPLAYS, key, b"")
    entry = await store.get(REPLAYS, key)
    assert entry is not None
    assert entry.value == b""


async def an_update_needs_the_newest_revision(store: StateStore) -> None:
    key = new_key()
    assert not await store.update(CODES, key, b"none", 1_000_000)
    await store.create(CODES, key, b"one")
    first = await store.get(CODES, key)
    assert first is not None
    assert await store.update(CODES, key, b"two", first.revision)
    assert not await store.update(CODES, key, b"three", first.revision)
    second = await store.get(CODES, key)
    assert second is not None
    assert second.value == b"two"
    assert second.revision > first.revision


async def of_many_at_once_one_wins(store: StateStore) -> None:
    key = new_key()
    made = await asyncio.gather(*(store.create(CODES, key, b"%d" % number) for number in range(8)))
    assert made.count(True) == 1
    entry = await store.get(CODES, key)
    assert entry is not None
    assert entry.value == b"%d" % made.index(True)
    changed = await asyncio.gather(*(store.update(CODES, key, b"x%d" % n, entry.revision) for n in range(8)))
    assert changed.count(True) == 1
    entry = await store.get(CODES, key)
    assert entry is not None
    assert entry.value == b"x%d" % changed.index(True)


async def what_is_deleted_is_gone(store: StateStore) -> None:
    key = new_key()
    await store.delete(CODES, key)
    await store.create(CODES, key, b"one")
    held = await store.get(CODES, key)
    assert held is not None
    await store.delete(CODES, key)
    assert await store.get(CODES, key) is None
    assert not await store.update(CODES, key, b"two", held.revision)
    assert await store.create(CODES, key, b"three")


async def too_large_a_record_is_refused(store: StateStore) -> None:
    for kind in (CODES, REPLAYS):
        key = new_key()
        with pytest.raises(StoreFullError):
            await store.create(kind, key, b"x" * (kind.value_bytes_max + 1))
        assert await store.create(kind, key, b"x" * kind.value_bytes_max)


async def a_full_kind_refuses_rather_than_forgets(store: StateStore) -> None:
    small = Kind("small" + new_key()[:8], 600, 8 * 1024, 1024)
    kept: list[str] = []

    async def fill() -> None:
        for _ in range(100):
            key = new_key()
            await store.create(small, key, b"x" * 1000)
            kept.append(key)

    with pytest.raises(StoreFullError):
        await fill()
    assert len(kept) >= 5
    assert all([await store.get(small, key) for key in kept])


async def watchers_hear_what_is_there_and_what_changes(store: StateStore) -> None:
    before, after = new_key(), new_key()
    await store.create(CLIENTS, before, b"was")
    heard: dict[str, list[bytes | None]] = {}

    async def listen() -> None:
        async for change in store.watch(CLIENTS):
            heard.setdefault(change.key, []).append(change.value)

    task = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(20):
            await heard_until(heard, before, b"was")
            await store.create(CLIENTS, after, b"one")
            await heard_until(heard, after, b"one")
            entry = await store.get(CLIENTS, after)
            assert entry is not None
            await store.update(CLIENTS, after, b"two", entry.revision)
            await heard_until(heard, after, b"two")
            await store.delete(CLIENTS, after)
            await heard_until(heard, after, None)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def heard_until(heard: dict[str, list[bytes | None]], key: str, value: bytes | None) -> None:
    while value not in heard.get(key, []):
        await asyncio.sleep(0.01)


CONTRACT = (
    a_record_is_created_once,
    kinds_do_not_share_keys,
    an_update_needs_the_newest_revision,
    of_many_at_once_one_wins,
    what_is_deleted_is_gone,
    too_large_a_record_is_refused,
    a_full_kind_refuses_rather_than_forgets,
    watchers_hear_what_is_there_and_what_changes,
)
