"""The service as a process: pages that people can use, an API for programs, a clean end."""

import asyncio
import hashlib
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from support.operations_records import TRACE_ID, outgoing, record
from support.operations_servers import connected_bus, fresh_database, publish, until, until_stored
from support.ports import free_port
from support.webhook_receivers import receiving, verified
from unit.tenants.tenants_kit import Plane, create_request
from yarl import URL

from payhub_cli.local.server import LocalServer
from payhub_cli.supervisor import STOP_WAIT_S
from payhub_platform.bus import directory, subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.contracts.tenant import TenantConfig
from payhub_tenants.endpoints.model import Endpoints
from payhub_tenants.tenants.model import CreateTenant

TOKEN = "operator-token-of-this-test"
CODE = "one-time-code"
SECRETS_KEY = "k" * 43 + "="
PROBLEM = "application/problem+json"
HTML = {"accept": "text/html,application/xhtml+xml"}


@dataclass
class Service:
    """A running service and a browser without a session."""

    url: str
    browser: aiohttp.ClientSession
    trace_file: Path
    bus: Bus

    async def page(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.browser.get(self.url + path, headers=HTML, **options) as answer:
            assert answer.content_type == "text/html"
            return answer.status, await answer.text()


@dataclass
class Page(HTMLParser):
    """What the rules of accessible pages look at."""

    tags: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    labelled: set[str] = field(default_factory=set)
    fields: list[str] = field(default_factory=list)
    references: set[str] = field(default_factory=set)
    captions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]
        assert tag != "script"
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if tag == "label":
            self.labelled.add(given["for"] or "")
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            self.fields.append(given["id"] or "")
        if tag == "th":
            assert given.get("scope") in ("row", "col")
        self.references.update((given.get("aria-labelledby") or "").split())
        if tag not in ("meta", "link", "input", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "caption":
            self.captions.append(data)
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _checked(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page._open == []
    assert page.tags["h1"] == 1
    assert page.tags["main"] == 1
    assert page.tags["title"] == 1
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert set(page.fields) <= page.labelled
    assert page.references <= set(page.ids)
    assert len(page.captions) == page.tags["table"]
    assert '<html lang="en">' in html
    assert 'class="skip" href="#main"' in html
    return page


async def _start(
    nats_url: str, database_url: str, trace_file: Path
) -> tuple[asyncio.subprocess.Process, str]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PAYHUB_PORT": str(port),
        "PAYHUB_NATS_URL": nats_url,
        "PAYHUB_DATABASE_URL": database_url,
        "PAYHUB_OPERATOR_TOKEN": TOKEN,
        "PAYHUB_SECRETS_KEY": SECRETS_KEY,
        "PAYHUB_PRIVATE_ENDPOINTS": "true",
        "PAYHUB_LOGIN_CODE": CODE,
        "PAYHUB_TRACE_FILE": str(trace_file),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error::RuntimeWarning", "-m", "payhub_operations", env=environment
    )
    return process, f"http://127.0.0.1:{port}"


async def _until_answered(
    browser: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process
) -> None:
    async with asyncio.timeout(20):
        while process.returncode is None:
            try:
                async with browser.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def service(
    nats_server: LocalServer, postgres_server: LocalServer, tmp_path: Path
) -> AsyncIterator[Service]:
    """The service with one completed, one failed and one pending payment of buffalo."""
    spans = tmp_path / "spans.jsonl"
    error = {"error": {"code": "4001", "description": "Payer has <too> little"}, "paymentState": "FAILED"}
    log = [
        *outgoing(1),
        record(7, "InstanceStarted", payment="pay-2", data={"variables": {}}),
        record(8, "JobErrorThrown", payment="pay-2", element="reserve-funds", data={"code": "4001"}),
        record(9, "VariablesMerged", payment="pay-2", data={"variables": error}),
        record(10, "InstanceCompleted", payment="pay-2"),
        record(11, "InstanceStarted", payment="pay-3", data={}),
        *outgoing(12, "pay-9", tenant="lion"),
    ]
    async with (
        fresh_database(postgres_server.url) as database,
        connected_bus(nats_server.url) as bus,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        process, url = await _start(nats_server.url, postgres_server.url, spans)
        try:
            await _until_answered(browser, f"{url}/health/ready", process)
            await publish(bus, log)
            await until_stored(database, 18)
            yield Service(url, browser, spans, bus)
        finally:
            await _stop(process)
    documents = [msgspec.json.decode(line) for line in spans.read_bytes().splitlines()]
    assert {(item["service"], item["trace_id"]) for item in documents} == {("operations", TRACE_ID)}
    assert len(documents) == 3


async def test_pages_can_be_used_by_everybody(service: Service):
    status, html = await service.page("/", params={})
    assert status == 200
    page = _checked(html)
    assert "Log in" in page.text  # sent to the login, and told where to go on
    assert 'name="wanted" value="/payments"' in html

    status, html = await service.page(f"/login?code={CODE}")
    page = _checked(html)
    assert page.captions == ["Payments of buffalo, newest first"]
    for word in ("Completed", "Failed", "Pending", "10.50 KES", "MSISDN …5678", "4001", "<too>"):
        assert word in page.text
    assert "254712345678" not in html
    assert "pay-9" not in html

    status, html = await service.page("/payments/buffalo/pay-1")
    page = _checked(html)
    for word in ("10.50 KES", "Payment accepted", "handed over by engine south", TRACE_ID, "All 6 events"):
        assert word in page.text
    assert "254712345678" not in html

    status, html = await service.page("/payments/buffalo/pay-2")
    assert "Problem: Reserve funds: refused: 4001" in _checked(html).text

    status, html = await service.page("/audit")
    assert "operations.events" in _checked(html).text


async def test_filters_are_in_the_address(service: Service):
    await service.page(f"/login?code={CODE}")
    _, html = await service.page("/payments?tenant=lion")
    assert "pay-9" in _checked(html).text
    _, html = await service.page("/payments?tenant=buffalo&state=FAILED")
    assert re.findall("<code>(.*?)</code>", html) == ["pay-2"]
    _, html = await service.page("/payments?tenant=buffalo&q=254712345678")
    assert re.findall("<code>(.*?)</code>", html) == ["pay-1"]
    _, html = await service.page("/payments?tenant=buffalo&q=nothing")
    assert "No payments found." in _checked(html).text
    assert 'value="nothing"' in html


async def test_refusals_are_pages_for_people(service: Service):
    await service.page(f"/login?code={CODE}")
    for path, expected, code in (
        ("/payments/lion/pay-1", 404, "payment-not-found"),
        ("/payments?state=DONE", 400, "invalid-search"),
        ("/payments?before=x", 400, "invalid-search"),
        ("/payments/buffalo/%00", 400, "invalid-search"),
        ("/nowhere", 404, "not-found"),
    ):
        status, html = await service.page(path) if "%" not in path else await _raw(service, path)
        assert (path, status) == (path, expected)
        assert f"code {code}" in _checked(html).text


async def _raw(service: Service, path: str) -> tuple[int, str]:
    address = URL(service.url + path, encoded=True)
    async with service.browser.get(address, headers=HTML) as answer:
        return answer.status, await answer.text()


async def test_the_login_form_needs_its_token_and_the_operators(service: Service):
    _, html = await service.page("/payments?q=pay-1")
    (csrf,) = re.findall('name="_csrf_token" value="(.*?)"', html)
    assert 'name="wanted" value="/payments?q=pay-1"' in html
    form = {"token": TOKEN, "wanted": "/payments?q=pay-1", "_csrf_token": csrf}
    login = f"{service.url}/login"
    async with service.browser.post(login, data={**form, "_csrf_token": ""}, headers=HTML) as answer:
        assert answer.status == 403
        _checked(await answer.text())
    async with service.browser.post(login, data={**form, "token": "wrong"}, headers=HTML) as answer:
        assert answer.status == 403
        assert "This is not the operator token." in _checked(await answer.text()).text
    async with service.browser.post(login, data=form, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/payments?q=pay-1")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
    _, html = await service.page("/payments?q=pay-1")
    (csrf,) = re.findall('name="_csrf_token" value="(.*?)"', html)
    async with service.browser.post(f"{service.url}/logout", data={"_csrf_token": csrf}) as answer:
        assert answer.status == 200
    _, html = await service.page("/payments")
    assert "Log in" in _checked(html).text


async def test_the_code_lets_in_once(service: Service):
    await service.page(f"/login?code={CODE}")
    service.browser.cookie_jar.clear()
    status, html = await service.page(f"/login?code={CODE}")
    assert status == 200
    assert "This code has been used or is not valid." in _checked(html).text


async def test_every_answer_is_hardened(service: Service):
    for path in ("/login", "/health/live", "/api/v1/audit", "/nowhere", "/static/operations.css"):
        async with service.browser.get(service.url + path) as answer:
            assert answer.headers["content-security-policy"].startswith(
                "default-src 'none'; style-src 'self'"
            )
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert ("no-store" in answer.headers.get("cache-control", "")) == ("static" not in path)


async def test_the_api_tells_programs_the_same(service: Service):
    bearer = {"authorization": f"Bearer {TOKEN}"}

    async def ask(path: str, expected: int = 200, headers: dict[str, str] = bearer) -> Any:
        async with service.browser.get(service.url + path, headers=headers) as answer:
            assert answer.status == expected
            assert answer.content_type == ("application/json" if expected == 200 else PROBLEM)
            return msgspec.json.decode(await answer.read())

    assert await ask("/api/v1/audit") == {
        "engines": [{"engine": "north", "storedEvents": 17, "nextPosition": 18, "gaps": 0, "lostEvents": 0}],
        "tenants": [
            {"tenant": "buffalo", "events": 11, "table": "operations.events"},
            {"tenant": "lion", "events": 6, "table": "operations.events"},
        ],
    }
    page = await ask("/api/v1/payments?tenant=buffalo")
    assert [(item["payment"], item["state"]) for item in page["payments"]] == [
        ("pay-3", "PENDING"),
        ("pay-2", "FAILED"),
        ("pay-1", "COMPLETED"),
    ]
    detail = await ask("/api/v1/payments/buffalo/pay-1")
    assert detail["payment"]["amount"] == {"minor": 1050, "currency": "KES", "text": "10.50"}
    assert detail["payment"]["handedOver"] is True
    assert [step["elapsedMs"] for step in detail["timeline"]] == [0, 10, 20, 50]
    assert (await ask("/api/v1/payments/lion/pay-1", 404))["code"] == "payment-not-found"
    assert (await ask("/api/v1/payments", 400))["code"] == "invalid-request"
    for headers in ({}, {"authorization": "Bearer wrong"}, HTML):
        for path in ("/api/v1/audit", "/api/v1/payments?tenant=lion", "/api/v1/payments/lion/pay-9"):
            assert (await ask(path, 401, headers))["code"] == "operator-token"


async def _configured(url: str) -> tuple[TenantConfig, str]:
    """Buffalo's configuration with a webhook, as tenants publishes it, and the secret that it told."""
    plane = Plane(secrets_key=SECRETS_KEY, private_endpoints=True)
    services = plane.services()
    await services.tenants.create(msgspec.convert(create_request(), CreateTenant))
    hook = {"url": url, "purpose": "webhook", "events": ["payment.completed", "payment.failed"]}
    body = msgspec.convert({"endpoints": [hook]}, Endpoints)
    made = await services.endpoints.put("buffalo", body, "test")
    await plane.publisher.publish_waiting()
    return plane.bus.published[-1], made.endpoints[0].secret


async def test_webhooks_go_where_tenants_says_and_are_shown_and_sent_again(service: Service):
    bearer = {"authorization": f"Bearer {TOKEN}"}
    base = f"{service.url}/api/v1/webhooks"

    async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with service.browser.request(method, base + path, json=body, headers=bearer) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async with receiving(500) as receiver:
        config, secret = await _configured(receiver.url)
        bucket = await directory.open_bucket(service.bus)
        await bucket.put(f"{subjects.TENANT_KEY_PREFIX}lion", b"of a later release")
        await directory.publish(service.bus, config)

        async def is_known() -> bool:
            return bool((await ask("GET", "/buffalo/endpoints"))[1]["endpoints"])

        await until(is_known)
        [shown] = (await ask("GET", "/buffalo/endpoints"))[1]["endpoints"]
        path = f"/buffalo/endpoints/{shown['endpoint']}"
        # What ended before the endpoint was there is told on demand; what ends now by itself.
        assert await ask("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00Z"}) == (
            202,
            {"replayed": 2, "nextSince": None},
        )
        done = {"variables": {"paymentState": "COMPLETED"}}
        ended = record(19, "InstanceCompleted", payment="pay-3", trace="")
        await publish(service.bus, [record(18, "VariablesMerged", payment="pay-3", data=done), ended])

        async def are_all_told() -> bool:
            return {each["data"]["transactionId"] for each in receiver.bodies} == {"pay-1", "pay-2", "pay-3"}

        await until(are_all_told)
        assert all(verified(secret, headers, body) for headers, body in receiver.received)
        assert b"25471" not in b"".join(body for _headers, body in receiver.received)

        await service.page(f"/login?code={CODE}")
        _, html = await service.page("/webhooks")
        page = _checked(html)
        assert page.captions == ["Endpoints of buffalo", "Deliveries of buffalo, newest first"]
        assert receiver.url in page.text
        count = len(receiver.received)
        (csrf, *_) = re.findall('name="_csrf_token" value="(.*?)"', html)
        for action in re.findall('action="(/webhooks/.*?(?:/test|/replay))"', html):
            async with service.browser.post(service.url + action, data={"_csrf_token": csrf}) as answer:
                assert (answer.status, answer.url.path) == (200, "/webhooks")

        async def are_sent_again() -> bool:
            return len(receiver.received) >= count + 4 and "webhook.test" in str(receiver.bodies)

        await until(are_sent_again)
        assert len(set(receiver.ids)) == 4
        detail = (await ask("GET", "/buffalo/deliveries/1"))[1]
        assert detail["body"]["type"] in ("payment.completed", "payment.failed")
        for method, wrong, code in (
            ("GET", "/lion/deliveries/1", "delivery-not-found"),
            ("GET", "/buffalo/deliveries/x", "delivery-not-found"),
            ("POST", "/lion/deliveries/1/replay", "delivery-not-found"),
            ("POST", path.replace("buffalo", "lion") + "/test", "webhook-endpoint-not-found"),
            ("GET", "/buffalo/deliveries?state=lost", "invalid-webhook-query"),
            ("GET", "/buffalo/deliveries?before=-1", "invalid-webhook-query"),
        ):
            assert (await ask(method, wrong))[1]["code"] == code
        assert (await ask("POST", f"{path}/replay", {"since": "yesterday"}))[1][
            "code"
        ] == "invalid-webhook-query"
    assert (await ask("GET", "/lion/endpoints"))[1] == {"endpoints": []}
    await service.bus.jetstream().delete_key_value(subjects.CONFIG_BUCKET)


async def test_it_starts_and_ends_with_everything_down(tmp_path: Path):
    nothing = free_port()
    process, url = await _start(
        f"nats://u:p@127.0.0.1:{nothing}", f"postgresql://u:p@127.0.0.1:{nothing}/d", tmp_path / "spans"
    )
    try:
        async with aiohttp.ClientSession() as browser:
            await _until_answered(browser, f"{url}/health/live", process)
            async with browser.get(f"{url}/health/ready") as answer:
                assert answer.status == 503
                assert "retry-after" in answer.headers
            async with browser.get(
                f"{url}/api/v1/audit", headers={"authorization": f"Bearer {TOKEN}"}
            ) as answer:
                assert answer.status == 503
                assert (await answer.json(content_type=PROBLEM))["code"] == "database-unavailable"
    finally:
        await _stop(process)


async def test_everything_of_a_tenant_can_be_taken_away(service: Service):
    url, bearer = f"{service.url}/api/v1/tenants/buffalo/export", {"authorization": f"Bearer {TOKEN}"}
    async with service.browser.get(url, headers=bearer) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        content = await answer.read()
    *lines, end, nothing = content.split(b"\n")
    assert nothing == b""
    rows = [msgspec.json.decode(line) for line in lines]
    assert rows[0] == {"kind": "head", "format": 1, "tenant": "buffalo"}
    assert {row["tenant"] for row in rows} == {"buffalo"}
    counts = Counter(row["kind"] for row in rows[1:])
    digest = hashlib.sha256(content.removesuffix(end + b"\n")).hexdigest()
    assert msgspec.json.decode(end) == {"kind": "end", "counts": counts, "sha256": digest}
    assert counts == {"payment": 3, "event": 11}
    # What pages mask is the institution's own: here it stands in full.
    assert b"254712345678" in content
    async with service.browser.get(url) as answer:
        assert answer.status == 401
