"""FAPI 2.0 Security Profile (Final), clause by clause: the number of the clause is in each test's name."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from unit.gateway.gateway_kit import ISSUER, assert_problem, transfer
from unit.gateway.oauth2_kit import CALLBACK, House, assert_refused, house_of, query_of, signed

TOKEN, PAR, AUTHORIZE = "/oauth2/token", "/oauth2/par", "/oauth2/authorize"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        yield held


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return said


# 5.2 Network layer


async def test_5_2_2_browsers_are_told_to_stay_on_tls(house: House):
    tpp = await house.tpp()
    for answer in (await tpp.open_page(await tpp.request_uri()), await tpp.open_page("urn:other")):
        assert "max-age=31536000" in answer.headers["strict-transport-security"]


async def test_5_2_2_the_authorization_endpoint_sends_no_cors_headers(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    foreign = {"Origin": "https://tpp.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        answer = await tpp.http.request(
            method, AUTHORIZE, params={"client_id": tpp.client_id, "request_uri": uri}, headers=foreign
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]


# 5.3.2.1 Requirements for authorization servers: general


async def test_5_3_2_1_01_metadata_is_published(house: House):
    http = house.copies[0]
    told = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert told["issuer"] == ISSUER
    for name, path in {
        "authorization_endpoint": AUTHORIZE,
        "token_endpoint": TOKEN,
        "pushed_authorization_request_endpoint": PAR,
        "introspection_endpoint": "/oauth2/introspect",
        "revocation_endpoint": "/oauth2/revoke",
        "registration_endpoint": "/oauth2/register",
        "jwks_uri": "/oauth2/jwks",
    }.items():
        assert told[name] == ISSUER + path
        assert (await http.request("OPTIONS", path)).status_code != 404
    assert told["require_pushed_authorization_requests"] is True
    assert told["authorization_response_iss_parameter_supported"] is True
    assert told["code_challenge_methods_supported"] == ["S256"]
    methods = ["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]
    assert told["token_endpoint_auth_methods_supported"] == methods
    for name in told:
        if name.endswith("signing_alg_values_supported"):
            assert set(told[name]) == {"ES256", "PS256", "EdDSA", "Ed25519"}


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
async def test_5_3_2_1_02_the_password_grant_and_all_others_are_refused(house: House, grant: str):
    form = {"grant_type": grant, "username": "u", "password": "p"}
    assert_refused(await house.client("buffalo-admin").post(TOKEN, form), "unsupported_grant_type")


async def test_5_3_2_1_03_clients_without_a_credential_are_refused(house: House):
    tpp = await house.tpp()
    for path, form in {
        TOKEN: {"grant_type": "client_credentials"},
        PAR: {"response_type": "code"},
        "/oauth2/introspect": {"token": "x"},
        "/oauth2/revoke": {"token": "x"},
    }.items():
        public = {"client_assertion": "", "client_assertion_type": "", "client_id": tpp.client_id}
        assert_refused(await tpp.post(path, {**form, **public}), "invalid_client")


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", "client_secret_jwt"])
async def test_5_3_2_1_03_no_public_client_registers(house: House, method: str):
    answer = await house.register(ECKey.generate_key("P-256"), token_endpoint_auth_method=method)
    assert_refused(answer, "invalid_client_metadata")


async def test_5_3_2_1_04_no_token_is_issued_that_is_bound_to_nobody(house: House):
    tpp = await house.tpp()
    code = await tpp.code()
    assert_refused(await tpp.exchange(code, dpop=False), "invalid_grant")  # bound at the PAR endpoint
    assert_refused(await tpp.token(dpop=False), "invalid_request")
    given = (await tpp.exchange(code)).json()
    assert_refused(await tpp.refresh(given["refresh_token"], dpop=False), "invalid_request")


async def test_5_3_2_1_05_tokens_are_bound_by_dpop(house: House):
    tpp = await house.tpp()
    given = (await tpp.token()).json()
    assert given["token_type"] == "DPoP"
    assert claims_of(given["access_token"])["cnf"] == {"jkt": tpp.dpop_key.thumbprint()}


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("PS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_5_3_2_1_06_clients_authenticate_with_private_key_jwt(house: House, alg: str, key: Key):
    tpp = await house.tpp(key=key)
    named: list[dict[str, str]] = [{}, {"client_id": tpp.client_id}]
    for form in named:
        answer = await tpp.token(client_assertion=tpp.assertion(alg), **form)
        assert answer.status_code == 200, answer.text


async def test_5_3_2_1_06_refreshing_and_everything_else_needs_the_client(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    assert_refused(
        await tpp.refresh(given["refresh_token"], client_assertion="", client_id=tpp.client_id),
        "invalid_client",
    )
    assert_refused(await other.refresh(given["refresh_token"]), "invalid_grant")


async def test_5_3_2_1_07_there_is_no_open_redirector(house: House):
    tpp = await house.tpp()
    http = house.copies[0]
    evil = "https://evil.example/cb"
    for query in (
        {"client_id": tpp.client_id, "redirect_uri": evil, "response_type": "code"},
        {"client_id": tpp.client_id, "redirect_uri": CALLBACK, "response_type": "token"},
        {"client_id": tpp.client_id, "request_uri": evil},
        {"client_id": "nobody", "redirect_uri": evil},
        {},
    ):
        for answer in (
            await http.get(AUTHORIZE, params=query, follow_redirects=False),
            await http.post(AUTHORIZE, data=query or {"a": "b"}, follow_redirects=False),
        ):
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "evil" not in answer.text
    answer = await tpp.open_page(await tpp.request_uri())
    hostile = {"client_id": tpp.client_id, "request_uri": await tpp.request_uri(), "redirect_uri": evil}
    page = await http.get(AUTHORIZE, params=hostile)
    assert (await tpp.decide(hostile["request_uri"], page=page.text)).headers["location"].startswith(CALLBACK)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", [TOKEN, PAR])
@pytest.mark.parametrize(
    "audience",
    [[ISSUER], [ISSUER, "https://other.example"], ISSUER + TOKEN, ISSUER + PAR, ISSUER + "/", None],
)
async def test_5_3_2_1_08_aud_is_the_issuer_alone_and_a_string(house: House, path: str, audience: Any):
    tpp = await house.tpp()
    send = tpp.token if path == TOKEN else tpp.push
    assert_refused(await send(client_assertion=tpp.assertion(aud=audience)), "invalid_client")
    assert (await send(client_assertion=tpp.assertion(aud=ISSUER))).is_success


async def test_5_3_2_1_09_refresh_tokens_do_not_rotate(house: House):
    tpp = await house.tpp()
    refresh_token = (await tpp.exchange(await tpp.code())).json()["refresh_token"]
    for _ in range(3):
        house.clock.advance(86_400)
        answer = await tpp.refresh(refresh_token)
        assert answer.status_code == 200, answer.text
        assert "refresh_token" not in answer.json()
        said = claims_of(answer.json()["access_token"])
        assert said["cnf"]["jkt"] == tpp.dpop_key.thumbprint()
    # A client may take a new key for its tokens: the refresh token is bound to its authentication.
    tpp.dpop_key = ECKey.generate_key("P-256")
    answer = await tpp.refresh(refresh_token)
    assert claims_of(answer.json()["access_token"])["cnf"]["jkt"] == tpp.dpop_key.thumbprint()
    house.clock.advance(91 * 86_400)
    assert_refused(await tpp.refresh(refresh_token), "invalid_grant")


async def test_5_3_2_1_10_a_server_nonce_is_asked_for_and_taken(tmp_path: Path):
    async with house_of(tmp_path, dpop_nonces=True) as house:
        client = house.client("buffalo-admin")
        answer = await client.token()
        assert_refused(answer, "use_dpop_nonce")
        nonce = answer.headers["dpop-nonce"]
        proof = client.proof("POST", TOKEN, nonce=nonce)
        answer = await client.token(dpop=False, headers={"DPoP": proof})
        assert (answer.status_code, answer.headers["dpop-nonce"]) == (200, nonce)
        token = answer.json()["access_token"]
        answer = await client.pay(token)
        assert_problem(answer, 401, "dpop-nonce-wanted", "header:DPoP")
        assert 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
        path = "/channel/transfer"
        good = {"DPoP": client.proof("POST", path, token, nonce=answer.headers["dpop-nonce"])}
        assert (await client.pay(token, **good)).status_code == 202
        house.clock.advance(240)
        old = {"DPoP": client.proof("POST", path, token, nonce=nonce)}
        assert_problem(await client.pay(token, **old), 401, "dpop-nonce-wanted", "header:DPoP")


async def test_5_3_2_1_11_a_code_lasts_60_seconds_at_most(house: House):
    tpp = await house.tpp()
    for wait_s, status in ((59, 200), (60, 400)):
        code = await tpp.code()
        house.clock.advance(wait_s)
        answer = await tpp.exchange(code)
        assert answer.status_code == status
    assert_refused(answer, "invalid_grant")


async def test_5_3_2_1_12_a_code_is_bound_to_the_dpop_key_of_the_pushed_request(house: House):
    tpp = await house.tpp()
    stolen = ECKey.generate_key("P-256")
    thumbprint = str(tpp.dpop_key.thumbprint())
    for code in (await tpp.code(), await tpp.code(dpop_jkt=thumbprint)):
        other = {"DPoP": tpp.proof("POST", TOKEN, key=stolen)}
        assert_refused(await tpp.exchange(code, dpop=False, headers=other), "invalid_grant")
        assert (await tpp.exchange(code)).status_code == 200
    assert_refused(await tpp.push(dpop_jkt=str(stolen.thumbprint())), "invalid_request")
    by_name = await tpp.push(dpop=False, dpop_jkt=thumbprint)
    code = query_of(await tpp.decide(by_name.json()["request_uri"]))["code"]
    other = {"DPoP": tpp.proof("POST", TOKEN, key=stolen)}
    assert_refused(await tpp.exchange(code, dpop=False, headers=other), "invalid_grant")
    # Binding is the client's choice.
    free = await tpp.push(dpop=False)
    code = query_of(await tpp.decide(free.json()["request_uri"]))["code"]
    answer = await tpp.exchange(code, dpop=False, headers={"DPoP": tpp.proof("POST", TOKEN, key=stolen)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("offset_s", "holds"), [(0, True), (5, True), (10, True), (60, False), (3600, False)]
)
async def test_5_3_2_1_13_clocks_may_differ_by_10_seconds(house: House, offset_s: int, holds: bool):
    tpp = await house.tpp()
    later = house.now_s + offset_s
    answers = [
        await tpp.token(client_assertion=tpp.assertion(iat=later)),
        await tpp.token(client_assertion=tpp.assertion(nbf=later)),
        await tpp.token(dpop=False, headers={"DPoP": tpp.proof("POST", TOKEN, iat=later)}),
    ]
    assert [answer.status_code == 200 for answer in answers] == [holds] * 3


async def test_5_3_2_1_14_tokens_carry_no_more_than_was_asked(house: House):
    admin = house.client("buffalo-admin")
    assert (await admin.token()).json()["scope"] == "payments:write payments:read"
    assert (await admin.token(scope="payments:read")).json()["scope"] == "payments:read"
    tpp = await house.tpp(scope="payments:read")
    assert_refused(await tpp.push(scope="payments:write"), "invalid_scope")
    assert_refused(await tpp.push(scope="clients:register"), "invalid_scope")
    given = (await tpp.exchange(await tpp.code(scope=""))).json()
    assert given["scope"] == "payments:read"
    assert_refused(await tpp.refresh(given["refresh_token"], scope="payments:write"), "invalid_scope")


async def test_5_3_2_1_14_a_scope_of_unreasonable_length_is_refused(house: House):
    tpp = await house.tpp()
    assert_refused(await tpp.push(scope="payments:read " * 100), "invalid_scope")


# 5.3.2.2 Authorization endpoint flows


@pytest.mark.parametrize("kind", ["token", "id_token", "code id_token", "code token", "", 'x"é'])
async def test_5_3_2_2_01_response_type_is_code(house: House, kind: str):
    tpp = await house.tpp()
    assert_refused(await tpp.push(response_type=kind), "unsupported_response_type")


async def test_5_3_2_2_02_a_request_is_pushed_by_an_authenticated_client(house: House):
    tpp = await house.tpp()
    answer = await tpp.push()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    code = query_of(await tpp.decide(answer.json()["request_uri"]))["code"]
    said = claims_of((await tpp.exchange(code)).json()["access_token"])
    assert (said["client_id"], said["sub"], said["tenant"]) == (tpp.client_id, "member-7", "buffalo")
    assert_refused(await tpp.push(request_uri="urn:ietf:params:oauth:request_uri:x"), "invalid_request")
    assert_refused(await tpp.push(request="e30.e30.x"), "request_not_supported")


async def test_5_3_2_2_02_a_request_uri_belongs_to_the_client_that_pushed_it(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    uri = await tpp.request_uri()
    page = await other.open_page(uri)
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert (await tpp.open_page(uri)).status_code == 200


async def test_5_3_2_2_03_requests_that_were_not_pushed_are_refused(house: House):
    tpp = await house.tpp()
    query = {
        "client_id": tpp.client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "payments:read",
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    answer = await tpp.http.get(AUTHORIZE, params=query, follow_redirects=False)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_5_3_2_2_04_pushing_without_client_authentication_is_refused(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    assert_refused(
        await tpp.push(client_assertion="", client_assertion_type="", client_id=tpp.client_id),
        "invalid_client",
    )
    assert_refused(
        await tpp.push(client_assertion=other.assertion(), client_id=tpp.client_id), "invalid_client"
    )
    replayed = tpp.assertion()
    assert (await tpp.push(client_assertion=replayed)).status_code == 201
    assert_refused(await tpp.push(client_assertion=replayed), "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": ""},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"code_challenge": "v" * 44},
        {"code_challenge": "é" * 43},
        {"code_challenge": "", "code_challenge_method": ""},
    ],
)
async def test_5_3_2_2_05_pkce_with_s256_is_required(house: House, changes: dict[str, str]):
    tpp = await house.tpp()
    assert_refused(await tpp.push(**changes), "invalid_request")


@pytest.mark.parametrize("verifier", ["", "w" * 43, "v" * 42, "v" * 44, "v" * 129, "é" * 43])
async def test_5_3_2_2_05_the_verifier_is_checked(house: House, verifier: str):
    tpp = await house.tpp()
    code = await tpp.code()
    assert_refused(await tpp.exchange(code, code_verifier=verifier), "invalid_grant")
    assert (await tpp.exchange(code)).status_code == 200


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://evil.example/cb",
        CALLBACK + "/",
        CALLBACK + "?a=b",
        CALLBACK + "#x",
        "https://tpp.example:443/cb",
        "https://TPP.example/cb",
        'https://tpp.example/cb"é',
    ],
)
async def test_5_3_2_2_06_redirect_uri_is_required_and_compared_exactly(house: House, uri: str):
    tpp = await house.tpp()
    assert_refused(await tpp.push(redirect_uri=uri), "invalid_request")


async def test_5_3_2_2_06_the_exchange_names_the_same_redirect_uri(house: House):
    tpp = await house.tpp(redirect_uris=[CALLBACK, CALLBACK + "2"])
    code = await tpp.code()
    for uri in ("", CALLBACK + "2"):
        assert_refused(await tpp.exchange(code, redirect_uri=uri), "invalid_grant")


@pytest.mark.parametrize("state", ["s1", "x" * 2000, "a b&c=d#é", ""])
async def test_5_3_2_2_07_iss_and_state_come_back(house: House, state: str):
    tpp = await house.tpp()
    for decision in ("approve", "deny"):
        answer = await tpp.decide(await tpp.request_uri(state=state), decision)
        said = query_of(answer)
        assert said["iss"] == ISSUER
        assert said.get("state", "") == state
        assert ("code" in said) == (decision == "approve")
        assert said.get("error") == (None if decision == "approve" else "access_denied")


@pytest.mark.parametrize(
    ("uri", "holds"),
    [
        ("https://tpp.example/cb", True),
        ("http://127.0.0.1:4711/cb", True),
        ("http://[::1]/cb", True),
        ("http://tpp.example/cb", False),
        ("http://127.0.0.1.evil.example/cb", False),
        ("http://localhost/cb", False),
        ("javascript:alert(1)", False),
        ("app.tpp:/cb", False),
        ("https://tpp.example/cb#x", False),
        ("https://user@tpp.example/cb", False),
        ("https:///cb", False),
        ("https://tpp.example;script-src/cb", False),
        ("https://tpp.example,x/cb", False),
        ("https://'self'/cb", False),
        ("https://tpp.example\\@evil.example/", False),
        ("https://tpp.example/\r\nx", False),
        ("//tpp.example/cb", False),
    ],
)
async def test_5_3_2_2_08_codes_never_travel_in_the_open(house: House, uri: str, holds: bool):
    answer = await house.register(ECKey.generate_key("P-256"), redirect_uris=[uri])
    if holds:
        assert answer.status_code == 201
    else:
        assert_refused(answer, "invalid_redirect_uri")


async def test_5_3_2_2_09_a_code_is_good_once_and_its_reuse_ends_what_came_of_it(house: House):
    tpp = await house.tpp()
    code = await tpp.code()
    given = (await tpp.exchange(code)).json()
    assert (await tpp.refresh(given["refresh_token"])).status_code == 200
    assert_refused(await tpp.exchange(code), "invalid_grant")
    assert_refused(await tpp.refresh(given["refresh_token"]), "invalid_grant")
    answer = await tpp.pay(given["access_token"])
    assert_problem(answer, 401, "invalid-token", "header:Authorization")
    house.clock.advance(3600)
    assert_refused(await tpp.refresh(given["refresh_token"]), "invalid_grant")


async def test_5_3_2_2_09_another_client_cannot_use_or_spoil_a_code(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    code = await tpp.code()
    assert_refused(await other.exchange(code), "invalid_grant")
    given = (await tpp.exchange(code)).json()
    assert_refused(await other.exchange(code), "invalid_grant")
    assert (await tpp.refresh(given["refresh_token"])).status_code == 200


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_5_3_2_2_10_and_11_the_redirect_is_303(house: House, decision: str):
    tpp = await house.tpp()
    answer = await tpp.decide(await tpp.request_uri(), decision)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(CALLBACK + "?")
    assert answer.headers["cache-control"] == "no-store"


async def test_5_3_2_2_12_a_request_uri_lasts_less_than_600_seconds(house: House):
    tpp = await house.tpp()
    answer = await tpp.push()
    lasts_s = answer.json()["expires_in"]
    assert 5 <= lasts_s < 600
    house.clock.advance(lasts_s - 1)
    assert (await tpp.open_page(answer.json()["request_uri"])).status_code == 200
    house.clock.advance(1)
    assert (await tpp.open_page(answer.json()["request_uri"])).status_code == 400


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_5_3_2_2_12_a_request_uri_is_used_when_decided_not_when_loaded(house: House, decision: str):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    for _ in range(3):
        page = await tpp.open_page(uri)
        assert page.status_code == 200
    assert (await tpp.decide(uri, decision, page.text)).status_code == 303
    assert (await tpp.decide(uri, decision, page.text)).status_code == 400
    assert (await tpp.open_page(uri)).status_code == 400


async def test_5_3_2_2_13_the_page_says_who_asks_for_what(house: House):
    details = [
        {
            "type": "payment_initiation",
            "actions": ["initiate"],
            "instructedAmount": {"amount": "10.50", "currency": "KES"},
            "creditorAccount": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002"},
            "creditorName": "<b>Ann</b>",
        }
    ]
    tpp = await house.tpp(client_name="<script>alert(1)</script> & Co")
    page = (await tpp.open_page(await tpp.request_uri(authorization_details=json.dumps(details)))).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co" in page
    assert "<script" not in page
    assert "<b>Ann" not in page
    for told in ("Buffalo", "payments:read", "10.50 KES", "MSISDN 254700000002"):
        assert told in page


# 5.3.4 Requirements for resource servers


async def test_5_3_4_01_tokens_come_in_the_header(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    assert (await client.pay(token)).status_code == 202
    for scheme in ("dpop", "DPOP"):
        assert (await client.pay(token, Authorization=f"{scheme} {token}")).status_code == 202


async def test_5_3_4_02_tokens_in_the_query_or_the_body_are_not_looked_at(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    headers = {"DPoP": client.proof("POST", "/channel/transfer", token), "X-CorrelationID": "k"}
    path = f"/channel/transfer?access_token={token}"
    answer = await client.http.post(path, json=transfer(), headers=headers)
    assert_problem(answer, 401, "missing-token", "header:Authorization")
    answer = await client.http.post("/channel/transfer", data={"access_token": token}, headers=headers)
    assert_problem(answer, 401, "missing-token", "header:Authorization")


async def test_5_3_4_03_validity_integrity_expiration_and_revocation_are_checked(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    head, body, signature = token.split(".")
    other = json.dumps({**claims_of(token), "tenant": "lion"}).encode()
    forged = ".".join([head, base64.urlsafe_b64encode(other).rstrip(b"=").decode(), signature])
    for bad in (forged, f"{head}.{body}.{'A' * len(signature)}", "x"):
        assert_problem(await client.pay(bad), 401, "invalid-token", "header:Authorization")
    assert (await client.pay(token)).status_code == 202
    house.clock.advance(300)
    assert_problem(await client.pay(token), 401, "token-expired", "header:Authorization")
    token = (await client.token()).json()["access_token"]
    assert (await client.pay(token)).status_code == 202  # it is in the cache of verified tokens now
    assert (await client.post("/oauth2/revoke", {"token": token})).status_code == 200
    assert_problem(await client.pay(token), 401, "invalid-token", "header:Authorization")


async def test_5_3_4_04_a_scope_that_does_not_suffice_is_told_as_rfc_6750_wants(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token(scope="payments:read")).json()["access_token"]
    answer = await client.pay(token)
    assert_problem(answer, 403, "insufficient-scope", "header:Authorization")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_5_3_4_05_a_token_is_good_in_its_holders_hands_alone(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    path, thief = "/channel/transfer", ECKey.generate_key("P-256")
    answer = await client.pay(token, Authorization=f"Bearer {token}")
    assert_problem(answer, 401, "invalid-token", "header:Authorization")
    answer = await client.pay(token, DPoP=client.proof("POST", path, token, key=thief))
    assert_problem(answer, 401, "invalid-token", "header:Authorization")
    headers = {"Authorization": f"DPoP {token}", "X-CorrelationID": "k"}
    answer = await client.http.post(path, json=transfer(), headers=headers)
    assert_problem(answer, 401, "invalid-dpop-proof", "header:DPoP")
    assert answer.headers["www-authenticate"] == (
        'DPoP algs="ES256 PS256 EdDSA Ed25519", error="invalid_dpop_proof"'
    )


# 5.4 Cryptography and secrets


def weak_rsa() -> Key:
    return RSAKey.generate_key(1024)


CURVE, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
FORBIDDEN: dict[str, tuple[Key, Key]] = {  # what signs, and what is registered
    "RS256": (RSA, RSA),
    "PS384": (RSA, RSA),
    "ES384": (ECKey.generate_key("P-384"), CURVE),
    "HS256": (OctKey.import_key(base64.b64encode(CURVE.as_pem(private=False))), CURVE),
}


@pytest.mark.parametrize("alg", FORBIDDEN)
async def test_5_4_1_1_assertions_by_other_algorithms_are_refused(house: House, alg: str):
    signing, registered = FORBIDDEN[alg]
    tpp = await house.tpp(key=registered)
    tpp.key = signing
    assert_refused(await tpp.token(client_assertion=tpp.assertion(alg)), "invalid_client")


@pytest.mark.parametrize("alg", ["RS256", "PS384", "ES384"])
async def test_5_4_1_1_proofs_by_other_algorithms_are_refused(house: House, alg: str):
    client = house.client("buffalo-admin")
    proof = client.proof("POST", TOKEN, key=FORBIDDEN[alg][0], header={"alg": alg})
    assert_refused(await client.token(dpop=False, headers={"DPoP": proof}), "invalid_dpop_proof")


@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_5_4_1_1_none_is_never_accepted(house: House, signature: str):
    client = house.client("buffalo-admin")

    def unsigned(told: str) -> str:
        head, body, _ = told.split(".")
        said = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        bare = base64.urlsafe_b64encode(json.dumps({**said, "alg": "none"}).encode()).rstrip(b"=").decode()
        return f"{bare}.{body}.{signature}"

    proof = unsigned(client.proof("POST", TOKEN))
    assert_refused(await client.token(dpop=False, headers={"DPoP": proof}), "invalid_dpop_proof")
    assert_refused(await client.token(client_assertion=unsigned(client.assertion())), "invalid_client")
    token = unsigned((await client.token()).json()["access_token"])
    assert_problem(await client.pay(token), 401, "invalid-token", "header:Authorization")


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 42 + "E"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": ["EC"]},
        {},
    ],
)
async def test_5_4_1_keys_that_are_none_are_refused(house: House, jwk: dict[str, Any]):
    client = house.client("buffalo-admin")
    proof = client.proof("POST", TOKEN, header={"jwk": jwk})
    assert_refused(await client.token(dpop=False, headers={"DPoP": proof}), "invalid_dpop_proof")
    answer = await house.register(ECKey.generate_key("P-256"), jwks={"keys": [jwk]})
    assert_refused(answer, "invalid_client_metadata")


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(
    "make", [weak_rsa, lambda: ECKey.generate_key("P-384"), lambda: OctKey.generate_key(256)]
)
async def test_5_4_1_and_5_4_2_keys_that_are_too_weak_or_of_another_kind_do_not_register(
    house: House, make: Any
):
    key = make()
    public = key.as_dict(private=True) if isinstance(key, OctKey) else key.as_dict(private=False)
    answer = await house.register(ECKey.generate_key("P-256"), jwks={"keys": [public]})
    assert_refused(answer, "invalid_client_metadata")


async def test_5_4_1_private_keys_do_not_register(house: House):
    key = ECKey.generate_key("P-256")
    answer = await house.register(key, jwks={"keys": [key.as_dict(private=True)]})
    assert_refused(answer, "invalid_client_metadata")


async def test_5_4_1_4_secrets_have_128_bits_of_entropy_and_more(house: House):
    tpp = await house.tpp()
    uris = {await tpp.request_uri() for _ in range(3)}
    code = await tpp.code()
    given = (await tpp.exchange(code)).json()
    secrets = [*(uri.rpartition(":")[2] for uri in uris), code, given["refresh_token"]]
    secrets.append(tpp.registration["registration_access_token"])
    for secret in secrets:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)  # base64url of 256 bits
    assert len(set(secrets)) == len(secrets)


async def test_5_4_2_keys_named_by_the_message_are_not_fetched_or_believed(house: House):
    client = house.client("buffalo-admin")
    thief = ECKey.generate_key("P-256")
    said = {"iss": client.client_id, "sub": client.client_id, "aud": ISSUER, "jti": "j"}
    said |= {"iat": house.now_s, "exp": house.now_s + 60}
    for header in (
        {"jwk": thief.as_dict(private=False)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x5u"},
    ):
        forged = signed({"alg": "ES256", **header}, said, thief)
        assert_refused(await client.token(client_assertion=forged), "invalid_client")
    answer = await house.register(thief, jwks_uri="https://evil.example/jwks")
    assert_refused(answer, "invalid_client_metadata")


async def test_5_4_3_keys_may_share_a_kid(house: House):
    rsa, curve = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
    older = ECKey.generate_key("P-256")
    keys = [{**key.as_dict(private=False), "kid": "same"} for key in (rsa, older, curve)]
    tpp = await house.tpp(key=curve, jwks={"keys": keys})
    for alg, key in (("PS256", rsa), ("ES256", curve), ("ES256", older)):
        said = {"iss": tpp.client_id, "sub": tpp.client_id, "aud": ISSUER, "jti": str(id(key))}
        said |= {"iat": house.now_s, "exp": house.now_s + 60}
        for kid in ({"kid": "same"}, {}):
            assertion = signed({"alg": alg, **kid}, {**said, "jti": f"{alg}{id(key)}{len(kid)}"}, key)
            assert (await tpp.token(client_assertion=assertion)).status_code == 200


# DPoP proofs: RFC 9449 section 4.3, each of its checks at both kinds of endpoint


PROOFS: dict[str, Any] = {
    "4_3_01_two_proofs": None,
    "4_3_02_not_a_jwt": "x.y",
    "4_3_02_malformed": "a.b.c",
    "4_3_03_without_jti": {"jti": None},
    "4_3_03_without_htm": {"htm": None},
    "4_3_03_without_htu": {"htu": None},
    "4_3_03_without_iat": {"iat": None},
    "4_3_04_other_typ": {"header": {"typ": "JWT"}},
    "4_3_07_private_jwk": {"private": True},
    "4_3_08_other_htm": {"htm": "GET"},
    "4_3_09_other_path": {"htu": ISSUER + "/other"},
    "4_3_09_other_host": {"htu": "https://evil.example/oauth2/token"},
    "4_3_09_no_uri": {"htu": "http://[x"},
    "4_3_11_too_old": {"iat": -3600},
    "4_3_11_in_the_future": {"iat": 3600},
    "4_3_11_no_time": {"iat": "now"},
    "jti_too_long": {"jti": "x" * 200},
    "crit": {"header": {"crit": ["b64"], "b64": True}},
}


@pytest.mark.parametrize("name", PROOFS)
async def test_rfc_9449_proofs_that_do_not_hold(house: House, name: str):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    for path, bound in ((TOKEN, None), ("/channel/transfer", token)):
        sent = bad_proof(client, path, bound, PROOFS[name])
        if bound is None:
            form = {"client_assertion": client.assertion(), "grant_type": "client_credentials"}
            form |= {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
            assert_refused(await client.http.post(path, data=form, headers=sent), "invalid_dpop_proof")
        else:
            headers = [*sent, ("Authorization", f"DPoP {token}"), ("X-CorrelationID", "k")]
            answer = await client.http.post(path, json=transfer(), headers=headers)
            assert_problem(answer, 401, "invalid-dpop-proof", "header:DPoP")


def bad_proof(client: Any, path: str, token: str | None, changes: Any) -> list[tuple[str, str]]:
    if changes is None:
        return [("DPoP", client.proof("POST", path, token)), ("DPoP", client.proof("POST", path, token))]
    if isinstance(changes, str):
        return [("DPoP", changes)]
    changes = dict(changes)
    if isinstance(changes.get("iat"), int):
        changes["iat"] += client.house.now_s
    if changes.pop("private", False):
        changes["header"] = {"jwk": client.dpop_key.as_dict(private=True)}
    return [("DPoP", client.proof("POST", path, token, **changes))]


async def test_rfc_9449_4_3_06_the_signature_is_the_jwks(house: House):
    client = house.client("buffalo-admin")
    other = ECKey.generate_key("P-256").as_dict(private=False)
    forged = client.proof("POST", TOKEN, header={"jwk": other})
    assert_refused(await client.token(dpop=False, headers={"DPoP": forged}), "invalid_dpop_proof")
    # The first header is known by then; its key still does not fit another signature.
    honest = client.proof("POST", TOKEN)
    assert (await client.token(dpop=False, headers={"DPoP": honest})).status_code == 200
    mixed = ".".join([honest.split(".")[0], *forged.split(".")[1:]])
    assert_refused(await client.token(dpop=False, headers={"DPoP": mixed}), "invalid_dpop_proof")


@pytest.mark.parametrize(
    "htu",
    [
        ISSUER + TOKEN + "?a=b",
        ISSUER + TOKEN + "#x",
        "https://PAY.example:443/oauth2/token",
        ISSUER + "/oauth2/%74oken",
    ],
)
async def test_rfc_9449_4_3_09_htu_is_compared_without_query_and_normalized(house: House, htu: str):
    client = house.client("buffalo-admin")
    answer = await client.token(dpop=False, headers={"DPoP": client.proof("POST", TOKEN, htu=htu)})
    assert answer.status_code == 200, answer.text


async def test_rfc_9449_4_3_11_a_proof_is_used_once(house: House):
    client = house.client("buffalo-admin")
    proof = client.proof("POST", TOKEN)
    assert (await client.token(dpop=False, headers={"DPoP": proof})).status_code == 200
    for wait_s in (0, 60, 20):
        house.clock.advance(wait_s)
        assert_refused(await client.token(dpop=False, headers={"DPoP": proof}), "invalid_dpop_proof")
    token = (await client.token()).json()["access_token"]
    proof = client.proof("POST", "/channel/transfer", token)
    assert (await client.pay(token, DPoP=proof)).status_code == 202
    assert_problem(await client.pay(token, DPoP=proof), 401, "invalid-dpop-proof", "header:DPoP")


async def test_rfc_9449_4_3_12_ath_is_the_hash_of_the_token(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    other = (await client.token()).json()["access_token"]
    for proof in (
        client.proof("POST", "/channel/transfer"),
        client.proof("POST", "/channel/transfer", other),
        client.proof("POST", "/channel/transfer", token, ath=""),
    ):
        assert_problem(await client.pay(token, DPoP=proof), 401, "invalid-dpop-proof", "header:DPoP")
