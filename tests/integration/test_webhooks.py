"""Every final state reaches the endpoints that want it, at least once and under one id, whatever they do."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from sqlalchemy import delete, select, text, update
from support.authority import Authority
from support.operations_records import batch, outgoing, record
from support.operations_servers import IDENTIFY, fresh_database, until
from support.webhook_receivers import BOX, SECRET, Receiver, endpoint, hang, receiving, verified

from payhub_cli.local.server import LocalServer
from payhub_operations.audit.errors import ReplayError
from payhub_operations.audit.model import Gap, RecordBatch, moment
from payhub_operations.audit.store import AuditStore
from payhub_operations.database import Database
from payhub_operations.schema import webhook_deliveries, webhook_endpoints
from payhub_operations.webhooks import attempts, repository
from payhub_operations.webhooks.deliverer import Deliverer
from payhub_operations.webhooks.errors import DeliveryNotFoundError, WebhookEndpointNotFoundError
from payhub_operations.webhooks.model import LEASE, RETRY_FOR, Endpoint, EndpointView
from payhub_operations.webhooks.sender import Sender
from payhub_operations.webhooks.service import WebhookService
from payhub_operations.webhooks.subscriptions import Subscriptions
from payhub_platform import cancellation
from payhub_platform.bus import connection
from payhub_platform.contracts.audit import AuditRecord
from payhub_platform.contracts.tenant import (
    AmsConnection,
    SchemeConnection,
    SigningKey,
    TenantConfig,
    WebhookEndpoint,
)

NOW_MS = 1_790_000_000_000
POLL_S = 0.1


class NamedHosts:
    """A name service that knows this machine by any name."""

    async def addresses(self, _host: str) -> list[str]:
        return ["127.0.0.1"]


class Office:
    """The parts of operations that webhooks need, with a clock that the test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_ms = NOW_MS
        self.store = AuditStore(database, IDENTIFY, self.clock, _no_replay)
        self.service = WebhookService(database, self.clock)

    def clock(self) -> int:
        return self.now_ms

    def later(self, wait: timedelta) -> None:
        self.now_ms += wait // timedelta(milliseconds=1)

    async def subscribe(self, *endpoints: Endpoint) -> None:
        for tenant in {each.tenant for each in endpoints}:
            async with self.database.writer() as connection:
                own = [each for each in endpoints if each.tenant == tenant]
                await repository.put_endpoints(connection, tenant, own)

    async def stored(self, records: list[AuditRecord], engine: str = "north") -> None:
        await self.store.store(engine, [batch(records, engine)])

    @contextlib.asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        sender = Sender(BOX, NamedHosts(), private_allowed=True)
        task = asyncio.create_task(Deliverer(self.database, sender, self.clock, POLL_S).run())
        try:
            yield
        finally:
            await cancellation.end([task])
            await sender.close()

    async def states(self, tenant: str = "buffalo") -> list[str]:
        page = await self.service.deliveries(tenant, {})
        return [each.state for each in reversed(page.deliveries)]

    async def until_states(self, *expected: str, tenant: str = "buffalo") -> None:
        async def reached() -> bool:
            return await self.states(tenant) == list(expected)

        await until(reached)

    async def until_error(self, error: str, attempts: int, tenant: str = "buffalo") -> None:
        async def reached() -> bool:
            [found] = (await self.service.deliveries(tenant, {})).deliveries
            made = (await self.service.detail(tenant, str(found.delivery))).attempts
            return [(each.attempt, each.error) for each in made[:1]] == [(attempts, error)]

        await until(reached)


async def _no_replay(engine: str, gap: Gap) -> RecordBatch:
    raise ReplayError(engine, f"position {gap.from_position} is not expected to be missing")


async def _received(receiver: Receiver, count: int) -> None:
    async def reached() -> bool:
        return len(receiver.received) >= count

    await until(reached)


@pytest.fixture
async def office(postgres_server: LocalServer) -> AsyncIterator[Office]:
    async with fresh_database(postgres_server.url) as database:
        yield Office(database)


def _config(tenant: str, *webhooks: Endpoint) -> TenantConfig:
    """A configuration as tenants publishes it, of which only the webhooks count here."""
    config = TenantConfig(
        tenant_id=tenant,
        fsp_id=tenant,
        name=tenant,
        currency="KES",
        status="active",
        version=1,
        epoch=1,
        placement=["north"],
        scheme=SchemeConnection(base_url="", switch_fsp_id="", switch_public_key_pem=""),
        ams=AmsConnection(base_url=""),
        signing_key=SigningKey(key_id="", public_key_pem="", private_key_sealed=""),
        clients=[],
    )
    told = [
        WebhookEndpoint(
            endpoint_id=each.endpoint,
            url=each.url,
            purpose="webhook",
            events=["payment.completed"],
            secrets=each.secrets,
        )
        for each in webhooks
    ]
    return msgspec.structs.replace(config, webhooks=told)


async def test_endpoints_are_those_of_the_configurations_whatever_happens(office: Office):
    def kept(tenant: str) -> Awaitable[list[EndpointView]]:
        return office.service.endpoints(tenant)

    bus = await connection.connect("nats://u:p@127.0.0.1:1", "test")  # nobody is there
    subscriptions = Subscriptions(bus, office.database)
    buffalo = _config("buffalo", endpoint("http://b.example/"), endpoint("http://c.example/", name="second"))
    await office.subscribe(endpoint("http://z.example/", "zebra"))
    await subscriptions.take(buffalo)
    assert await kept("buffalo") == []  # there may be more
    await subscriptions.take(None)
    await subscriptions.wait_for_first()
    assert {each.url for each in await kept("buffalo")} == {"http://b.example/", "http://c.example/"}
    await office.stored(outgoing(1))
    async with office.database.writer() as writer:
        await writer.execute(update(webhook_endpoints).values(failing_since=moment(NOW_MS)))
        await writer.execute(delete(webhook_endpoints).where(webhook_endpoints.c.endpoint == "second"))
    await subscriptions.take(buffalo)  # it has come before
    assert len(await kept("buffalo")) == 1
    await subscriptions.take(None)  # what a restored database lacked is there again
    assert [each.failing_since is not None for each in await kept("buffalo")] == [True, False]
    await subscriptions.take(_config("buffalo", endpoint("http://b.example/")))
    assert [each.url for each in await kept("buffalo")] == ["http://b.example/"]
    assert sorted(await office.states()) == ["failed", "pending"]
    await subscriptions.take(_config("lion", endpoint("http://l.example/", "lion")))
    await subscriptions.take(None)
    assert len(await kept("lion")) == len(await kept("zebra")) == 1
    await bus.close()


async def test_an_endpoint_that_fails_is_left_alone_for_as_long_as_it_has_failed(office: Office):
    await office.subscribe(endpoint("http://127.0.0.1:9/"))
    await office.stored([item for number in range(40) for item in outgoing(number * 6 + 1, f"p-{number}")])
    expected = [0, 5, 10, 20, 40, 80, 160, 320, *range(620, 3600, 300)]
    tries = []
    for at_s in sorted({*expected, *(each - 1 for each in expected[1:])}):
        office.now_ms = NOW_MS + at_s * 1000
        now = moment(office.now_ms)
        async with office.database.writer() as writer:
            for delivery in await attempts.claim(writer, now, {}, 8, 100):
                await attempts.mark_refused(writer, delivery, now, now + timedelta(days=1), "timeout")
                tries.append(at_s)
    assert tries == [*[0] * 7, *expected]
    [shown] = await office.service.endpoints("buffalo")
    assert shown.retry_at is not None
    await office.service.send_test("buffalo", "hook")
    async with office.database.writer() as writer:
        now = moment(office.now_ms)
        assert len(await attempts.claim(writer, now, {}, 8, 100)) == 1


async def test_two_copies_of_the_service_share_what_is_due(office: Office):
    async with receiving() as receiver, office.delivering(), office.delivering():
        await office.subscribe(endpoint(receiver.url))
        log = [item for number in range(40) for item in outgoing(number * 6 + 1, f"pay-{number}")]
        await office.stored(log)
        await office.until_states(*["delivered"] * 40)
    assert len(receiver.ids) == len(set(receiver.ids)) == 40


async def test_two_tenants_are_told_of_their_own_payments_under_their_own_ids(office: Office):
    async with receiving() as buffalo, receiving() as lion, office.delivering():
        await office.subscribe(endpoint(buffalo.url), endpoint(lion.url, "lion"))
        await office.stored([*outgoing(1), *outgoing(7, tenant="lion"), *outgoing(13, tenant="rhino")])
        await office.until_states("delivered")
        await office.until_states("delivered", tenant="lion")
    for receiver, tenant in ((buffalo, "buffalo"), (lion, "lion")):
        [(headers, body)] = receiver.received
        assert verified(SECRET, headers, body)
        assert not verified(SECRET, headers, body + b" ")
        assert headers["content-type"] == "application/json"
        [told] = receiver.bodies
        assert (told["type"], told["data"]["tenant"]) == ("payment.completed", tenant)
        assert told["data"]["transactionId"] == "pay-1"
        assert told["data"]["amount"] == {"amount": "10.50", "currency": "KES"}
        assert b"2547" not in body
    assert buffalo.ids != lion.ids
    assert await office.states("rhino") == []


async def test_a_receiver_that_fails_gets_the_same_id_again_and_then_what_waited(office: Office):
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": inside.url})

    async with receiving() as inside, receiving(500, elsewhere, 500) as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        for attempts, error in ((1, "status-500"), (2, "status-307"), (3, "status-500")):
            await office.until_error(error, attempts)
            office.later(timedelta(hours=2**attempts))
        await office.until_states("delivered")
        assert len(set(receiver.ids)) == 1
        assert len({headers["webhook-timestamp"] for headers, _body in receiver.received}) == 4
        assert len({body for _headers, body in receiver.received}) == 1
        detail = await office.service.detail("buffalo", "1")
        assert [(each.attempt, each.status, each.error) for each in detail.attempts] == [
            (4, 204, ""),
            (3, 500, "status-500"),
            (2, 307, "status-307"),
            (1, 500, "status-500"),
        ]
        assert inside.received == []


async def test_it_is_given_up_after_three_days_and_may_be_sent_again(office: Office):
    async with receiving(*[503] * 3) as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        await office.until_error("status-503", 1)
        office.later(RETRY_FOR - timedelta(minutes=1))
        await office.until_error("status-503", 2)
        office.later(timedelta(minutes=6))
        await office.until_states("failed")
        [shown] = await office.service.endpoints("buffalo")
        assert (shown.failed, shown.pending) == (1, 0)
        assert shown.failing_since == "2026-09-21T14:13:20.000Z"
        await office.service.replay("buffalo", "1")
        await office.until_states("delivered")
        assert len(set(receiver.ids)) == 1
        assert (await office.service.endpoints("buffalo"))[0].failing_since is None


async def test_a_slow_endpoint_makes_nobody_else_wait(office: Office):
    async with receiving(*[hang] * 30) as slow, receiving() as quick, office.delivering():
        await office.subscribe(endpoint(slow.url), endpoint(quick.url, "lion"), endpoint(quick.url, name="q"))
        log = [*outgoing(1, "pay-0"), *outgoing(7, "pay-0", "lion")]
        for number in range(1, 12):
            log += outgoing(len(log) + 1, f"pay-{number}")
            log += outgoing(len(log) + 1, f"pay-{number}", "lion")
        await office.subscribe(endpoint(slow.url), endpoint(quick.url, name="q"))
        await office.stored(log)
        await office.until_states(*["delivered"] * 12, tenant="lion")
        await _received(quick, 24)
        # Eight at once and no more, while none has been answered.
        assert len(slow.received) == 8


async def test_an_attempt_whose_end_is_not_known_is_made_again_under_the_same_id(office: Office):
    async with receiving(hang) as receiver:
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        async with office.delivering():  # and killed while the receiver holds the request
            await _received(receiver, 1)
        office.later(LEASE - timedelta(seconds=1))
        async with office.database.writer() as writer:
            assert await attempts.claim(writer, moment(office.now_ms), {}, 8, 100) == []
        office.later(timedelta(seconds=1))
        async with office.delivering():
            await office.until_states("delivered")
    assert receiver.ids[0] == receiver.ids[1]


async def test_a_late_answer_does_not_undo_what_came_after_it(office: Office):
    async with receiving() as receiver:
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        async with office.database.writer() as writer:
            [first] = await attempts.claim(writer, moment(office.now_ms), {}, 8, 100)
            assert await attempts.claim(writer, moment(office.now_ms), {}, 8, 100) == []
            office.later(LEASE)
            [second] = await attempts.claim(writer, moment(office.now_ms), {}, 8, 100)
            await attempts.mark_refused(writer, first, moment(office.now_ms), None, "late")
        assert await office.states() == ["pending"]
        async with office.database.writer() as writer:
            await attempts.mark_delivered(writer, second, moment(office.now_ms))
            await attempts.mark_refused(writer, second, moment(office.now_ms), None, "later still")
    assert await office.states() == ["delivered"]
    assert receiver.received == []


async def test_one_payments_messages_arrive_in_order(office: Office):
    settled = [
        record(7, "InstanceStarted", process="payee-quote-transfer", instance=8, data={"variables": {}}),
        record(8, "ElementCompleted", process="payee-quote-transfer", instance=8,
               data={"variables": {"paymentState": "COMPLETED"}}),
        record(9, "InstanceCompleted", process="payee-quote-transfer", instance=8),
    ]  # fmt: skip
    async with receiving(500) as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored([*outgoing(1), *settled, *outgoing(10, "pay-2")])

        async def second_payment_only() -> bool:
            return await office.states() == ["pending", "pending", "delivered"]

        await until(second_payment_only)
        office.later(timedelta(seconds=30))
        await office.until_states("delivered", "delivered", "delivered")
    told = [(each["data"]["transactionId"], each["data"]["direction"]) for each in receiver.bodies]
    assert [each for each in told if each[0] == "pay-1"] == [
        ("pay-1", "outgoing"),
        ("pay-1", "outgoing"),
        ("pay-1", "incoming"),
    ]


async def test_an_answer_of_any_size_or_kind_is_no_trouble(office: Office):
    async def flood(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, aiohttp.ClientConnectionError):
            while True:
                await answer.write(b"x" * 65_536)
        return answer

    async def twice(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 2)
        request.transport.close()
        return web.Response()

    async def headers(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n")
        return web.Response()

    async def garbage(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"\x00\xff not http\r\n\r\n")
        return web.Response()

    async with (
        receiving(flood, twice) as receiver,
        receiving(headers, garbage) as broken,
        office.delivering(),
    ):
        await office.subscribe(endpoint(receiver.url), endpoint(broken.url, "lion"))
        await office.stored([*outgoing(1), *outgoing(7, "pay-2"), *outgoing(13, tenant="lion")])
        await office.until_states("delivered", "delivered")
        for attempts in (1, 2):
            await office.until_error("no-answer", attempts, "lion")
            office.later(timedelta(minutes=4**attempts))
        await office.until_states("delivered", tenant="lion")
        assert len(receiver.received) == 2


async def test_a_name_is_connected_to_at_the_address_that_was_checked(office: Office):
    async with receiving() as receiver, office.delivering():
        named = re.sub(r"//[^:/]+", "//hooks.example.ke", receiver.url)
        await office.subscribe(endpoint(named))
        await office.stored(outgoing(1))
        await office.until_states("delivered")
    assert receiver.received[0][0]["host"].startswith("hooks.example.ke:")


async def test_a_certificate_that_does_not_hold_is_nobodys(office: Office, tmp_path: Path):
    pem, key = Authority("of nobody").issue("127.0.0.1")
    (tmp_path / "pem").write_text(pem + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pem")
    async with receiving(context=context) as receiver, office.delivering():
        assert receiver.url.startswith("https://")
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        await office.until_error("tls", 1)
    assert receiver.received == []


async def test_a_restored_database_tells_again_under_the_same_ids(office: Office):
    async with receiving() as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored([*outgoing(1), *outgoing(7, "pay-2")])
        await office.until_states("delivered", "delivered")
        async with office.database.owner() as owner:
            await owner.execute(text("TRUNCATE operations.positions, operations.webhook_deliveries"))
        async with office.database.owner() as owner:
            await owner.execute(
                text("TRUNCATE operations.events, operations.payments, operations.webhook_attempts")
            )
        await office.stored([*outgoing(1), *outgoing(7, "pay-2")])
        await _received(receiver, 4)
        await office.until_states("delivered", "delivered")
    assert sorted(receiver.ids[:2]) == sorted(receiver.ids[2:])


async def test_all_since_a_time_is_sent_again_and_to_an_endpoint_that_is_new(office: Office):
    log = [item for number in range(4) for item in outgoing(number * 6 + 1, f"pay-{number}")]
    async with receiving() as receiver, receiving() as newer, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored(log)
        await office.until_states(*["delivered"] * 4)
        await office.subscribe(endpoint(receiver.url), endpoint(newer.url, name="new"))
        await office.stored(outgoing(25, "pay-4"))
        await _received(newer, 1)
        since = log[11].at_ms  # pay-1 ended then
        replayed = await office.service.replay_since("buffalo", "hook", f"{moment(since).isoformat()}")
        assert (replayed.replayed, replayed.next_since) == (4, None)
        replayed = await office.service.replay_since("buffalo", "new", "2020-01-01T00:00:00Z")
        assert replayed.replayed == 5
        await _received(newer, 6)
        await _received(receiver, 9)
        await office.until_states(*["delivered"] * 10)
        again = {body["data"]["transactionId"] for body in receiver.bodies[5:]}
        assert again == {"pay-1", "pay-2", "pay-3", "pay-4"}
        assert set(receiver.ids[5:]) < set(newer.ids)
        with pytest.raises(WebhookEndpointNotFoundError):
            await office.service.replay_since("lion", "hook", "2020-01-01T00:00:00Z")
        with pytest.raises(DeliveryNotFoundError):
            await office.service.replay("lion", "1")


async def test_a_test_message_tells_of_no_payment(office: Office):
    async with receiving() as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url, events=["refund.failed"]))
        shown = await office.service.send_test("buffalo", "hook")
        assert (shown.type, shown.payment, shown.state) == ("webhook.test", "", "pending")
        await office.until_states("delivered")
        [told] = receiver.bodies
        assert (told["type"], told["data"]["tenant"]) == ("webhook.test", "buffalo")
        [(headers, body)] = receiver.received
        assert verified(SECRET, headers, body)


async def test_what_waits_for_an_endpoint_that_is_removed_is_told_no_more(office: Office):
    async with receiving(500) as receiver, office.delivering():
        await office.subscribe(endpoint(receiver.url))
        await office.stored(outgoing(1))
        await office.until_error("status-500", 1)
        async with office.database.writer() as writer:
            await repository.put_endpoints(writer, "buffalo", [])
        await office.until_states("failed")
        [delivery] = (await office.service.deliveries("buffalo", {"state": "failed"})).deliveries
        assert delivery.error == "endpoint-removed"
        with pytest.raises(WebhookEndpointNotFoundError):
            await office.service.replay("buffalo", "1")
        office.later(timedelta(hours=1))
    assert len(receiver.received) == 1


async def test_an_endpoint_that_fails_is_tried_once_at_a_time(office: Office):
    async with receiving() as receiver:
        await office.subscribe(endpoint(receiver.url))
        await office.stored([item for number in range(9) for item in outgoing(number * 6 + 1, f"p-{number}")])
        now = moment(office.now_ms)
        async with office.database.writer() as writer:
            await writer.execute(update(webhook_endpoints).values(failing_since=now))
            [only] = await attempts.claim(writer, now, {}, 8, 100)
            assert await attempts.claim(writer, now, {("buffalo", "hook"): 1}, 8, 100) == []
            await attempts.mark_delivered(writer, only, now)
            assert len(await attempts.claim(writer, now, {("buffalo", "hook"): 5}, 8, 100)) == 3
            assert len(await attempts.claim(writer, now, {}, 8, 2)) == 2
            statement = select(webhook_deliveries.c.number).where(webhook_deliveries.c.attempts == 0)
            assert len((await writer.execute(statement)).all()) == 3
