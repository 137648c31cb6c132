"""The store in memory keeps the contract that the one in NATS keeps (tests/integration)."""

from collections.abc import Awaitable, Callable

import pytest
from support.oauth2_store import CONTRACT
from unit.gateway.gateway_kit import StillClock

from payhub_gateway.oauth2.store import CODES, GRANTS, KINDS, MemoryStore, StateStore


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_the_store_in_memory(check: Callable[[StateStore], Awaitable[None]]):
    await check(MemoryStore(StillClock()))


async def test_records_last_as_long_as_their_kind():
    clock = StillClock()
    store = MemoryStore(clock)
    for kind in (CODES, GRANTS):
        await store.create(kind, "a", b"x")
        clock.advance(kind.lifetime_s - 1)
        assert await store.get(kind, "a") is not None
        clock.advance(1)
        assert await store.get(kind, "a") is None
        assert await store.create(kind, "a", b"y")


def test_every_kind_is_bounded():
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert 0 < kind.value_bytes_max <= kind.bytes_max <= 256 * 1024 * 1024
