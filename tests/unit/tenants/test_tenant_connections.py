"""How a tenant's core bank and scheme are reached, and changes that are tried before they are kept."""

from typing import Any

import msgspec
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import PASSWORD, PEER_PEM, SCHEME, Plane, create_request

from payhub_platform.contracts.tenant import TenantConfig
from payhub_tenants.proof import prove

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"
FINERACT = create_request()["ams"]
CONTRACT = {
    "kind": "contract",
    "baseUrl": "https://core.buffalo.ke/payhub/",
    "oauth": {"tokenUrl": "https://idp.buffalo.ke/token", "clientId": "payhub", "clientSecret": "a secret"},
    "tls": {"caPem": PEER_PEM, "certificatePem": PEER_PEM, "privateKeyPem": "a private key"},
    "timeZone": "Africa/Nairobi",
}


async def published(plane: Plane) -> TenantConfig:
    """Return the configuration as it travels to gateways and engines."""
    await plane.publisher.publish_waiting()
    return msgspec.json.decode(msgspec.json.encode(plane.bus.published[-1]), type=TenantConfig)


async def test_a_bank_of_the_contract_from_the_first_request_on(api: Api, plane: Plane):
    made = await api.post("/v1/tenants", json=create_request(ams=CONTRACT))
    assert made.status_code == 201, made.text
    assert made.json()["ams"] == {
        "baseUrl": "https://core.buffalo.ke/payhub",
        "kind": "contract",
        "oauth": {"tokenUrl": "https://idp.buffalo.ke/token", "clientId": "payhub", "scope": ""},
        "tls": {"caPem": PEER_PEM, "certificatePem": PEER_PEM},
        "timeZone": "Africa/Nairobi",
    }
    ams = (await published(plane)).ams
    assert (ams.kind, ams.time_zone, ams.username, ams.password_sealed) == (
        "contract", "Africa/Nairobi", "", "",
    )  # fmt: skip
    assert ams.oauth is not None
    assert ams.tls is not None
    assert plane.secrets.open(ams.oauth.client_secret_sealed, "ams-oauth:buffalo") == "a secret"
    assert plane.secrets.open(ams.tls.private_key_sealed, "ams-tls:buffalo") == "a private key"
    await api.post(f"{BASE}/ams/check")
    login = plane.ams.calls[-1].login
    assert (login.client_secret, login.private_key_pem, login.username) == ("a secret", "a private key", "")
    proof = await prove(plane.store, plane.vault, "buffalo")
    assert {"ams TLS", "ams OAuth2"} <= set(proof.readable)
    assert "a secret" not in (await api.get(f"{BASE}/export")).text


async def test_a_change_is_tried_before_it_is_kept(api: Api, plane: Plane):
    before = (await api.post("/v1/tenants", json=create_request())).json()
    plane.ams.is_down = True
    refused = await api.put(f"{BASE}/ams", json=CONTRACT)
    assert (refused.status_code, refused.json()["code"]) == (422, "not-done-outside")
    assert (await api.get(BASE)).json()["ams"] == before["ams"]
    plane.ams.is_down = False
    changed = await api.put(f"{BASE}/ams", json=CONTRACT)
    assert (changed.status_code, changed.json()["version"], changed.json()["ams"]["kind"]) == (
        200, before["version"] + 1, "contract",
    )  # fmt: skip
    assert plane.ams.calls[-1].base_url == "https://core.buffalo.ke/payhub"
    assert (await published(plane)).ams.kind == "contract"
    back = {**FINERACT, "password": "another password"}
    assert (await api.put(f"{BASE}/ams", json=back)).status_code == 200
    ams = (await published(plane)).ams
    assert (ams.kind, ams.oauth, ams.tls, ams.time_zone) == ("fineract", None, None, "UTC")
    assert plane.secrets.open(ams.password_sealed, "ams:buffalo") == "another password"
    audit = (await api.get(f"{BASE}/audit")).text
    assert audit.count('"ams.changed"') == 2
    assert "another password" not in audit + (await api.get(BASE)).text
    due = (await api.get(f"{BASE}/requirements")).json()["currentlyDue"]
    assert "ams-check" not in [each["code"] for each in due]  # the change was a check
    again = await api.post("/v1/tenants", json=create_request())
    assert (again.status_code, again.json()["ams"]) == (200, (await api.get(BASE)).json()["ams"])


WRONG = {
    "/username": {"username": "payhub", "password": None},
    "/oauth": {"oauth": CONTRACT["oauth"]},
    "/platformTenant": {"platformTenant": None},
    "/timeZone": {"timeZone": "Mars/Olympus"},
    "/baseUrl": {"baseUrl": "ftp://core.buffalo.ke"},
    "/tls": {"tls": {"certificatePem": PEER_PEM}},
    "/oauth/tokenUrl": {
        "username": None, "password": None, "oauth": {"tokenUrl": "x", "clientId": "b", "clientSecret": "c"},
    },
}  # fmt: skip


async def test_what_does_not_fit_is_told_with_its_place(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    for where, changes in WRONG.items():
        body = {name: value for name, value in {**FINERACT, **changes}.items() if value is not None}
        refused = await api.put(f"{BASE}/ams", json=body)
        assert refused.status_code == 400, refused.text
        assert refused.json()["errors"][0]["pointer"] == where
        first = await api.post("/v1/tenants", json=create_request("lion", ams=body))
        assert first.json()["errors"][0]["pointer"] == f"/ams{where}"
    assert plane.ams.calls == []


async def test_the_scheme_must_answer_where_its_address_or_login_changes(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    plane.scheme.is_down = True
    refused = await api.put(f"{BASE}/scheme", json=SCHEME)
    assert (refused.status_code, refused.json()["code"]) == (422, "not-done-outside")
    plane.scheme.is_down = False
    assert (await api.put(f"{BASE}/scheme", json=SCHEME)).status_code == 200
    tried: Any = plane.scheme.checks[-1]
    assert (tried.base_url, tried.login.client_secret) == ("https://hub.example/fspiop", "a secret")
    plane.scheme.is_down = True
    without_peers = {**SCHEME, "peerKeys": []}  # a key that must not be believed any more
    changed = await api.put(f"{BASE}/scheme", json=without_peers)
    assert (changed.status_code, changed.json()["scheme"].get("peerKeys")) == (200, None)
    other = {**SCHEME, "oauth": {**SCHEME["oauth"], "clientSecret": "another"}}
    assert (await api.put(f"{BASE}/scheme", json=other)).status_code == 422


async def test_a_purged_tenant_changes_no_more(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    tenant = plane.store.kept.tenants.rows["buffalo"]
    plane.store.kept.tenants.rows["buffalo"] = msgspec.structs.replace(tenant, status="purged")
    for path, body in ((f"{BASE}/ams", FINERACT), (f"{BASE}/scheme", SCHEME)):
        assert (await api.put(path, json=body)).json()["code"] == "tenant-leaving"
    assert (await api.post(f"{BASE}/ams/check")).json()["code"] == "tenant-leaving"
    assert PASSWORD not in str(plane.store.kept)
