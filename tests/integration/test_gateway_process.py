"""``python -m payhub_gateway`` as a process: starts without NATS, serves, follows the bus, stops cleanly."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import ECKey
from support.ports import free_port
from unit.gateway.gateway_kit import assertion, oauth_client, tenant_config, transfer
from yarl import URL

from payhub_cli.local.server import LocalServer
from payhub_cli.supervisor import STOP_WAIT_S
from payhub_gateway.oauth2.model import ASSERTION_TYPE
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import publish
from payhub_platform.clock import system_clock
from payhub_platform.contracts.tenant import TenantConfig

KEY = ECKey.generate_key("P-256")
TENANT = tenant_config("buffalo", [oauth_client("ussd", KEY)])
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
NOWHERE = "nats://127.0.0.1:1"
WAIT_S = 20.0


class Process:
    """A running gateway and a session to talk to it."""

    def __init__(self, url: str, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.process = process
        self.session = session

    async def ask_token(self, **headers: str) -> tuple[int, dict[str, Any]]:
        now_s = system_clock() // 1000
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion(KEY, "ussd", aud=self.url, iat=now_s, exp=now_s + 60),
        }
        async with self.session.post(self.url + "/oauth2/token", data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def send(self, token: str) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
        headers = {
            "Authorization": f"Bearer {token}",
            "X-CorrelationID": "key-1",
            "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01",
        }
        async with self.session.post(
            self.url + "/channel/transfer", json=transfer(), headers=headers
        ) as answer:
            return answer, json.loads(await answer.read())

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_WAIT_S):
            return await self.process.wait()


@asynccontextmanager
async def running(data_dir: Path, nats_url: str, engine_url: str) -> AsyncIterator[Process]:
    port = free_port()
    environment = {
        **os.environ,
        "PAYHUB_PORT": str(port),
        "PAYHUB_DATA_DIR": str(data_dir),
        "PAYHUB_NATS_URL": nats_url,
        "PAYHUB_INTERNAL_TOKEN": "secret",
        "PAYHUB_ENGINES": json.dumps({"north": engine_url}),
        "PAYHUB_TRACE_FILE": str(data_dir / "trace.jsonl"),
        "PAYHUB_BEARER_TOKENS": "true",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "payhub_gateway", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with aiohttp.ClientSession() as session:
            held = Process(f"http://127.0.0.1:{port}", process, session)
            await until(lambda: answers(held))
            yield held
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answers(process: Process) -> bool:
    assert process.process.returncode is None
    try:
        async with process.session.get(process.url + "/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def stops(process: Process) -> bool:
    async with process.session.get(process.url + "/health/ready") as answer:
        return answer.status == 503


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.fixture
async def engine() -> AsyncIterator[TestServer]:
    async def accept(request: web.Request) -> web.Response:
        payment = await request.json()
        return web.json_response({"transactionId": payment["payment_id"]}, status=202)

    application = web.Application()
    application.router.add_post("/engine/v1/payments", accept)
    async with TestServer(application) as server:
        yield server


def remember(data_dir: Path, *tenants: TenantConfig) -> None:
    data_dir.mkdir()
    (data_dir / "tenants.cache").write_bytes(msgspec.msgpack.encode(tenants))


async def test_with_nats_down_it_serves_the_tenants_it_remembers(tmp_path: Path, engine: TestServer):
    data_dir = tmp_path / "gateway"
    remember(data_dir, TENANT)
    async with running(data_dir, NOWHERE, str(engine.make_url(""))) as gateway:
        status, given = await gateway.ask_token()
        assert (status, given["token_type"]) == (200, "Bearer")
        answer, body = await gateway.send(given["access_token"])
        assert (answer.status, list(body)) == (202, ["transactionId"])
        assert answer.headers["Location"] == "/channel/transfer/" + body["transactionId"]
        assert answer.headers["traceparent"].split("-")[1] == TRACE_ID
        assert "server" not in answer.headers
        await engine.close()
        answer, body = await gateway.send(given["access_token"])
        assert (answer.status, body["code"]) == (503, "engine-unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert str(engine.port) not in json.dumps(body)
        assert await gateway.stop() == 0
    spans = [json.loads(line) for line in (data_dir / "trace.jsonl").read_text().splitlines()]
    sent = [span for span in spans if span["name"] == "POST /channel/transfer"]
    assert [span["trace_id"] for span in sent] == [TRACE_ID, TRACE_ID]
    assert [span["attributes"]["http.response.status_code"] for span in sent] == [202, 503]


async def test_who_was_silent_when_it_stops_is_still_answered_and_led_elsewhere(
    tmp_path: Path, engine: TestServer
):
    async with running(tmp_path / "gateway", NOWHERE, str(engine.make_url(""))) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(gateway.url).port)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await reader.readuntil(b'"ready"}')
        gateway.process.send_signal(signal.SIGTERM)
        await until(lambda: stops(gateway))
        await asyncio.sleep(0.3)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in head.lower()
        assert json.loads(body) == {"status": "stopping"}
        writer.close()
        assert await gateway.process.wait() == 0


async def test_tokens_outlive_a_restart(tmp_path: Path, engine: TestServer):
    data_dir = tmp_path / "gateway"
    remember(data_dir, TENANT)
    async with running(data_dir, NOWHERE, str(engine.make_url(""))) as gateway:
        async with gateway.session.get(gateway.url + "/oauth2/jwks") as answer:
            before = await answer.json()
        assert await gateway.stop() == 0
    assert stat.S_IMODE((data_dir / "token-signing-key.json").stat().st_mode) == 0o600
    async with running(data_dir, NOWHERE, str(engine.make_url(""))) as gateway:
        async with gateway.session.get(gateway.url + "/oauth2/jwks") as answer:
            assert await answer.json() == before
        assert await gateway.stop() == 0


async def test_a_tenant_published_on_the_bus_becomes_known(
    tmp_path: Path, engine: TestServer, nats_server: LocalServer
):
    async with running(tmp_path / "gateway", nats_server.url, str(engine.make_url(""))) as gateway:
        assert (await gateway.ask_token())[1]["error"] == "invalid_client"
        bus = await connect(nats_server.url, "test")
        try:
            await until(lambda: _published(bus))
            await until(lambda: _known(gateway))
        finally:
            await bus.close()
        assert await gateway.stop() == 0


async def _published(bus: Any) -> bool:
    if not bus.is_connected:
        return False
    await publish(bus, TENANT)
    return True


async def _known(gateway: Process) -> bool:
    return (await gateway.ask_token())[0] == 200


async def test_wrong_settings_are_told_in_one_line(tmp_path: Path):
    environment = {**os.environ, "PAYHUB_PORT": "1", "PAYHUB_DATA_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "payhub_gateway", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("payhub gateway: invalid-settings: ")
    assert said.count(b"\n") == 1
