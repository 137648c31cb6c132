"""Several workers behind one port: replaced one after the other under load, killed, stopped, orphaned."""

import asyncio
import json
import os
import signal
import socket
import sys
import uuid
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from integration.test_gateway_process import NOWHERE, TENANT, Process, answers, until
from joserfc.jwk import ECKey
from support.ports import free_port
from unit.gateway.gateway_kit import transfer
from unit.gateway.oauth2_kit import ath, signed

from payhub_platform.clock import system_clock

WORKERS = 2
WAIT_S = 30.0
LANES = 4
STOP_WAIT_S = 30.0


class SlowEngine:
    """Accepts payments, each after a moment, so that requests are under way whenever something happens."""

    def __init__(self) -> None:
        self.accepted: list[str] = []

    async def start(self, request: web.Request) -> web.Response:
        payment = await request.json()
        await asyncio.sleep(0.03)
        self.accepted.append(payment["payment_id"])
        return web.json_response({"transactionId": payment["payment_id"]}, status=202)


class Prover:
    """Signs DPoP proofs."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")

    def __call__(self, uri: str, token: str | None = None, aged_s: int = 0) -> str:
        said = {
            "jti": str(uuid.uuid4()),
            "htm": "POST",
            "htu": uri,
            "iat": system_clock() // 1000 + aged_s,
            "ath": None if token is None else ath(token),
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._key.as_dict(private=False)}
        return signed(header, said, self._key)


class Load:
    """A channel that sends each request once; what fails has failed."""

    def __init__(self, gateway: Process, token: str) -> None:
        self._gateway = gateway
        self._token = token
        self._number = 0
        self.accepted: set[str] = set()
        self.failed: list[str] = []
        self.is_over = False

    async def lane(self) -> None:
        while not self.is_over:
            self._number += 1
            headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"key-{self._number}"}
            try:
                async with self._gateway.session.post(
                    self._gateway.url + "/v1/transfers", json=transfer(), headers=headers
                ) as answer:
                    told = await answer.json()
                    if answer.status == 202:
                        self.accepted.add(told["transactionId"])
                    else:
                        self.failed.append(f"{answer.status} {told}")
            except aiohttp.ClientError as error:
                self.failed.append(repr(error))

    async def some_more(self) -> None:
        enough = len(self.accepted) + 30
        while len(self.accepted) < enough and not self.failed:
            await asyncio.sleep(0.01)


@pytest.fixture
async def engine() -> AsyncIterator[tuple[SlowEngine, str]]:
    held, application = SlowEngine(), web.Application()
    application.router.add_post("/engine/v1/payments", held.start)
    async with TestServer(application) as server:
        yield held, str(server.make_url(""))


@asynccontextmanager
async def running(data_dir: Path, engine_url: str) -> AsyncIterator[Process]:
    remember(data_dir)
    port = free_port()
    environment = {
        **os.environ,
        "PAYHUB_PORT": str(port),
        "PAYHUB_DATA_DIR": str(data_dir),
        "PAYHUB_NATS_URL": NOWHERE,
        "PAYHUB_INTERNAL_TOKEN": "secret",
        "PAYHUB_ENGINES": json.dumps({"north": engine_url}),
        "PAYHUB_BEARER_TOKENS": "true",
        "PAYHUB_WORKERS": str(WORKERS),
        "PAYHUB_RATE_PER_S": "100000",
        "PAYHUB_BURST": "100000",
        "PAYHUB_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "payhub_gateway", env=environment)
    try:
        async with aiohttp.ClientSession() as session:
            held = Process(f"http://127.0.0.1:{port}", process, session)
            await until(lambda: answers(held))
            await until(has(held, WORKERS))
            yield held
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def remember(data_dir: Path) -> None:
    data_dir.mkdir()
    for number in range(1, WORKERS + 1):
        (data_dir / f"tenants-{number}.cache").write_bytes(msgspec.msgpack.encode([TENANT]))


def has(gateway: Process, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return len(workers(gateway)) == count

    return look


def workers(gateway: Process) -> dict[int, psutil.Process]:
    return {child.pid: child for child in psutil.Process(gateway.process.pid).children()}


async def load(gateway: Process) -> tuple[Load, list[asyncio.Task[None]]]:
    status, given = await gateway.ask_token()
    assert status == 200
    held = Load(gateway, given["access_token"])
    return held, [asyncio.create_task(held.lane()) for _ in range(LANES)]


async def test_a_rolling_restart_under_load_fails_no_request(tmp_path: Path, engine: tuple[SlowEngine, str]):
    accepted_by, url = engine
    async with running(tmp_path / "gateway", url) as gateway:
        channel, lanes = await load(gateway)
        await channel.some_more()
        before = set(workers(gateway))
        gateway.process.send_signal(signal.SIGHUP)

        async def replaced() -> bool:
            now = set(workers(gateway))
            return bool(channel.failed) or (len(now) == WORKERS and not now & before)

        async with asyncio.timeout(60):
            while not await replaced():
                await asyncio.sleep(0.05)
        await channel.some_more()
        channel.is_over = True
        await asyncio.gather(*lanes)
        assert channel.failed == []
        assert channel.accepted == set(accepted_by.accepted)
        assert len(accepted_by.accepted) == len(channel.accepted)
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_WAIT_S):
            assert await gateway.process.wait() == 0


async def test_what_is_under_way_is_answered_before_the_process_ends(
    tmp_path: Path, engine: tuple[SlowEngine, str]
):
    accepted_by, url = engine
    async with running(tmp_path / "gateway", url) as gateway:
        channel, lanes = await load(gateway)
        await channel.some_more()
        channel.is_over = True
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*lanes)
        async with asyncio.timeout(STOP_WAIT_S):
            assert await gateway.process.wait() == 0
        assert channel.failed == []
        assert channel.accepted == set(accepted_by.accepted)


async def test_each_worker_takes_fresh_proofs_of_a_token_and_refuses_old_ones(
    tmp_path: Path, engine: tuple[SlowEngine, str]
):
    async with running(tmp_path / "gateway", engine[1]) as gateway:
        prover = Prover()
        status, given = await gateway.ask_token(DPoP=prover(gateway.url + "/oauth2/token"))
        assert (status, given["token_type"]) == (200, "DPoP")
        token = given["access_token"]
        found = {0: Counter[int](), -120: Counter[int]()}
        # Each over a connection of its own, so that both workers are met.
        for number in range(4 * LANES):
            for aged_s, answers_by_status in found.items():
                proof = prover(gateway.url + "/v1/transfers", token, aged_s)
                headers = {
                    "Authorization": f"DPoP {token}",
                    "DPoP": proof,
                    "Idempotency-Key": f"key-{aged_s}-{number}",
                    "Connection": "close",
                }
                async with gateway.session.post(
                    gateway.url + "/v1/transfers", json=transfer(), headers=headers
                ) as answer:
                    answers_by_status[answer.status] += 1
        assert found == {0: Counter({202: 4 * LANES}), -120: Counter({401: 4 * LANES})}


async def test_a_worker_that_is_killed_is_started_again_and_none_outlives_its_parent(
    tmp_path: Path, engine: tuple[SlowEngine, str]
):
    async with running(tmp_path / "gateway", engine[1]) as gateway:
        killed, *_ = workers(gateway).values()
        killed.kill()

        async def there_again() -> bool:
            now = workers(gateway)
            return len(now) == WORKERS and killed.pid not in now

        await until(there_again)
        await until(lambda: answers(gateway))
        left = list(workers(gateway).values())
        gateway.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, STOP_WAIT_S)
        assert alive == []


async def test_a_worker_whose_parent_ended_before_it_served_ends_too(tmp_path: Path):
    remember(tmp_path / "gateway")
    environment = {
        **os.environ,
        "PAYHUB_PORT": str(free_port()),
        "PAYHUB_DATA_DIR": str(tmp_path / "gateway"),
        "PAYHUB_NATS_URL": NOWHERE,
        "PAYHUB_INTERNAL_TOKEN": "secret",
        "PAYHUB_ENGINES": json.dumps({"north": "http://127.0.0.1:9"}),
    }
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        arguments = ("-m", "payhub_gateway", "worker", "1", str(descriptor))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment, stdin=PIPE, stdout=writing, pass_fds=[descriptor]
        )
    os.close(writing)
    os.close(reading)
    worker.stdin.close()
    try:
        async with asyncio.timeout(WAIT_S):
            assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
