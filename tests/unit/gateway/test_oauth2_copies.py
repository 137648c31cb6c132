"""Copies of the gateway are one OAuth2 server, also while the store that they share is out of reach."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from unit.gateway.gateway_kit import assert_problem
from unit.gateway.oauth2_kit import House, assert_refused, house_of, query_of


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path, copies=2) as held:
        await settled(lambda: len(jwks_of(held, 0)) == len(jwks_of(held, 1)) == 2)
        yield held


def jwks_of(house: House, copy: int) -> list[Any]:
    tokens = house.apps[copy].dependencies["access_tokens"]
    keys: list[Any] = tokens.dependency().public_keys()["keys"]  # type: ignore[union-attr]
    return keys


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until the copies have told each other."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_every_step_of_the_code_flow_may_reach_another_copy(house: House):
    tpp = await house.tpp()
    uri = (await tpp.at(1).push()).json()["request_uri"]
    page = await tpp.at(0).open_page(uri)
    browser = tpp.at(1)
    browser.http.cookies.update(tpp.at(0).http.cookies)
    code = query_of(await browser.decide(uri, page=page.text))["code"]
    given = (await tpp.at(0).exchange(code)).json()
    refreshed = await tpp.at(1).refresh(given["refresh_token"])
    assert refreshed.status_code == 200
    assert_refused(await tpp.at(1).exchange(code), "invalid_grant")
    assert_refused(await tpp.at(0).refresh(given["refresh_token"]), "invalid_grant")


async def test_a_token_of_one_copy_is_good_at_the_other_and_both_publish_both_keys(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    assert (await client.at(1).pay(token)).status_code == 202
    sets = [(await copy.get("/oauth2/jwks")).json()["keys"] for copy in house.copies]
    kids = [{key["kid"] for key in keys} for keys in sets]
    assert kids[0] == kids[1]
    assert len(kids[0]) == 2
    assert not [key for keys in sets for key in keys if "d" in key]


async def test_an_assertion_or_proof_is_used_once_at_all_copies(house: House):
    client = house.client("buffalo-admin")
    assertion, proof = client.assertion(), client.proof("POST", "/oauth2/token")
    assert (await client.at(0).token(client_assertion=assertion)).status_code == 200
    assert_refused(await client.at(1).token(client_assertion=assertion), "invalid_client")
    head = {"DPoP": proof}
    assert (await client.at(0).token(dpop=False, headers=head)).status_code == 200
    assert_refused(await client.at(1).token(dpop=False, headers=head), "invalid_client")


async def test_an_assertion_that_came_with_a_refused_request_is_used_too(house: House):
    client = house.client("buffalo-admin")
    assertion = client.assertion()
    assert_refused(await client.at(0).token(client_assertion=assertion, scope="admin"), "invalid_scope")
    assert_refused(await client.at(1).token(client_assertion=assertion), "invalid_client")


async def test_of_two_exchanges_at_once_none_keeps_what_it_got(house: House):
    tpp = await house.tpp()
    await settled(lambda: registered(house, 1, tpp.client_id))
    code = await tpp.code()
    answers = await asyncio.gather(*(tpp.at(copy).exchange(code) for copy in (0, 1, 0, 1)))
    given = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(given) <= 1
    for answer in given:
        assert_refused(await tpp.refresh(answer["refresh_token"]), "invalid_grant")


def registered(house: House, copy: int, client_id: str) -> bool:
    server = house.apps[copy].dependencies["token_server"].dependency()  # type: ignore[union-attr]
    return server.query_client(client_id) is not None


async def test_a_revocation_reaches_every_copy(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    assert (await client.at(1).pay(token)).status_code == 202
    assert (await client.at(0).post("/oauth2/revoke", {"token": token})).status_code == 200
    assert (await client.at(0).pay(token)).status_code == 401
    async with asyncio.timeout(5):
        while (await client.at(1).pay(token)).status_code != 401:
            await asyncio.sleep(0.01)


async def test_registrations_reach_every_copy(house: House):
    tpp = await house.tpp()
    await settled(lambda: registered(house, 1, tpp.client_id))
    assert (await tpp.at(1).token()).status_code == 200


async def test_with_the_store_down_clients_still_get_tokens_and_use_them(house: House):
    client = house.client("buffalo-admin")
    house.store.down = True
    answer = await client.token()
    assert answer.status_code == 200
    assert (await client.pay(answer.json()["access_token"])).status_code == 202
    assert (await client.at(1).pay(answer.json()["access_token"])).status_code == 202
    replayed = client.assertion()
    assert (await client.token(client_assertion=replayed)).status_code == 200
    assert_refused(await client.token(client_assertion=replayed), "invalid_client")


async def test_with_the_store_down_an_assertion_must_be_a_minute_old_at_most(house: House):
    client = house.client("buffalo-admin")
    old = [client.assertion(iat=house.now_s - 61) for _ in range(2)]
    assert (await client.token(client_assertion=old[0])).status_code == 200
    house.store.down = True
    answer = await client.token(client_assertion=old[1])
    assert_refused(answer, "temporarily_unavailable", 503)
    assert int(answer.headers["retry-after"]) >= 1
    assert (await client.token(client_assertion=client.assertion(iat=house.now_s - 50))).status_code == 200


async def test_with_the_store_down_everything_that_needs_it_is_refused_as_503(house: House):
    tpp = await house.tpp()
    uri = await tpp.request_uri()
    page = (await tpp.open_page(uri)).text
    code = await tpp.code()
    given = (await tpp.exchange(await tpp.code())).json()
    house.store.down = True
    for answer in (
        await tpp.push(),
        await tpp.exchange(code),
        await tpp.refresh(given["refresh_token"]),
        await tpp.post("/oauth2/revoke", {"token": given["access_token"]}),
        await tpp.post("/oauth2/introspect", {"token": given["access_token"]}),
    ):
        assert_refused(answer, "temporarily_unavailable", 503)
    assert (await tpp.open_page(uri)).status_code == 503
    assert (await tpp.decide(uri, page=page)).status_code == 503
    admin = house.client("buffalo-admin")
    token = (await admin.token(scope="clients:register")).json()["access_token"]
    answer = await admin.call(
        "POST",
        "/oauth2/register",
        token,
        json={
            "jwks": {"keys": [tpp.key.as_dict(private=False)]},
            "redirect_uris": ["https://tpp.example/cb"],
        },
    )
    assert_problem(answer, 503, "oauth-store-unavailable")
    house.store.down = False
    assert (await tpp.exchange(code)).status_code == 200
    assert (await tpp.decide(uri, page=page)).status_code == 303


async def test_a_copy_that_starts_while_the_store_is_down_knows_clients_and_keys(tmp_path: Path):
    async with house_of(tmp_path, copies=2) as house:
        tpp = await house.tpp()
        await settled(lambda: registered(house, 1, tpp.client_id) and len(jwks_of(house, 1)) == 2)
        cached = house.parts[1].oauth_cache
        await settled(lambda: cached.exists() and tpp.client_id.encode() in cached.read_bytes())
        token = (await tpp.token()).json()["access_token"]
        house.store.down = True
        async with house.open_again(1):
            assert (await tpp.at(1).token()).status_code == 200
            answer = await tpp.at(1).pay(token)
            assert answer.status_code == 202, answer.text


async def test_a_damaged_cache_is_told_of_and_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with house_of(tmp_path, copies=1) as house:
        tpp = await house.tpp()
        cached = house.parts[0].oauth_cache
        await settled(cached.exists)
        cached.write_bytes(b"\xc1 nonsense")
        async with house.open_again(0):
            assert "oauth2.cache cannot be read" in caplog.text
            assert (await house.client("buffalo-admin").token()).status_code == 200
            await settled(lambda: tpp.client_id.encode() in cached.read_bytes())
            assert (await tpp.at(0).token()).status_code == 200
