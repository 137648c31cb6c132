"""Endpoints: public addresses only, a secret that is told once, and rotation with an overlap."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request

from payhub_platform.contracts.tenant import TenantConfig, WebhookEndpoint
from payhub_platform.security.addresses import PrivateAddressError, check_address
from payhub_tenants.endpoints.model import SECRETS_MAX
from payhub_tenants.proof import prove

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"
HOOK = "https://hooks.example.ke/p"


@pytest.fixture(autouse=True)
async def buffalo(api: Api, plane: Plane) -> None:
    plane.resolver.hosts["hooks.example.ke"] = ["41.90.0.1", "2c0f:fe38::1"]
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201


def endpoint(url: str, *events: str) -> dict[str, Any]:
    return {
        "endpoints": [{"url": url, "purpose": "webhook", "events": list(events) or ["payment.completed"]}]
    }


async def put(api: Api, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await api.put(f"{BASE}/endpoints", json=body)
    assert answer.status_code == 200
    shown: list[dict[str, Any]] = answer.json()["endpoints"]
    return shown


async def published(plane: Plane) -> list[WebhookEndpoint]:
    await plane.publisher.publish_waiting()
    config = plane.bus.published[-1]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=TenantConfig) == config
    return config.webhooks


def secrets(plane: Plane, webhook: WebhookEndpoint) -> list[str]:
    return [plane.secrets.open(each.secret_sealed, "webhook:buffalo") for each in webhook.secrets]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.ke/",  # no TLS
        "https://localhost/",
        "https://bank.internal/",
        "https://LOCALHOST./",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://rebound.example.ke/",
    ],
)
async def test_private_addresses_are_refused_however_they_are_written(api: Api, plane: Plane, url: str):
    plane.resolver.hosts["rebound.example.ke"] = ["41.90.0.1", "10.0.0.1"]
    answer = await api.put(f"{BASE}/endpoints", json=endpoint(url))
    assert (answer.status_code, answer.json()["code"]) == (400, "private-address")
    assert answer.json()["errors"][0]["pointer"] == "/endpoints/0/url"
    assert (await api.get(f"{BASE}/endpoints")).json() == {"endpoints": []}


@given(st.ip_addresses())
def test_an_address_is_public_where_the_registries_say_so(address: Any):
    if not address.is_global or address.is_multicast:
        with pytest.raises(PrivateAddressError):
            check_address(str(address), "/")


async def test_what_cannot_be_called_is_refused(api: Api):
    for body, code in (
        (endpoint("https://nobody.example.ke/"), "unknown-host"),
        ({"endpoints": endpoint(HOOK)["endpoints"] * 2}, "duplicate-endpoint"),
        (endpoint(HOOK, "payment.lost"), "invalid-field"),
        (endpoint("https://user:secret@hooks.example.ke/"), "invalid-url"),
    ):
        answer = await api.put(f"{BASE}/endpoints", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_on_one_machine_private_addresses_may_be_allowed():
    plane = Plane(private_endpoints=True)
    async with AsyncTestClient(plane.app()) as api:
        api.headers["authorization"] = "Bearer aggregator-token-of-a-test"
        await api.post("/v1/tenants", json=create_request())
        await put(api, endpoint("http://127.0.0.1:9000/hook"))
        assert (await api.put(f"{BASE}/endpoints", json=endpoint("ftp://127.0.0.1/"))).status_code == 400


async def test_a_secret_is_told_once_and_published_sealed(api: Api, plane: Plane):
    [made] = await put(api, endpoint(HOOK))
    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    [webhook] = await published(plane)
    assert secrets(plane, webhook) == [made["secret"]]
    assert (webhook.endpoint_id, webhook.url, webhook.events) == (
        made["endpointId"],
        HOOK,
        ["payment.completed"],
    )
    # The same again, with other events, is the same endpoint under the same secret.
    [again] = await put(api, endpoint(HOOK, "payment.failed", "refund.completed"))
    assert "secret" not in again
    assert (await api.get(f"{BASE}/endpoints")).json() == {"endpoints": [again]}
    [webhook] = await published(plane)
    assert secrets(plane, webhook) == [made["secret"]]
    assert webhook.events == ["payment.failed", "refund.completed"]
    assert made["secret"] not in repr(plane.store.kept)
    assert made["secret"] not in (await api.get(f"{BASE}/export")).text
    assert "endpoints.set" in (await api.get(f"{BASE}/audit")).text
    await put(api, {"endpoints": []})
    assert await published(plane) == []


async def test_a_rotated_secret_signs_with_the_one_before_until_the_overlap_ends(api: Api, plane: Plane):
    [made] = await put(api, endpoint(HOOK))
    path = f"{BASE}/endpoints/{made['endpointId']}/rotate"
    rotated = (await api.post(path, json={"overlapMs": 60_000})).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["earlierSecretUntilMs"] == plane.now_ms + 60_000
    [webhook] = await published(plane)
    assert secrets(plane, webhook) == [rotated["secret"], made["secret"]]
    assert [each.valid_until_ms for each in webhook.secrets] == [None, plane.now_ms + 60_000]
    # An answer that was lost is asked for again: the receiver's own secret still signs.
    again = (await api.post(path)).json()
    [webhook] = await published(plane)
    assert secrets(plane, webhook) == [again["secret"], rotated["secret"], made["secret"]]
    assert webhook.secrets[2].valid_until_ms == plane.now_ms + 60_000
    plane.now_ms += 60_001
    for _ in range(SECRETS_MAX + 2):
        last = (await api.post(path, json={})).json()
    [webhook] = await published(plane)
    assert len(webhook.secrets) == SECRETS_MAX
    assert made["secret"] not in secrets(plane, webhook)
    at_once = (await api.post(path, json={"overlapMs": 0})).json()
    assert "earlierSecretUntilMs" not in at_once
    assert secrets(plane, (await published(plane))[0]) == [at_once["secret"]]
    assert last["secret"] != at_once["secret"]


@pytest.mark.parametrize("overlap", [-1, 604_800_001, "1"])
async def test_what_cannot_be_rotated_is_refused(api: Api, overlap: Any):
    unknown = await api.post(f"{BASE}/endpoints/nothing/rotate")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "endpoint-not-found")
    answer = await api.post(f"{BASE}/endpoints/nothing/rotate", json={"overlapMs": overlap})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-field")


async def test_endpoints_of_an_earlier_release_get_a_secret_when_they_are_set_again(api: Api, plane: Plane):
    old = {"url": HOOK, "purpose": "webhook", "events": ["payment.completed", "tenant.suspended"]}
    plane.store.kept.documents.rows["buffalo", "endpoints"] = {"endpoints": [old]}
    assert await published(plane) == []
    assert [each["url"] for each in (await api.get(f"{BASE}/endpoints")).json()["endpoints"]] == [HOOK]
    [made] = await put(api, endpoint(HOOK))
    assert secrets(plane, (await published(plane))[0]) == [made["secret"]]


async def test_the_proof_of_a_deleted_key_tries_the_secrets_of_webhooks(api: Api, plane: Plane):
    await put(api, endpoint(HOOK))
    assert "webhook secret" in (await prove(plane.store, plane.vault, "buffalo")).readable
    await plane.keys.destroy("buffalo")
    assert (await prove(plane.store, plane.vault, "buffalo")).readable == []
