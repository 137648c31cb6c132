"""``python -m payhub_tenants`` as a process: onboards, publishes, survives its servers, stops cleanly."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.ports import free_port
from support.servers import running_nats, running_postgres
from unit.tenants.tenants_kit import PASSWORD, TOKEN, client_request, create_request, identifier

from payhub_cli.local.server import LocalServer
from payhub_cli.supervisor import STOP_WAIT_S
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.errors import PayhubError
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.vault import FileKeyProvider

SECRETS_KEY = SecretBox.new_key()
WAIT_S = 30.0


class Process:
    """A running control plane and an aggregator's session with it."""

    def __init__(self, url: str, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.process = process
        self.session = session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.read() or b"null")

    async def is_ready(self) -> bool:
        assert self.process.returncode is None
        try:
            return (await self.call("GET", "/health/ready"))[0] == 200
        except aiohttp.ClientConnectionError:
            return False

    async def is_live(self) -> bool:
        assert self.process.returncode is None
        try:
            return (await self.call("GET", "/health/live"))[0] == 200
        except aiohttp.ClientConnectionError:
            return False

    async def is_published(self, tenant_id: str) -> bool:
        return bool((await self.call("GET", f"/v1/tenants/{tenant_id}"))[1].get("published"))

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_WAIT_S):
            return await self.process.wait()


def environment(database_url: str, nats_url: str, port: int, keys: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PAYHUB_PORT": str(port),
        "PAYHUB_DATABASE_URL": database_url,
        "PAYHUB_NATS_URL": nats_url,
        "PAYHUB_AGGREGATOR_TOKEN": TOKEN,
        "PAYHUB_SECRETS_KEY": SECRETS_KEY,
        "PAYHUB_KEYS_FOLDER": str(keys),
        "PAYHUB_ENGINES": json.dumps({"north": "http://127.0.0.1:1", "south": "http://127.0.0.1:2"}),
    }


@asynccontextmanager
async def running(database_url: str, nats_url: str, log_file: Path) -> AsyncIterator[Process]:
    port = free_port()
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "payhub_tenants",
            env=environment(database_url, nats_url, port, log_file.with_name("keys")),
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            held = Process(f"http://127.0.0.1:{port}", process, session)
            await until(held.is_live)
            yield held
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.05)


class Outside:
    """A core bank and a switch as far as registration needs them; the switch checks signatures."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.participants: dict[str, Any] = {}
        self.public_pem = ""

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/ams/interoperation/parties/{type}/{value}", self.look_up)
        application.router.add_post("/ams/interoperation/parties/{type}/{value}", self.create)
        application.router.add_delete("/ams/interoperation/parties/{type}/{value}", self.forget)
        application.router.add_post("/switch/participants/{type}/{value}", self.register)
        application.router.add_delete("/switch/participants/{type}/{value}", self.unregister)
        return application

    async def look_up(self, request: web.Request) -> web.Response:
        expected = aiohttp.encode_basic_auth("payhub", PASSWORD)
        if request.headers["Authorization"] != expected:
            return web.json_response({}, status=401)
        assert request.headers["Fineract-Platform-TenantId"] == "default"
        account = self.accounts.get(request.match_info["value"])
        if account is None:
            return web.json_response({"httpStatusCode": "404"}, status=404)
        return web.json_response({"accountId": account, "resourceId": 7, "resourceIdentifier": "7"})

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert set(body) == {"accountId"}
        if body["accountId"] == "closed":
            return web.json_response({"httpStatusCode": "403"}, status=403)
        self.accounts[request.match_info["value"]] = body["accountId"]
        return web.json_response({"accountId": body["accountId"], "resourceId": 7})

    async def forget(self, request: web.Request) -> web.Response:
        account = self.accounts.pop(request.match_info["value"], None)
        return web.json_response({"accountId": account}, status=404 if account is None else 200)

    async def unregister(self, request: web.Request) -> web.Response:
        assert request.headers["FSPIOP-Source"] == "onboarded"
        assert "FSPIOP-Signature" not in request.headers  # there is no body to sign
        assert not await request.read()
        del self.participants[request.match_info["value"]]
        return web.Response(status=202)

    async def register(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["content-type"] == "application/vnd.interoperability.participants+json;version=1.1"
        try:
            jws.verify(body, headers, request.raw_path, "POST", jws.load_public_key(self.public_pem))
        except PayhubError:
            error = {"errorInformation": {"errorCode": "3105", "errorDescription": "Invalid signature"}}
            return web.json_response(error, status=400)
        self.participants[request.match_info["value"]] = json.loads(body)
        return web.Response(status=202)


@pytest.fixture
async def outside() -> AsyncIterator[tuple[Outside, str]]:
    held = Outside()
    async with TestServer(held.application()) as server:
        yield held, str(server.make_url("")).rstrip("/")


async def test_onboards_an_institution_and_every_process_learns_of_it(
    tmp_path: Path, nats_server: LocalServer, postgres_server: LocalServer, outside: tuple[Outside, str]
):
    others, address = outside
    request = create_request("onboarded")
    request["ams"]["baseUrl"], request["scheme"]["baseUrl"] = address + "/ams", address + "/switch"
    async with running(postgres_server.url, nats_server.url, tmp_path / "log") as tenants:
        await until(tenants.is_ready)
        status, view = await tenants.call("POST", "/v1/tenants", request)
        assert (status, view["epoch"]) == (201, 1)
        others.public_pem = view["publicKeyPem"]
        client = client_request("onboarded-ussd")
        assert (await tenants.call("POST", "/v1/tenants/onboarded/clients", client))[0] == 201
        body = {"identifiers": [identifier("2547001", "O-1"), identifier("2547002", "closed")]}
        status, outcomes = await tenants.call("POST", "/v1/tenants/onboarded/party-identifiers", body)
        assert (status, [outcome["state"] for outcome in outcomes]) == (200, ["registered", "failed"])
        assert outcomes[1]["reason"] == "ams-refused: The core bank answered HTTP 403."
        assert others.accounts == {"2547001": "O-1"}
        assert others.participants == {"2547001": {"fspId": "onboarded", "currency": "KES"}}
        one = "/v1/tenants/onboarded/party-identifiers/MSISDN/2547001"
        status, moved = await tenants.call("PUT", one + "/account", {"accountId": "O-9"})
        assert (status, moved["accountId"], others.accounts) == (200, "O-9", {"2547001": "O-9"})
        assert (await tenants.call("POST", "/v1/tenants/onboarded/ams/check"))[1]["answered"] is True
        for _ in range(2):
            assert (await tenants.call("DELETE", one))[0] == 204
        assert (others.accounts, others.participants) == ({}, {})
        others.public_pem = jws.public_pem(jws.new_private_key_pem())
        _, [outcome] = await tenants.call(
            "POST", "/v1/tenants/onboarded/party-identifiers", {"identifiers": [identifier("2547003", "O-3")]}
        )
        assert outcome["reason"] == "scheme-refused: The switch answered HTTP 400, error 3105."

        directory = TenantDirectory(tmp_path / "tenants.cache")
        bus = await connect(nats_server.url, "test")
        directory.watch(bus)

        async def knows_the_client() -> bool:
            return directory.by_client("onboarded-ussd") is not None

        await until(knows_the_client)
        config = directory.by_fsp("onboarded")
        assert config is not None
        assert (config.version, config.home_engine) == (2, "north")
        assert SecretBox(SECRETS_KEY).open(config.ams.password_sealed, "ams:onboarded") == PASSWORD
        await directory.close()
        await bus.close()
        assert await tenants.stop() == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    for secret in (PASSWORD, "2547001", "2547002", TOKEN, "PRIVATE"):
        assert secret not in log


async def test_a_change_made_while_nats_is_down_is_published_later_and_again_to_an_empty_nats(
    tmp_path: Path, postgres_server: LocalServer
):
    folder = tmp_path / "nats"
    port = free_port()
    with running_nats(folder, port=port) as server:
        url = server.url
    async with running(postgres_server.url, url, tmp_path / "log") as tenants:
        await until(tenants.is_ready)
        assert (await tenants.call("POST", "/v1/tenants", create_request("patient")))[0] == 201
        await asyncio.sleep(0.3)
        assert not await tenants.is_published("patient")

        async def published() -> bool:
            return await tenants.is_published("patient")

        with running_nats(folder, port=port):
            await until(published)
        shutil.rmtree(folder / "jetstream")
        with running_nats(folder, port=port) as server:
            directory = TenantDirectory(tmp_path / "tenants.cache")
            bus = await connect(server.url, "test")
            directory.watch(bus)

            async def known() -> bool:
                return directory.get("patient") is not None

            await until(known)
            await directory.close()
            await bus.close()
            assert await tenants.stop() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_waits_for_postgresql_and_says_when_it_is_gone(server_folder: Path, tmp_path: Path):
    folder, port = server_folder / "postgres-of-tenants", free_port()
    with running_postgres(folder, port=port) as server:
        url = server.url
    async with running(url, "nats://127.0.0.1:1", tmp_path / "log") as tenants:
        assert not await tenants.is_ready()
        status, problem = await tenants.call("GET", "/v1/tenants")
        assert (status, problem["code"]) == (503, "database-unavailable")
        with running_postgres(folder, port=port):
            await until(tenants.is_ready)
            assert (await tenants.call("POST", "/v1/tenants", create_request()))[0] == 201
        for _ in range(5):  # as many as there are pooled connections, and more
            status, problem = await tenants.call("GET", "/v1/tenants/buffalo")
            assert (status, problem["code"]) == (503, "database-unavailable")
        assert not await tenants.is_ready()
        with running_postgres(folder, port=port):
            await until(tenants.is_ready)
            assert (await tenants.call("POST", "/v1/tenants", create_request()))[0] == 200
            assert await tenants.stop() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_slow_registrations_do_not_hold_up_others(
    tmp_path: Path, nats_server: LocalServer, postgres_server: LocalServer, outside: tuple[Outside, str]
):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        request = create_request("slow")
        request["ams"]["baseUrl"] = f"http://127.0.0.1:{silent.getsockname()[1]}/ams"
        request["scheme"]["baseUrl"] = outside[1] + "/switch"
        async with running(postgres_server.url, nats_server.url, tmp_path / "log") as tenants:
            await until(tenants.is_ready)
            await tenants.call("POST", "/v1/tenants", request)
            body = {"identifiers": [identifier(str(number)) for number in range(4)]}
            waiting = [
                asyncio.create_task(tenants.call("POST", "/v1/tenants/slow/party-identifiers", body))
                for _ in range(4)
            ]
            await asyncio.sleep(0.5)
            assert (await tenants.call("GET", "/v1/tenants/slow"))[0] == 200
            for status, outcomes in await asyncio.gather(*waiting):
                assert status == 200
                codes = {outcome["reason"].partition(":")[0] for outcome in outcomes}
                assert codes == {"ams-unreachable"}
            assert await tenants.stop() == 0


async def test_wrong_settings_are_told_in_one_line():
    settings = {
        **environment("postgresql://u:hidden@h/d", "nats://h", 1, Path("keys")),
        "PAYHUB_AGGREGATOR_TOKEN": "short",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "payhub_tenants", env=settings, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 1
    [line] = error.decode().splitlines()
    assert "aggregator_token" in line
    assert "hidden" not in line


async def prove(database_url: str, keys: Path, tenant: str) -> tuple[int | None, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "payhub_tenants.proof",
        tenant,
        env=environment(database_url, "nats://unused", 1, keys),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, json.loads(out)


async def test_a_backup_of_the_database_tells_nothing_once_the_key_is_destroyed(
    tmp_path: Path, nats_server: LocalServer, postgres_server: LocalServer
):
    async with running(postgres_server.url, nats_server.url, tmp_path / "log") as tenants:
        await until(tenants.is_ready)
        assert (await tenants.call("POST", "/v1/tenants", create_request("shredded")))[0] == 201
        assert await tenants.stop() == 0
    keys = tmp_path / "keys"
    status, proof = await prove(postgres_server.url, keys, "shredded")
    [signing, *others] = proof["readable"]
    assert signing.startswith("key ")
    assert (status, proof["tried"], others) == (1, 4, ["core bank", "signing key", "ILP secret"])
    installation = SecretBox(SECRETS_KEY)
    await FileKeyProvider(keys, installation).destroy("shredded")
    status, proof = await prove(postgres_server.url, keys, "shredded")
    assert (status, proof) == (0, {"tenantId": "shredded", "tried": 4, "readable": []})
