"""The aggregator's API over a store in memory: what it answers, refuses, and keeps secret."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import (
    PASSWORD,
    Plane,
    client_request,
    create_request,
    ec_jwk,
    identifier,
)

from payhub_platform.security import jws

Api = AsyncTestClient[Litestar]


def changed(path: str, value: Any) -> dict[str, Any]:
    request = json.loads(json.dumps(create_request()))
    *folders, name = path.strip("/").split("/")
    target = request
    for folder in folders:
        target = target[folder]
    target[name] = value
    return request


def pem_of(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


async def test_creates_a_tenant_and_tells_no_secret(api: Api, plane: Plane):
    answer = await api.post("/v1/tenants", json=create_request())
    assert answer.status_code == 201
    view = answer.json()
    assert (view["tenantId"], view["version"], view["epoch"], view["status"]) == ("buffalo", 1, 1, "sandbox")
    assert view["placement"] == ["north", "south"]
    assert (view["clients"], view["partyIdentifiers"], view["published"]) == ([], [], False)
    jws.load_public_key(view["publicKeyPem"])
    assert len(view["keyId"]) == 16
    assert PASSWORD not in answer.text
    assert "PRIVATE" not in answer.text
    assert "ealed" not in answer.text
    kept = plane.store.kept.tenants.rows["buffalo"]
    assert await plane.vault.open("buffalo", kept.ams_password_sealed, "ams") == PASSWORD
    private_pem = await plane.vault.open("buffalo", kept.private_key_sealed, "jws")
    assert jws.public_pem(private_pem) == view["publicKeyPem"]
    assert PASSWORD not in repr(kept)


async def test_the_same_request_again_is_the_same_tenant(api: Api, plane: Plane):
    first = await api.post("/v1/tenants", json=create_request())
    backwards = dict(reversed(create_request().items()))
    again = await api.post("/v1/tenants", json=backwards)
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(plane.store.kept.tenants.rows) == 1


@pytest.mark.parametrize(
    ("path", "value"), [("/name", "Other"), ("/ams/password", "other"), ("/placement", ["south"])]
)
async def test_the_same_id_with_another_request_is_a_conflict(api: Api, path: str, value: Any):
    await api.post("/v1/tenants", json=create_request())
    answer = await api.post("/v1/tenants", json=changed(path, value))
    assert (answer.status_code, answer.json()["code"]) == (409, "tenant-exists")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_fsp_id_belongs_to_one_tenant(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request("buffalo"))
    answer = await api.post("/v1/tenants", json=create_request("rhino", fspId="buffalo"))
    assert (answer.status_code, answer.json()["code"]) == (409, "fsp-taken")
    assert set(plane.store.kept.tenants.rows) == {"buffalo"}


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
)
async def test_a_tenant_may_bring_its_own_key(api: Api, key: Any):
    pem = pem_of(key)
    answer = await api.post("/v1/tenants", json=create_request(signingKeyPem=pem))
    assert answer.status_code == 201
    assert answer.json()["publicKeyPem"] == jws.public_pem(pem)


BAD_TENANTS = [
    ("/tenantId", "Buffalo", "invalid-field", 400),
    ("/tenantId", "buffalo\n", "invalid-field", 400),
    ("/fspId", "", "invalid-field", 400),
    ("/fspId", "f" * 33, "invalid-field", 400),
    ("/fspId", "switch", "invalid-field", 400),
    ("/name", "nul\x00", "invalid-field", 400),
    ("/currency", "XXX", "unknown-currency", 400),
    ("/colour", "red", "unknown-field", 400),
    ("/scheme/colour", "red", "unknown-field", 400),
    ("/scheme/baseUrl", "ftp://switch/", "invalid-url", 400),
    ("/scheme/baseUrl", "http://user:pw@switch/", "invalid-url", 400),
    ("/scheme/baseUrl", "http://switch/?a=b", "invalid-url", 400),
    ("/scheme/baseUrl", "http://switch:99999/", "invalid-url", 400),
    ("/scheme/baseUrl", "http://[::1", "invalid-url", 400),
    ("/scheme/switchPublicKeyPem", "no key", "unsuitable-key", 400),
    ("/ams/baseUrl", "/relative", "invalid-url", 400),
    ("/ams/baseUrl", "http://a..b/", "invalid-url", 400),
    ("/ams/baseUrl", "http://" + "a" * 64 + "/", "invalid-url", 400),
    ("/ams/baseUrl", "http://-bank/", "invalid-url", 400),
    ("/ams/baseUrl", "http://%41/", "invalid-url", 400),
    ("/ams/baseUrl", "http://<bank>/", "invalid-url", 400),
    ("/ams/baseUrl", "http://1.2.3.4.5/", "invalid-url", 400),
    ("/ams/baseUrl", "http://127.1/", "invalid-url", 400),
    ("/ams/baseUrl", "http://[v1.x]/", "invalid-url", 400),
    ("/ams/username", "a:b", "invalid-field", 400),
    ("/placement", [], "invalid-field", 400),
    ("/signingKeyPem", "no key", "unsuitable-key", 400),
    ("/signingKeyPem", pem_of(ec.generate_private_key(ec.SECP384R1())), "unsuitable-key", 400),
    ("/quoteValidityMs", 1, "invalid-field", 400),
]


@pytest.mark.parametrize(("path", "value", "code", "status"), BAD_TENANTS)
async def test_a_bad_tenant_is_refused_with_code_and_place(
    api: Api, plane: Plane, path: str, value: Any, code: str, status: int
):
    answer = await api.post("/v1/tenants", json=changed(path, value))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert problem["errors"][0]["pointer"] == path
    assert plane.store.kept.tenants.rows == {}


@pytest.mark.parametrize(
    "url", ["http://core_bank:8080/api", "https://bank.lion.ke.", "http://[::1]:80/x", "http://10.0.0.1"]
)
async def test_addresses_that_can_be_called_are_taken(api: Api, url: str):
    assert (await api.post("/v1/tenants", json=changed("/ams/baseUrl", url))).status_code == 201


async def test_a_private_key_beside_the_switchs_public_one_is_not_kept(api: Api, plane: Plane):
    private = jws.new_private_key_pem()
    request = changed("/scheme/switchPublicKeyPem", jws.public_pem(private) + private)
    answer = await api.post("/v1/tenants", json=request)
    assert answer.status_code == 201
    assert "PRIVATE" not in answer.text
    assert answer.json()["scheme"]["switchPublicKeyPem"] == jws.public_pem(private)
    assert "PRIVATE" not in repr(plane.store.kept.tenants.rows["buffalo"])


async def test_nesting_deeper_than_the_stack_is_malformed(api: Api):
    await api.post("/v1/tenants", json=create_request())
    body = json.dumps(client_request("deep", ec_jwk(oth="here")))
    answer = await api.post(
        "/v1/tenants/buffalo/clients", content=body.replace('"here"', "[" * 20_000 + "]" * 20_000)
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-json")


async def test_a_placement_names_engines_that_exist_once_each(api: Api):
    unknown = await api.post("/v1/tenants", json=create_request(placement=["north", "west"]))
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-engine")
    assert unknown.json()["errors"][0]["pointer"] == "/placement/1"
    twice = await api.post("/v1/tenants", json=create_request(placement=["north", "north"]))
    assert (twice.status_code, twice.json()["code"]) == (400, "duplicate-engine")


async def test_malformed_json_and_large_bodies_are_refused(api: Api):
    malformed = await api.post("/v1/tenants", content=b"{")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed-json")
    large = await api.post("/v1/tenants", content=b" " * (64 * 1024 + 1))
    assert (large.status_code, large.json()["code"]) == (413, "body-too-large")
    surrogate = await api.post("/v1/tenants", content=b'{"name":"\\ud800"}')
    assert (surrogate.status_code, surrogate.json()["code"]) == (400, "malformed-json")


@pytest.mark.parametrize("credential", [None, "Bearer wrong", "Basic abc", "Bearer ", "Bearer \xe9"])
async def test_without_the_aggregators_token_nothing_is_told(plane: Plane, credential: str | None):
    async with AsyncTestClient(plane.app()) as client:
        headers = {} if credential is None else {"authorization": credential.encode("latin-1")}
        for method, path in [
            ("GET", "/v1/tenants"),
            ("POST", "/v1/tenants"),
            ("GET", "/v1/tenants/buffalo"),
            ("POST", "/v1/tenants/buffalo/suspend"),
            ("GET", "/v1/tenants/buffalo/export"),
            ("GET", "/v1/operators"),
            ("PUT", "/v1/tenants/buffalo/placement"),
            ("POST", "/v1/tenants/buffalo/clients"),
            ("POST", "/v1/tenants/buffalo/party-identifiers"),
        ]:
            answer = await client.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "aggregator-credential")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/tenants/nobody", None),
        ("GET", "/v1/tenants/NO%00BODY", None),
        ("POST", "/v1/tenants/nobody/suspend", {"reason": "a letter"}),
        ("GET", "/v1/tenants/nobody/requirements", None),
        ("GET", "/v1/tenants/nobody/export", None),
        ("GET", "/v1/tenants/nobody/audit", None),
        ("POST", "/v1/tenants/nobody/go-live", None),
        ("PUT", "/v1/tenants/nobody/placement", {"placement": ["north"]}),
        ("POST", "/v1/tenants/nobody/clients", client_request()),
        ("POST", "/v1/tenants/nobody/party-identifiers", {"identifiers": [identifier()]}),
    ],
)
async def test_an_unknown_tenant_is_not_found(api: Api, method: str, path: str, body: Any):
    answer = await api.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "tenant-not-found")


async def test_lists_tenants_page_by_page(api: Api):
    for name in ("rhino", "buffalo", "lion"):
        await api.post("/v1/tenants", json=create_request(name))
    first = (await api.get("/v1/tenants", params={"limit": 2})).json()
    assert [tenant["tenantId"] for tenant in first["tenants"]] == ["buffalo", "lion"]
    rest = (await api.get("/v1/tenants", params={"limit": 2, "after": first["next"]})).json()
    assert [tenant["tenantId"] for tenant in rest["tenants"]] == ["rhino"]
    assert "next" not in rest
    assert (await api.get("/v1/tenants", params={"limit": 0})).json()["code"] == "invalid-request"


async def test_a_new_placement_makes_a_new_epoch(api: Api):
    await api.post("/v1/tenants", json=create_request())
    moved = (await api.put("/v1/tenants/buffalo/placement", json={"placement": ["south"]})).json()
    assert (moved["placement"], moved["epoch"], moved["version"]) == (["south"], 2, 2)
    again = (await api.put("/v1/tenants/buffalo/placement", json={"placement": ["south"]})).json()
    assert (again["epoch"], again["version"]) == (2, 2)
    refused = await api.put("/v1/tenants/buffalo/placement", json={"placement": ["west"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown-engine")


async def test_registers_a_client_once(api: Api):
    await api.post("/v1/tenants", json=create_request())
    request = client_request()
    first = await api.post("/v1/tenants/buffalo/clients", json=request)
    assert (first.status_code, first.json()["scopes"]) == (201, ["payments:read", "payments:write"])
    again = await api.post("/v1/tenants/buffalo/clients", json=request)
    assert (again.status_code, again.json()) == (200, first.json())
    tenant = (await api.get("/v1/tenants/buffalo")).json()
    assert (tenant["version"], [client["clientId"] for client in tenant["clients"]]) == (2, ["buffalo-ussd"])
    other = await api.post("/v1/tenants/buffalo/clients", json=client_request(name="Branch"))
    assert (other.status_code, other.json()["code"]) == (409, "client-exists")


async def test_a_client_id_belongs_to_one_tenant(api: Api):
    await api.post("/v1/tenants", json=create_request("buffalo"))
    await api.post("/v1/tenants", json=create_request("rhino"))
    request = client_request("ussd")
    await api.post("/v1/tenants/buffalo/clients", json=request)
    taken = await api.post("/v1/tenants/rhino/clients", json=request)
    assert (taken.status_code, taken.json()["code"]) == (409, "client-taken")


async def test_a_tenant_has_a_bounded_number_of_clients(api: Api):
    await api.post("/v1/tenants", json=create_request())
    key = ec_jwk()
    for number in range(50):
        request = client_request(f"client-{number}", key)
        assert (await api.post("/v1/tenants/buffalo/clients", json=request)).status_code == 201
    over = await api.post("/v1/tenants/buffalo/clients", json=client_request("client-50", key))
    assert (over.status_code, over.json()["code"]) == (422, "too-many-clients")
    again = await api.post("/v1/tenants/buffalo/clients", json=client_request("client-7", key))
    assert again.status_code == 200


async def test_a_database_that_is_down_is_told_with_when_to_come_back(api: Api, plane: Plane):
    plane.store.is_down = True
    answer = await api.post("/v1/tenants", json=create_request())
    assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await api.get("/health/ready")).status_code == 503
    assert (await api.get("/health/live")).status_code == 200
    plane.store.is_down = False
    assert (await api.get("/health/ready")).status_code == 200
