"""Limits as a client meets them: over all routes, with the fields that say how it stands."""

from unit.gateway.gateway_kit import Gateway, assert_problem, transfer

from payhub_platform.contracts.tenant import ApiLimits


async def test_the_limit_is_one_over_two_routes_and_apart_for_two_tenants(gateway: Gateway):
    ours, theirs = await gateway.token(), await gateway.token("lion-app")
    payment = (await gateway.send(transfer(), ours)).json()["transactionId"]
    for _ in range(9):
        assert (await gateway.status(payment, ours)).status_code == 200
    for number in range(10):
        assert (await gateway.send(transfer(), ours, X_CorrelationID=f"k{number}")).status_code == 202
    for answer in (await gateway.send(transfer(), ours), await gateway.status(payment, ours)):
        assert_problem(answer, 429, "rate-exceeded")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["ratelimit"].startswith('"rate";r=0;t=1, "day";r=980;t=')
    assert (await gateway.send(transfer(), theirs)).status_code == 202
    gateway.clock.advance(0.1)
    assert (await gateway.send(transfer(), ours)).status_code == 202


async def test_every_answer_to_a_known_client_carries_the_fields(gateway: Gateway):
    token = await gateway.token()
    for body in (transfer(), b"{", transfer(colour="red")):
        answer = await gateway.send(body, token)
        assert answer.headers["ratelimit-policy"] == '"rate";q=20;w=2, "day";q=1000;w=86400'
    stranger = await gateway.send(transfer(), "x.y.z")
    assert "ratelimit" not in stranger.headers


async def test_refused_requests_are_counted_too(gateway: Gateway):
    token = await gateway.token("buffalo-reader")
    for _ in range(20):
        assert_problem(
            await gateway.send(transfer(), token), 403, "insufficient-scope", "header:Authorization"
        )
    assert_problem(await gateway.send(transfer(), token), 429, "rate-exceeded")


async def test_a_tenants_own_limits_go_first(gateway: Gateway):
    gateway.put_tenant("buffalo", api_limits=ApiLimits(rate_per_s=1, burst=2, quota_per_day=2))
    token = await gateway.token()
    assert (await gateway.send(transfer(), token)).status_code == 202
    assert (await gateway.send(transfer(), token)).status_code == 202
    answer = await gateway.send(transfer(), token)
    assert_problem(answer, 429, "quota-exceeded")
    assert int(answer.headers["retry-after"]) > 3600


async def test_a_client_asks_how_it_stands(gateway: Gateway):
    token = await gateway.token()
    await gateway.send(transfer(), token)
    answer = await gateway.client.get("/v1/usage", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    told = answer.json()
    resets = told.pop("resetsInSeconds")
    assert 0 < resets <= 86_400
    assert told == {
        "clientId": "buffalo-ussd",
        "ratePerSecond": 10,
        "burst": 20,
        "remainingNow": 18,
        "day": "2026-09-21",
        "quotaPerDay": 1000,
        "usedToday": 2,
        "remainingToday": 998,
        "inFlightMax": 2,
        "copies": 1,
    }
