"""The tenants' directory as it follows a real NATS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from unit.gateway.gateway_kit import tenant_config

from payhub_cli.local.server import LocalServer
from payhub_platform.bus import directory as directory_module
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus, connect
from payhub_platform.bus.directory import TenantDirectory, publish
from payhub_platform.contracts.tenant import OAuthClient, TenantConfig

TENANTS = 20
WAIT_S = 20.0


class ClosedEarly(TenantDirectory):
    """Is closed when the first configuration has come, with the next ones already there."""

    closing: asyncio.Task[None] | None = None

    def put(self, config: TenantConfig) -> None:
        super().put(config)
        self.closing = self.closing or asyncio.create_task(self.close())


async def test_it_closes_also_while_configurations_come(tmp_path: Path, nats_server: LocalServer) -> None:
    bus = await connect(nats_server.url, "test")
    async with asyncio.timeout(WAIT_S):
        while not bus.is_connected:
            await asyncio.sleep(0.01)
        for number in range(TENANTS):
            await publish(bus, tenant_config(f"early-{number}", []))
        directory = ClosedEarly(tmp_path / "tenants.cache")
        directory.watch(bus)
        while directory.closing is None:
            await asyncio.sleep(0.01)
    await asyncio.wait({directory.closing}, timeout=WAIT_S)
    assert directory.closing.done()
    await bus.close()


@pytest.fixture
async def bus(nats_server: LocalServer) -> AsyncIterator[Bus]:
    held = await connect(nats_server.url, "test")
    async with asyncio.timeout(WAIT_S):
        while not held.is_connected:
            await asyncio.sleep(0.01)
    yield held
    await held.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_silent_bucket_is_not_read_again_and_news_still_come(
    tmp_path: Path, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "WATCH_WAIT_S", 0.05)
    taken = []

    class Counting(TenantDirectory):
        def put(self, config: TenantConfig) -> None:
            taken.append(config.tenant_id)
            super().put(config)

    await publish(bus, tenant_config("quiet", []))
    directory = Counting(tmp_path / "tenants.cache")
    directory.watch(bus)
    await until(lambda: directory.get("quiet") is not None)
    before = len(taken)
    await asyncio.sleep(0.5)
    assert len(taken) == before
    await publish(bus, tenant_config("quiet", [], version=2))
    await until(lambda: directory.get("quiet").version == 2)  # type: ignore[union-attr]
    # As after a NATS that has lost everything: the bucket begins anew, under numbers that were seen before.
    stream = bus.jetstream()
    await stream.delete_key_value(subjects.CONFIG_BUCKET)
    await publish(bus, tenant_config("quiet", [], version=3))
    await until(lambda: directory.get("quiet").version == 3)  # type: ignore[union-attr]
    await directory.close()
    kept = TenantDirectory(tmp_path / "tenants.cache").get("quiet")
    assert kept is not None
    assert kept.version == 3


async def test_it_is_on_disk_without_a_stop(tmp_path: Path, bus: Bus) -> None:
    directory = TenantDirectory(tmp_path / "tenants.cache")
    directory.watch(bus)
    directory.put(tenant_config("kept", []))
    await until(lambda: TenantDirectory(tmp_path / "tenants.cache").get("kept") is not None)
    await directory.close()


def test_what_a_tenant_no_longer_has_is_not_found(tmp_path: Path) -> None:
    directory = TenantDirectory(tmp_path / "tenants.cache")
    client = OAuthClient(client_id="app", name="app", jwks={}, scopes=[])
    directory.put(tenant_config("lion", [client], fsp_id="old"))
    directory.put(tenant_config("lion", [], version=2, fsp_id="new"))
    assert directory.by_client("app") is None
    assert directory.by_fsp("old") is None
    directory.put(tenant_config("rhino", [client], fsp_id="old"))
    directory.put(tenant_config("lion", [client], version=3, fsp_id="new"))
    held = directory.by_client("app")
    assert held is not None
    assert held[0].tenant_id == "lion"
    assert [config.fsp_id for config in directory.all()] == ["new", "old"]
