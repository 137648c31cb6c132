"""The one page of the gateway: nobody else's form, no frame, no script, no guessing, no second use."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from unit.gateway.gateway_kit import ISSUER
from unit.gateway.oauth2_kit import CALLBACK, MEMBER, House, house_of, query_of, signed

from payhub_gateway.oauth2.authorization import LOGINS_MAX
from payhub_gateway.oauth2.identity import LOGIN_TYPE, challenge_of

AUTHORIZE = "/oauth2/authorize"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        yield held


async def test_the_page_cannot_be_framed_scripted_cached_or_leaked(house: House):
    tpp = await house.tpp()
    page = await tpp.open_page(await tpp.request_uri())
    policy = page.headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self' https://tpp.example",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-type"].startswith("text/html")
    cookie = page.headers["set-cookie"]
    assert cookie.startswith("__Host-payhub-consent=")
    for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie


async def test_a_form_of_another_site_is_refused(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    page = (await tpp.open_page(uri)).text
    victims = dict(tpp.http.cookies)
    foreign_token = (await tpp.decide(uri, page=page, csrf="0" * 64)).status_code
    tpp.http.cookies.clear()
    without_cookie = (await tpp.decide(uri, page=page)).status_code
    tpp.http.cookies.set("__Host-payhub-consent", "planted", domain="pay.example")
    other_cookie = (await tpp.decide(uri, page=page)).status_code
    tpp.http.cookies.clear()
    tpp.http.cookies.update(victims)
    sent = {"decision": "approve", "client_id": tpp.client_id, "request_uri": uri}
    sent |= dict(re.findall(r'name="(csrf)" value="(\w+)"', page))
    other_origin = await tpp.http.post(AUTHORIZE, data=sent, headers={"Origin": "https://evil.example"})
    assert [foreign_token, without_cookie, other_cookie, other_origin.status_code] == [400] * 4
    own_origin = await tpp.http.post(
        AUTHORIZE,
        data={**sent, "login_statement": tpp.login(uri)},
        headers={"Origin": ISSUER},
        follow_redirects=False,
    )
    assert own_origin.status_code == 303


async def test_a_token_of_one_request_does_not_fit_another(house: House):
    tpp = await house.tpp()
    first, second = await tpp.request_uri(), await tpp.request_uri()
    page = (await tpp.open_page(first)).text.replace(first, second)
    assert (await tpp.decide(second, page=page)).status_code == 400


async def test_an_attackers_request_is_not_approved_by_the_victims_browser_alone(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    answer = await tpp.decide(uri, login_statement="")
    assert (answer.status_code, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": None},
        {"aud": "https://other.example"},
        {"aud": [ISSUER]},
        {"challenge": "other"},
        {"challenge": None},
        {"iat": -200},
        {"iat": 60},
        {"exp": 0},
        {"exp": None},
        {"iss": "lion-app"},
        {"iss": "buffalo-admin"},
        {"iss": "nobody"},
        {"typ": "JWT"},
        {"alg": "HS256"},
        {"key": "other"},
    ],
)
async def test_login_statements_that_do_not_hold(house: House, changes: dict[str, Any]):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    now_s = house.now_s
    said = {"iss": "buffalo-app", "sub": MEMBER, "aud": ISSUER, "iat": now_s, "exp": now_s + 60}
    said["challenge"] = challenge_of(uri)
    header = {"alg": "ES256", "typ": changes.pop("typ", LOGIN_TYPE)}
    key = house.keys["buffalo-app"]
    if changes.pop("key", None):
        key = ECKey.generate_key("P-256")
    if changes.pop("alg", None):
        statement = "eyJhbGciOiJub25lIiwidHlwIjoicGF5aHViLWxvZ2luK2p3dCJ9.e30."
    else:
        moved = {
            n: now_s + v if n in ("iat", "exp") and isinstance(v, int) else v for n, v in changes.items()
        }
        issuer = moved.get("iss")
        key = house.keys.get(issuer, key) if isinstance(issuer, str) else key
        statement = signed(header, {**said, **moved}, key)
    answer = await tpp.decide(uri, login_statement=statement)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "did not confirm" in answer.text
    assert (await tpp.decide(uri)).status_code == 303


async def test_a_client_assertion_is_no_login_and_a_login_is_no_client_assertion(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    app = house.client("buffalo-app")
    assert (await tpp.decide(uri, login_statement=app.assertion())).status_code == 400
    answer = await app.token(client_assertion=tpp.login(uri))
    assert answer.json()["error"] == "invalid_client"


async def test_guessing_ends(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    page = (await tpp.open_page(uri)).text
    for _ in range(LOGINS_MAX):
        assert (await tpp.decide(uri, page=page, login_statement="x")).status_code == 400
    answer = await tpp.decide(uri, page=page)
    assert (answer.status_code, "Too many attempts" in answer.text) == (400, True)


@pytest.mark.parametrize("decision", ["", "maybe", "approve\n"])
async def test_no_decision_is_no_consent(house: House, decision: str):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    assert (await tpp.decide(uri, decision)).status_code == 400
    assert (await tpp.open_page(uri)).status_code == 200


async def test_forms_that_cannot_be_read_get_a_page(house: House):
    http = house.copies[0]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers in ((b"\xff", form), (b"a=1&a=2", form), (b"{}", {"Content-Type": "application/json"})):
        answer = await http.post(AUTHORIZE, content=body, headers=headers)
        assert (answer.status_code, answer.headers["x-frame-options"]) == (400, "DENY")
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_suspended_tenants_members_are_asked_nothing(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    known = house.directories[0].get("buffalo")
    assert known is not None
    house.suspend("buffalo")
    assert (await tpp.open_page(uri)).status_code == 400
    assert (await tpp.push()).json()["error"] == "unauthorized_client"
    assert (await tpp.token()).json()["scope"] == "payments:read"  # for itself, what was begun


async def test_an_address_that_was_unregistered_meanwhile_gets_no_code(house: House):
    tpp = await house.tpp(redirect_uris=[CALLBACK, CALLBACK + "2"])
    uri = await tpp.request_uri()
    management = tpp.registration["registration_client_uri"].removeprefix(ISSUER)
    body = {
        "client_id": tpp.client_id,
        "redirect_uris": [CALLBACK + "2"],
        "jwks": {"keys": [tpp.key.as_dict(private=False)]},
    }
    head = {"Authorization": f"Bearer {tpp.registration['registration_access_token']}"}
    assert (await tpp.http.put(management, json=body, headers=head)).status_code == 200
    answer = await tpp.decide(uri)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_refusing_needs_no_login(house: House):
    tpp = await house.tpp()
    answer = await tpp.decide(await tpp.request_uri(), "deny", login_statement="")
    assert query_of(answer)["error"] == "access_denied"
