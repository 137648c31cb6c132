"""The tenants' directory as it follows a real NATS."""

import asyncio
from pathlib import Path

from unit.gateway.gateway_kit import tenant_config

from payhub_cli.local.server import LocalServer
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import TenantDirectory, publish
from payhub_platform.contracts.tenant import TenantConfig

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
