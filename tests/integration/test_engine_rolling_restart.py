"""A rolling restart of an engine: whoever asks all the time gets no failed request, and loses none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from support.replica_group import Running, running_group
from unit.gateway.gateway_kit import tenant_config

from payhub_gateway.engine_client import HttpEngineClient
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.errors import PayhubError
from payhub_platform.money import Money

TENANT = tenant_config("buffalo", [])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CHANNELS = 8


def payment(number: int) -> StartPayment:
    return StartPayment(
        payment_id=f"p-{number}",
        idempotency_key="k",
        fingerprint="f",
        client_id="c",
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="1"),
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="2"),
        amount=Money(1, "KES"),
    )


class Channels:
    """Send one payment after the other, on several lanes at the same time."""

    def __init__(self, client: HttpEngineClient) -> None:
        self._client = client
        self.accepted: set[str] = set()
        self.failed: list[str] = []
        self._number = 0

    async def lane(self) -> None:
        while True:
            self._number += 1
            sent = payment(self._number)
            try:
                await self._client.start(TENANT, sent, TRACE)
                self.accepted.add(sent.payment_id)
            except PayhubError as error:
                self.failed.append(error.code)

    async def some_more(self) -> None:
        enough = len(self.accepted) + 100
        while len(self.accepted) < enough and not self.failed:
            await asyncio.sleep(0.01)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_group() as held:
        yield held


@contextlib.asynccontextmanager
async def channels_at(addresses: str) -> AsyncIterator[Channels]:
    client = HttpEngineClient({"north": addresses}, "secret")
    await client.open()
    channels = Channels(client)
    lanes = [asyncio.create_task(channels.lane()) for _ in range(CHANNELS)]
    try:
        yield channels
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        await client.close()


def committed(running: Running) -> set[str]:
    return {msgspec.json.decode(body)["payment_id"] for _, body in running.group.committed}


async def test_a_rolling_restart_fails_no_request(running: Running):
    async with channels_at(running.group.addresses) as channels:
        for name in ("1", "2", "3"):
            await channels.some_more()
            assert await running.stop(name) == 0
            await channels.some_more()
            await running.start(name)
        await channels.some_more()
    assert channels.failed == []
    assert channels.accepted <= committed(running)
    assert {by for by, _ in running.group.committed} == {"1", "2"}


async def test_a_stopping_leader_still_answers_by_asking_the_next_one(running: Running):
    url = running.group.urls["1"]
    async with aiohttp.ClientSession() as http:
        async with http.post(url + "/engine/v1/payments", data=b'{"payment_id":"p"}') as answer:
            assert answer.headers["X-Payhub-Leader"] == "1"
        stopping = running.begin_stop("1")
        while not running.group.members["1"].is_stopping:
            await asyncio.sleep(0)
        async with http.post(url + "/engine/v1/payments", data=b'{"payment_id":"q"}') as answer:
            assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")
            assert answer.headers["Connection"] == "close"
        async with http.get(url + "/health/ready") as answer:
            assert (await answer.json())["status"] == "stopping"
        assert await stopping == 0


async def test_a_leader_that_fails_costs_time_and_no_request(running: Running):
    async with channels_at(running.group.addresses) as channels:
        await channels.some_more()
        group = running.group
        failing = group.members["1"]
        # It stops without a hand-over: the others notice later, and its port refuses connections.
        failing.failed.set_result(OSError("the disk is gone"))
        status = await running.ended("1")
        group.elect_another("1")
        await channels.some_more()
        assert status == 1
    assert channels.failed == []
    assert channels.accepted <= committed(running)


async def test_a_stop_without_anybody_to_lead_ends_all_the_same(
    running: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("payhub_engines.server.app.HAND_OVER_WAIT_S", 0.05)

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(running.group.members["1"], "prepare_stop", never)
    assert await running.stop("1") == 0


async def test_the_client_goes_to_the_leader_directly(running: Running):
    client = HttpEngineClient({"north": running.group.addresses}, "secret")
    await client.open()
    running.group.leader = "3"
    for number in range(3):
        await client.start(TENANT, payment(number), TRACE)
    await client.close()
    assert running.group.forwarded == 1  # the first one, which went to the first address
