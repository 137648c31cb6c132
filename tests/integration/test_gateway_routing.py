"""Real replicas of an engine are killed under the gateway's client: every payment is accepted, and once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from support.engine_group import TOKEN, EngineGroup
from unit.gateway.gateway_kit import tenant_config

from payhub_gateway.engine_client import HttpEngineClient
from payhub_platform import ids
from payhub_platform.contracts.channel import PartyIdInfo, TransferAccepted, TransferStatus
from payhub_platform.contracts.engine import PATH_PAYMENTS, StartPayment
from payhub_platform.money import Money

REPLICAS = ("1", "2", "3")
TENANT = tenant_config("buffalo", [], placement=["north"])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LANES = 6


def payment(number: int) -> StartPayment:
    return StartPayment(
        payment_id=ids.payment_id("buffalo", "ussd", str(number)),
        idempotency_key=str(number),
        fingerprint=str(number),
        client_id="ussd",
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="1"),
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="2"),
        amount=Money(100, "KES"),
    )


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[EngineGroup]:
    async with aiohttp.ClientSession() as http:
        held = EngineGroup(tmp_path, http, REPLICAS)
        for replica in REPLICAS:
            held.data(replica).mkdir()
            (held.data(replica) / "tenants.cache").write_bytes(msgspec.msgpack.encode([TENANT]))
        try:
            await held.start(*REPLICAS)
            yield held
        finally:
            await held.end()


@pytest.fixture
async def client(group: EngineGroup) -> AsyncIterator[HttpEngineClient]:
    addresses = ",".join(f"{replica}={group.url(replica)}" for replica in REPLICAS)
    # A busy machine needs longer to elect.
    held = HttpEngineClient({"north": addresses}, TOKEN, call_timeout_s=20.0)
    await held.open()
    yield held
    await held.close()


async def leader(group: EngineGroup) -> str:
    async with asyncio.timeout(20):
        while True:
            views = [await group.view(replica) for replica in REPLICAS if group.is_running(replica)]
            leading = [view.replica for view in views if view.role == "leader"]
            if len(leading) == 1:
                return leading[0]
            await asyncio.sleep(0.05)


async def test_a_leader_that_is_killed_under_load_fails_no_payment(
    group: EngineGroup, client: HttpEngineClient
):
    accepted: dict[int, TransferAccepted] = {}
    numbers = iter(range(10_000))
    is_over = asyncio.Event()

    async def lane() -> None:
        while not is_over.is_set():
            number = next(numbers)
            accepted[number] = await client.start(TENANT, payment(number), TRACE)

    async def some_more(count: int) -> None:
        enough = len(accepted) + count
        while len(accepted) < enough and not any(task.done() for task in lanes):
            await asyncio.sleep(0.01)

    lanes = [asyncio.create_task(lane()) for _ in range(LANES)]
    await some_more(30)
    killed = await leader(group)
    await group.signal(killed, signal.SIGKILL)
    await some_more(30)
    is_over.set()
    await asyncio.gather(*lanes)
    # Each is there, under its own id; the same again is the same.
    for number, answer in accepted.items():
        assert answer.transaction_id == payment(number).payment_id
        status = await client.find(TENANT, f"{PATH_PAYMENTS}/{answer.transaction_id}", TransferStatus, TRACE)
        assert status.transaction_id == answer.transaction_id
        assert await client.start(TENANT, payment(number), TRACE) == answer
    assert await group.instances(await leader(group)) == len(accepted)


async def test_a_leader_that_stands_still_is_passed_by(group: EngineGroup, client: HttpEngineClient):
    await client.start(TENANT, payment(0), TRACE)
    stopped = await leader(group)
    await group.signal(stopped, signal.SIGSTOP)
    try:
        answer = await client.start(TENANT, payment(1), TRACE)
    finally:
        await group.signal(stopped, signal.SIGCONT)
    assert answer.transaction_id == payment(1).payment_id
    assert await client.start(TENANT, payment(1), TRACE) == answer
