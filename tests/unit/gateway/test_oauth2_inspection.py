"""Introspection (RFC 7662) and revocation (RFC 7009)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from unit.gateway.gateway_kit import ISSUER
from unit.gateway.oauth2_kit import House, assert_refused, house_of

INSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        yield held


async def test_a_client_hears_what_its_own_tokens_mean(house: House):
    tpp = await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    answer = await tpp.post(INSPECT, {"token": given["access_token"], "token_type_hint": "access_token"})
    said = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (said["active"], said["token_type"], said["client_id"]) == (True, "DPoP", tpp.client_id)
    assert (said["iss"], said["sub"], said["tenant"]) == (ISSUER, "member-7", "buffalo")
    assert (said["iat"], said["exp"]) == (house.now_s, house.now_s + 300)
    assert said["cnf"] == {"jkt": tpp.dpop_key.thumbprint()}
    said = (await tpp.post(INSPECT, {"token": given["refresh_token"], "token_type_hint": "wrong"})).json()
    assert (said["active"], said["client_id"], said["scope"]) == (True, tpp.client_id, "payments:read")


async def test_others_hear_nothing_but_who_may_within_the_tenant(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    for token in (given["access_token"], given["refresh_token"]):
        for client in (
            other,
            house.client("lion-admin"),
            house.client("lion-app"),
            house.client("buffalo-app"),
        ):
            assert (await client.post(INSPECT, {"token": token})).json() == {"active": False}
        assert (await house.client("buffalo-admin").post(INSPECT, {"token": token})).json()["active"] is True


async def test_what_is_over_is_inactive(house: House):
    tpp = await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    for token in ("x", "", "a.b.c", given["access_token"][:-4] + "AAAA"):
        answer = await tpp.post(INSPECT, {"token": token or " "})
        assert answer.json() == {"active": False}
    house.clock.advance(300)
    assert (await tpp.post(INSPECT, {"token": given["access_token"]})).json() == {"active": False}
    house.clock.advance(90 * 86_400)
    assert (await tpp.post(INSPECT, {"token": given["refresh_token"]})).json() == {"active": False}


async def test_a_revoked_refresh_token_takes_its_access_tokens_along(house: House):
    tpp = await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    newer = (await tpp.refresh(given["refresh_token"])).json()["access_token"]
    untouched = (await tpp.exchange(await tpp.code())).json()
    answer = await tpp.post(REVOKE, {"token": given["refresh_token"]})
    assert (answer.status_code, answer.json()) == (200, {})
    for token in (given["access_token"], newer, given["refresh_token"]):
        assert (await tpp.post(INSPECT, {"token": token})).json() == {"active": False}
    assert_refused(await tpp.refresh(given["refresh_token"]), "invalid_grant")
    assert (await tpp.refresh(untouched["refresh_token"])).status_code == 200
    house.clock.advance(3600)
    assert_refused(await tpp.refresh(given["refresh_token"]), "invalid_grant")


async def test_a_revoked_access_token_leaves_the_grant(house: House):
    tpp = await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    assert (await tpp.post(REVOKE, {"token": given["access_token"]})).status_code == 200
    assert (await tpp.post(REVOKE, {"token": given["access_token"]})).status_code == 200
    assert (await tpp.post(INSPECT, {"token": given["access_token"]})).json() == {"active": False}
    assert (await tpp.refresh(given["refresh_token"])).status_code == 200


async def test_nobody_revokes_anothers_tokens(house: House):
    tpp, other = await house.tpp(), await house.tpp()
    given = (await tpp.exchange(await tpp.code())).json()
    for token in (given["access_token"], given["refresh_token"]):
        for client in (other, house.client("buffalo-admin")):
            assert_refused(await client.post(REVOKE, {"token": token}), "invalid_grant")
        assert (await tpp.post(INSPECT, {"token": token})).json()["active"] is True


async def test_revoking_what_is_no_token_succeeds(house: House):
    tpp = await house.tpp()
    assert (await tpp.post(REVOKE, {"token": "x"})).status_code == 200
    for path in (REVOKE, INSPECT):
        assert_refused(await tpp.post(path, {}), "invalid_request")
