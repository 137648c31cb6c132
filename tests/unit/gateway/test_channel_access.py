"""Where token, proof, limits and tenant meet: in which order a request is refused, and what that costs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unit.gateway.gateway_kit import StillClock, assert_problem, transfer
from unit.gateway.oauth2_kit import Client, House, house_of, running

from payhub_gateway.app import create_app
from payhub_gateway.rates.service import CLIENTS_MAX, RateLimits
from payhub_gateway.request_shape import PATH_BYTES_MAX
from payhub_platform.contracts.tenant import ApiLimits

PATH = "/v1/transfers"
SCARCE = ApiLimits(rate_per_s=1, burst=2, quota_per_day=100)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path, copies=2) as held:
        yield held


@pytest.fixture
async def scarce(house: House) -> AsyncIterator[Client]:
    """A client at a gateway that takes two requests at once."""
    rates = RateLimits(house.clock, house.clock.monotonic_ns)
    parts = msgspec.structs.replace(house.parts[0], limits=SCARCE, rates=rates)
    async with running(create_app(parts)) as http:
        yield Client(house, "buffalo-admin", house.keys["buffalo-admin"], http)


async def token_of(client: Client) -> str:
    return str((await client.token()).json()["access_token"])


async def send(client: Client, token: str, proof: str, key: str = "key-1", **headers: str) -> Any:
    head = {"Authorization": f"DPoP {token}", "DPoP": proof, "Idempotency-Key": key, **headers}
    return await client.http.post(PATH, json=transfer(), headers=head)


async def test_a_proof_is_good_at_no_copy_once_it_is_old(house: House):
    client = house.client("buffalo-admin")
    token = await token_of(client)
    proof = client.proof("POST", PATH, token)
    assert (await send(client.at(0), token, proof)).status_code == 202
    house.clock.advance(71)
    for copy in (0, 1):
        answer = await send(client.at(copy), token, proof)
        assert_problem(answer, 401, "invalid-dpop-proof", "header:DPoP")
        assert "ratelimit" not in answer.headers


async def test_a_request_over_the_limit_uses_no_proof_up(house: House, scarce: Client):
    token = await token_of(scarce)
    for key in ("key-1", "key-2"):
        assert (await send(scarce, token, scarce.proof("POST", PATH, token), key)).status_code == 202
    proof = scarce.proof("POST", PATH, token)
    assert_problem(await send(scarce, token, proof, "key-3"), 429, "rate-exceeded")
    house.clock.advance(2)
    assert (await send(scarce, token, proof, "key-3")).status_code == 202
    assert_problem(await send(scarce, token, proof, "key-4"), 401, "invalid-dpop-proof", "header:DPoP")


async def test_a_proof_that_comes_again_is_counted(scarce: Client):
    token = await token_of(scarce)
    proof = scarce.proof("POST", PATH, token)
    assert (await send(scarce, token, proof)).status_code == 202
    assert_problem(await send(scarce, token, proof), 401, "invalid-dpop-proof", "header:DPoP")
    assert_problem(await send(scarce, token, proof), 429, "rate-exceeded")


async def test_a_proof_of_another_key_is_counted_to_nobody(scarce: Client):
    token = await token_of(scarce)
    other = Client(scarce.house, "lion-admin", scarce.house.keys["lion-admin"], scarce.http)
    for _ in range(5):
        answer = await send(scarce, token, other.proof("POST", PATH, token))
        assert_problem(answer, 401, "invalid-token", "header:Authorization")
        assert "ratelimit" not in answer.headers
    assert (await send(scarce, token, scarce.proof("POST", PATH, token))).status_code == 202


async def test_a_request_that_names_another_tenant_is_refused_and_counted_to_its_own(scarce: Client):
    token = await token_of(scarce)
    lion = Client(scarce.house, "lion-admin", scarce.house.keys["lion-admin"], scarce.http)
    theirs = await token_of(lion)
    named = {"Platform-TenantId": "lion"}
    for _ in range(2):
        answer = await send(scarce, token, scarce.proof("POST", PATH, token), **named)
        assert_problem(answer, 403, "tenant-mismatch", "header:Platform-TenantId")
    answer = await send(scarce, token, scarce.proof("POST", PATH, token), **named)
    assert_problem(answer, 429, "rate-exceeded")
    assert (await send(lion, theirs, lion.proof("POST", PATH, theirs), **named)).status_code == 202


async def test_an_address_that_is_too_long_is_refused_before_its_token_is_looked_at(scarce: Client):
    token = await token_of(scarce)
    path = f"{PATH}/{'x' * PATH_BYTES_MAX}"
    for _ in range(5):
        answer = await scarce.call("GET", path, token)
        assert_problem(answer, 414, "address-too-long")
        assert "ratelimit" not in answer.headers
    assert (await scarce.call("GET", "/v1/usage", token)).json()["usedToday"] == 1


def test_ten_thousand_clients_and_more_are_held_in_bounded_memory():
    clock = StillClock()
    rates = RateLimits(clock, clock.monotonic_ns)
    for number in range(CLIENTS_MAX + 500):
        assert rates.admit(f"tenant-{number % 50}", f"client-{number}", SCARCE)[1]
    assert len(rates.report().clients) == CLIENTS_MAX
    newest, oldest = CLIENTS_MAX + 499, 0
    assert rates.look(f"tenant-{newest % 50}", f"client-{newest}", SCARCE).used == 1
    assert rates.look(f"tenant-{oldest % 50}", f"client-{oldest}", SCARCE).used == 0
