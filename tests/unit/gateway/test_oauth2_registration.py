"""Dynamic client registration (RFC 7591) and its management (RFC 7592)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from unit.gateway.gateway_kit import ISSUER, assert_problem
from unit.gateway.oauth2_kit import CALLBACK, Client, House, assert_refused, house_of, signed

AUTHORITY = ECKey.generate_key("P-256")
AUTHORITIES = {"https://directory.example": {"keys": [AUTHORITY.as_dict(private=False)]}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path, statement_issuers=AUTHORITIES) as held:
        yield held


async def manage(client: Client, method: str, token: str | None = None, body: Any = None) -> Any:
    uri = client.registration["registration_client_uri"].removeprefix(ISSUER)
    token = client.registration["registration_access_token"] if token is None else token
    sent = {} if body is None else {"json": body}
    return await client.http.request(method, uri, headers={"Authorization": f"Bearer {token}"}, **sent)


async def test_a_registration_says_what_was_registered(house: House):
    tpp = await house.tpp(scope="payments:read", unknown_member="ignored")
    told = tpp.registration
    assert told["client_id"]
    assert told["client_id_issued_at"] == house.now_s
    assert told["redirect_uris"] == [CALLBACK]
    assert told["scope"] == "payments:read"
    assert told["token_endpoint_auth_method"] == "private_key_jwt"
    assert "unknown_member" not in told
    assert "client_secret" not in told
    read = await manage(tpp, "GET")
    assert (read.status_code, read.json()) == (200, told)
    assert read.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "payments:read admin"},
        {"scope": "clients:register"},
        {"scope": "members:identify"},
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"grant_types": []},
        {"grant_types": ["refresh_token"]},
        {"response_types": ["token"]},
        {"jwks": None},
        {"jwks": {"keys": []}},
        {"jwks": "x"},
        {"jwks": {"keys": [ECKey.generate_key("P-256").as_dict(private=False)], "more": "x" * 20_000}},
        {"client_name": ""},
        {"client_name": "x" * 201},
        {"redirect_uris": "https://tpp.example/cb"},
    ],
)
async def test_metadata_that_does_not_fit(house: House, changes: dict[str, Any]):
    assert_refused(await house.register(ECKey.generate_key("P-256"), **changes), "invalid_client_metadata")


async def test_the_code_flow_needs_an_address(house: House):
    assert_refused(
        await house.register(ECKey.generate_key("P-256"), redirect_uris=[]), "invalid_redirect_uri"
    )


async def test_only_who_may_register_does(house: House):
    app = house.client("buffalo-app")
    token = (await app.token()).json()["access_token"]
    body = {"jwks": {"keys": [app.key.as_dict(private=False)]}, "redirect_uris": [CALLBACK]}
    answer = await app.call("POST", "/oauth2/register", token, json=body)
    assert_problem(answer, 403, "insufficient-scope", "header:Authorization")
    answer = await app.http.post("/oauth2/register", json=body)
    assert_problem(answer, 401, "missing-token", "header:Authorization")
    assert_refused(await app.token(scope="clients:register"), "invalid_scope")


async def test_a_body_that_is_no_json_object(house: House):
    admin = house.client("buffalo-admin")
    token = (await admin.token(scope="clients:register")).json()["access_token"]
    for body in (b"[]", b"{", b"", b'{"scope":"a","scope":"b"}'):
        answer = await admin.call("POST", "/oauth2/register", token, content=body)
        assert_refused(answer, "invalid_client_metadata")


async def test_a_client_belongs_to_the_tenant_that_registered_it(house: House):
    tpp = await house.tpp("lion")
    token = (await tpp.token()).json()["access_token"]
    said = (await tpp.post("/oauth2/introspect", {"token": token})).json()
    assert said["tenant"] == "lion"
    answer = await tpp.pay(token, **{"Platform-TenantId": "buffalo"})
    assert_problem(answer, 403, "tenant-mismatch", "header:Platform-TenantId")


async def test_a_registration_is_replaced_by_its_owner(house: House):
    tpp = await house.tpp(scope="payments:read")
    new = ECKey.generate_key("P-256")
    body = {
        "client_id": tpp.client_id,
        "client_name": "New",
        "redirect_uris": [CALLBACK + "2"],
        "grant_types": ["client_credentials", "authorization_code"],
        "jwks": {"keys": [new.as_dict(private=False)]},
    }
    answer = await manage(tpp, "PUT", body=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["redirect_uris"] == [CALLBACK + "2"]
    assert_refused(await tpp.token(), "invalid_client")
    tpp.key = new
    assert (await tpp.token()).json()["scope"] == "payments:read"
    assert_refused(
        await manage(tpp, "PUT", body={**body, "scope": "payments:write"}), "invalid_client_metadata"
    )
    assert_refused(await manage(tpp, "PUT", body={**body, "client_id": "other"}), "invalid_client_metadata")
    assert_refused(
        await manage(tpp, "PUT", body={**body, "redirect_uris": ["http://a.example/"]}),
        "invalid_redirect_uri",
    )


async def test_a_removed_client_gets_nothing_more(house: House):
    tpp = await house.tpp()
    token = (await tpp.token()).json()["access_token"]
    refresh_token = (await tpp.exchange(await tpp.code())).json()["refresh_token"]
    uri = await tpp.request_uri()
    assert (await manage(tpp, "DELETE")).status_code == 204
    assert_refused(await tpp.token(), "invalid_client")
    assert_refused(await tpp.refresh(refresh_token), "invalid_client")
    assert (await tpp.open_page(uri)).status_code == 400
    answer = await tpp.pay(token)
    assert_problem(answer, 403, "unknown-client", "header:Authorization")
    assert_problem(await manage(tpp, "GET"), 404, "unknown-registration")


async def test_a_registration_is_managed_with_its_own_token_alone(house: House):
    tpp, other = await house.tpp(), await house.tpp("lion")
    for token in (other.registration["registration_access_token"], "x", "y" * 43):
        for method, body in (("GET", None), ("PUT", {"client_id": tpp.client_id}), ("DELETE", None)):
            assert_problem(await manage(tpp, method, token, body), 404, "unknown-registration")
    answer = await tpp.http.get("/oauth2/register/nobody", headers={"Authorization": "Bearer x"})
    assert_problem(answer, 404, "unknown-registration")
    answer = await tpp.http.get(f"/oauth2/register/{tpp.client_id}")
    assert_problem(answer, 401, "missing-token", "header:Authorization")
    assert (await manage(tpp, "GET")).status_code == 200


def statement(house: House, key: ECKey = AUTHORITY, **claims: Any) -> str:
    said = {
        "iss": "https://directory.example",
        "client_name": "Vouched for",
        "exp": house.now_s + 60,
        **claims,
    }
    return signed({"alg": "ES256"}, said, key)


async def test_what_a_software_statement_says_wins(house: House):
    stated = statement(house, redirect_uris=[CALLBACK + "/stated"])
    tpp = await house.tpp(software_statement=stated, client_name="Made up")
    assert tpp.registration["client_name"] == "Vouched for"
    assert tpp.registration["redirect_uris"] == [CALLBACK + "/stated"]


async def test_software_statements_that_do_not_hold(house: House):
    thief = ECKey.generate_key("P-256")
    for stated, error in (
        (statement(house, thief), "invalid_software_statement"),
        (statement(house, exp=house.now_s - 60), "invalid_software_statement"),
        (statement(house, iss="https://evil.example"), "unapproved_software_statement"),
        ("x", "invalid_software_statement"),
        (5, "invalid_software_statement"),
    ):
        assert_refused(await house.register(ECKey.generate_key("P-256"), software_statement=stated), error)
    assert_refused(
        await house.register(ECKey.generate_key("P-256"), software_statement=statement(house, scope="admin")),
        "invalid_client_metadata",
    )
