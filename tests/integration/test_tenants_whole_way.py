"""An institution's whole way on a real PostgreSQL: live with two people, suspended, offboarded, purged."""

from pathlib import Path
from typing import Any, cast

import httpx
from litestar import Litestar
from litestar.testing import AsyncTestClient
from support.tenants_memory import MemoryStore
from unit.tenants.tenants_kit import TOKEN, Plane
from unit.tenants.test_tenant_lifecycle import BASE, REASON, active, approve

from payhub_cli.local.server import LocalServer
from payhub_platform.contracts.tenant import FeeTier, PaymentFees
from payhub_tenants.audit.model import first_broken
from payhub_tenants.database import Database
from payhub_tenants.vault import FileKeyProvider, Vault

FILE = f"{BASE}/party-identifier-file"


async def test_the_whole_way(postgres_server: LocalServer, tmp_path: Path):
    database = Database(postgres_server.url)
    plane = Plane(store=cast("MemoryStore", database))
    plane.vault = Vault(FileKeyProvider(tmp_path / "keys", plane.secrets), plane.secrets)
    plane.publisher = type(plane.publisher)(database, plane.bus, plane.vault)
    try:
        await database.migrate()
        # In this event loop, which the pool of connections belongs to; Litestar's own client has another one.
        transport = httpx.ASGITransport(app=cast("Any", plane.app()))
        async with httpx.AsyncClient(transport=transport, base_url="http://tenants") as client:
            client.headers["authorization"] = f"Bearer {TOKEN}"
            api = cast("AsyncTestClient[Litestar]", client)
            second = await active(api, plane)
            services = plane.services()

            async def settle() -> dict[str, Any]:
                await plane.publisher.publish_waiting()
                await services.lifecycle.run_waiting()
                return cast("dict[str, Any]", (await api.get(f"{BASE}/lifecycle")).json())

            lines = "".join(f"MSISDN,2547{number:08d},,A-{number}\n" for number in range(120))
            await api.put(FILE, content=f"type,value,subId,accountId\n{lines}nothing\n".encode())
            await services.files.work()
            report = (await api.get(FILE)).json()
            assert (report["registered"], report["refused"], report["done"]) == (120, 1, True)
            key = (await api.post(f"{BASE}/keys")).json()["keyId"]
            assert (await api.post(f"{BASE}/keys/{key}/activate")).status_code == 200
            placed = await api.put(f"{BASE}/placement", json={"automatic": {"expectedPerS": 10}})
            assert placed.json()["epoch"] == 1  # the home has room, and the order was this one before
            await api.put(f"{BASE}/fees", json={"tiers": [{"fromMinor": 0, "fixedMinor": 5}]})
            assert (await api.put(f"{BASE}/currencies", json={"others": ["USD"]})).status_code == 200
            await api.put(f"{BASE}/direct-payments", json={"partners": ["lion"]})
            await api.post(f"{BASE}/suspend", json=REASON)
            assert (await settle())["status"] == "suspended"
            told = [each for each in plane.bus.published if each.tenant_id == "buffalo"][-1]
            assert told.fees == PaymentFees(payer=[FeeTier(from_minor=0, fixed_minor=5)])
            assert (told.currencies, told.direct_with) == (["KES", "USD"], ["lion"])
            await api.post(f"{BASE}/offboard", json=REASON)
            await settle()
            while (view := await settle())["jobs"][0]["remaining"]:
                assert "party identifiers are still" in view["jobs"][0]["waitsFor"]
            assert (plane.scheme.participants, plane.ams.accounts) == ({}, {})
            await approve(api, await api.post(f"{BASE}/purge", json={"confirm": "buffalo"}), second)
            assert (await settle())["status"] == "purged"
            assert (await api.get(f"{BASE}/export")).json()["partyIdentifiers"] == []
        async with database.transaction("buffalo") as transaction:
            assert first_broken(await transaction.audit.page("buffalo", 0, 500)) is None
        config = [each for each in plane.bus.published if each.tenant_id == "buffalo"][-1]
        assert (config.status, config.clients, config.signing_key.private_key_sealed) == ("suspended", [], "")
    finally:
        await database.close()
