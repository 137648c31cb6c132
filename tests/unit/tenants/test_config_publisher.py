"""The outbox: every version reaches the bus, also when the bus was away."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import PASSWORD, Plane, client_request, create_request

from payhub_tenants.publisher import BusPublishError

Api = AsyncTestClient[Litestar]


async def test_publishes_what_gateways_and_engines_need(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request(quoteValidityMs=5_000))
    await api.post("/v1/tenants/buffalo/clients", json=client_request())
    assert await plane.publisher.publish_waiting() == 1
    [config] = plane.bus.published
    assert (config.tenant_id, config.version, config.epoch, config.home_engine) == ("buffalo", 2, 1, "north")
    assert config.quote_validity_ms == 5_000
    assert [client.client_id for client in config.clients] == ["buffalo-ussd"]
    assert plane.secrets.open(config.ams.password_sealed, "ams:buffalo") == PASSWORD
    assert "PRIVATE KEY" in plane.secrets.open(config.signing_key.private_key_sealed, "jws:buffalo")
    assert (await api.get("/v1/tenants/buffalo")).json()["published"] is True
    assert await plane.publisher.publish_waiting() == 0


async def test_a_change_while_the_bus_is_away_is_published_when_it_is_back(api: Api, plane: Plane):
    plane.bus.connections = None
    await api.post("/v1/tenants", json=create_request())
    assert await plane.publisher.publish_waiting() == 0
    assert (await api.get("/v1/tenants/buffalo")).json()["published"] is False
    plane.bus.connections = 0
    assert await plane.publisher.publish_waiting() == 1


async def test_a_tenant_whose_key_is_gone_does_not_hold_up_the_others(api: Api, plane: Plane):
    for name in ("buffalo", "rhino"):
        await api.post("/v1/tenants", json=create_request(name))
    await plane.keys.destroy("buffalo")
    assert await plane.publisher.publish_waiting() == 1
    assert [config.tenant_id for config in plane.bus.published] == ["rhino"]


async def test_an_unacknowledged_version_waits(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    plane.bus.refuses = True
    with pytest.raises(BusPublishError):
        await plane.publisher.publish_waiting()
    plane.bus.refuses = False
    assert await plane.publisher.publish_waiting() == 1


async def test_a_new_connection_and_a_new_process_publish_everything_again(api: Api, plane: Plane):
    for name in ("buffalo", "rhino"):
        await api.post("/v1/tenants", json=create_request(name))
    assert await plane.publisher.publish_waiting() == 2
    plane.bus.connections = 1
    assert await plane.publisher.publish_waiting() == 2
    restarted = Plane(secrets_key=plane.secrets_key, store=plane.store, bus=plane.bus, keys=plane.keys)
    assert await restarted.publisher.publish_waiting() == 2
    assert [config.version for config in plane.bus.published] == [1] * 6
