"""Two tiny DFSPs complete transfers through the real sandbox process, signatures included."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import sys
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp import web
from support.ports import free_port

from payhub_cli.supervisor import STOP_WAIT_S
from payhub_platform.clock import iso, system_clock
from payhub_platform.security.jws import (
    load_private_key,
    load_public_key,
    new_private_key_pem,
    public_pem,
    sign,
    verify,
)

START_TIMEOUT_S = 20
CALLBACK_TIMEOUT_S = 15
TRANSFER_ID = "11111111-1111-4111-8111-111111111111"
QUOTE_ID = "22222222-2222-4222-8222-222222222222"
PAYEE = "/MSISDN/254700300001"
FULFILMENT = base64.urlsafe_b64encode(b"f" * 32).rstrip(b"=").decode()
CONDITION = base64.urlsafe_b64encode(hashlib.sha256(b"f" * 32).digest()).rstrip(b"=").decode()
MONEY = {"currency": "KES", "amount": "100"}


class Dfsp:
    """A DFSP with two engines: callbacks of both arrive in one queue, with the engine's number."""

    def __init__(self, fsp_id, http, switch_url):
        self.fsp_id = fsp_id
        self.pem = new_private_key_pem()
        self.keys = {fsp_id: load_public_key(public_pem(self.pem))}
        self.inbox = asyncio.Queue()
        self.urls = []
        self._http = http
        self._switch_url = switch_url
        self._runners = []

    async def listen(self, engine, port=0):
        async def take(request):
            body = await request.read()
            path = request.path.removeprefix("/fspiop")
            if body:
                headers = {name.lower(): value for name, value in request.headers.items()}
                key = self.keys[headers["fspiop-source"]]
                verify(body, headers, path, request.method, key)
            await self.inbox.put((engine, request.method, path, json.loads(body) if body else None))
            return web.Response(status=202)

        app = web.Application()
        app.router.add_route("*", "/fspiop/{rest:.*}", take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self._runners.append(runner)
        return runner.addresses[0][1]

    async def close(self):
        for runner in self._runners:
            await runner.cleanup()

    async def send(self, method, path, body=None, *, to="", trace=1, status=202, **changes):
        resource = path.split("/")[1]
        media = f"application/vnd.interoperability.{resource}+json;version=1.1"
        headers = {"Content-Type": media, "Date": formatdate(usegmt=True), "FSPIOP-Source": self.fsp_id}
        headers |= {"FSPIOP-Destination": to} if to else {}
        headers |= {"Accept": media} if method in ("GET", "POST") else {}
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        if data:
            headers |= sign(data, headers, path, method, load_private_key(self.pem))
        headers["traceparent"] = f"00-{trace:032x}-{1:016x}-01"
        headers |= changes
        async with self._http.request(method, self._switch_url + path, data=data, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.read()

    async def callback(self):
        return await asyncio.wait_for(self.inbox.get(), CALLBACK_TIMEOUT_S)


@contextlib.asynccontextmanager
async def sandbox_process(http, log):
    port = free_port()
    environment = os.environ | {"PAYHUB_HOST": "127.0.0.1", "PAYHUB_PORT": str(port)}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "payhub_sandbox", env=environment, stderr=stderr
        )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await is_ready(http, port):
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_ready(http, port):
    try:
        async with http.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def get_json(http, url):
    async with http.get(url) as answer:
        assert answer.status == 200
        return await answer.json()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def sandbox(http, tmp_path):
    async with sandbox_process(http, tmp_path / "sandbox.log") as started:
        yield started


@pytest.fixture
async def dfsps(http, sandbox):
    base_url, _ = sandbox
    guide = await get_json(http, f"{base_url}/sandbox")
    pair = [Dfsp(fsp, http, guide["switch"]["baseUrl"]) for fsp in ("buffalo", "rhino")]
    for one in pair:
        one.keys = {other.fsp_id: load_public_key(public_pem(other.pem)) for other in pair}
        one.keys["switch"] = load_public_key(guide["switch"]["publicKeyPem"])
        ports = [await one.listen(engine) for engine in (0, 1)]
        await register(http, base_url, one, [f"http://127.0.0.1:{port}/fspiop" for port in ports])
    yield pair
    for one in pair:
        await one.close()


async def register(http, base_url, dfsp, urls):
    body = {
        "fspId": dfsp.fsp_id,
        "currency": "KES",
        "callbackUrls": urls,
        "publicKeyPem": public_pem(dfsp.pem),
        "netDebitCap": "1000.00",
    }
    async with http.post(f"{base_url}/switch/admin/participants", json=body) as answer:
        assert answer.status == 200, await answer.text()


def prepare_body():
    return {
        "transferId": TRANSFER_ID,
        "payerFsp": "buffalo",
        "payeeFsp": "rhino",
        "amount": MONEY,
        "ilpPacket": "AYIB",
        "condition": CONDITION,
        "expiration": iso(system_clock() + 30_000),
    }


def quote_body():
    def party(number):
        return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}

    return {
        "quoteId": QUOTE_ID,
        "transactionId": TRANSFER_ID,
        "payee": party("254700300001"),
        "payer": party("254700200001"),
        "amountType": "SEND",
        "amount": MONEY,
        "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
    }


async def test_a_transfer_from_look_up_to_patch(http, sandbox, dfsps):
    base_url, process = sandbox
    buffalo, rhino = dfsps
    await rhino.send("POST", "/participants" + PAYEE, {"fspId": "rhino", "currency": "KES"}, trace=99)
    registered = await rhino.callback()
    assert registered == (0, "PUT", "/participants" + PAYEE, {"fspId": "rhino"})

    # The first conversation goes to engine 0 of each, the second to engine 1.
    await buffalo.send("GET", "/parties/MSISDN/0", trace=1)
    engine, method, path, unknown = await buffalo.callback()
    assert (engine, method, path) == (0, "PUT", "/parties/MSISDN/0/error")
    assert unknown["errorInformation"]["errorCode"] == "3204"

    await buffalo.send("GET", "/parties" + PAYEE, trace=2)
    assert await rhino.callback() == (1, "GET", "/parties" + PAYEE, None)
    party = {"party": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700300001"}}}
    await rhino.send("PUT", "/parties" + PAYEE, party, to="buffalo", trace=2, status=200)
    assert await buffalo.callback() == (1, "PUT", "/parties" + PAYEE, party)

    await buffalo.send("POST", "/quotes", quote_body(), to="rhino", trace=2)
    assert await rhino.callback() == (1, "POST", "/quotes", quote_body())
    quoted = {
        "transferAmount": MONEY,
        "expiration": iso(system_clock() + 30_000),
        "ilpPacket": "AYIB",
        "condition": CONDITION,
    }
    await rhino.send("PUT", f"/quotes/{QUOTE_ID}", quoted, to="buffalo", trace=2, status=200)
    assert await buffalo.callback() == (1, "PUT", f"/quotes/{QUOTE_ID}", quoted)

    prepare = prepare_body()
    await buffalo.send("POST", "/transfers", prepare, to="rhino", trace=2)
    assert await rhino.callback() == (1, "POST", "/transfers", prepare)
    fulfil = {"fulfilment": FULFILMENT, "transferState": "RESERVED"}
    await rhino.send("PUT", f"/transfers/{TRANSFER_ID}", fulfil, to="buffalo", trace=2, status=200)
    engine, method, path, committed = await buffalo.callback()
    assert (engine, method, path) == (1, "PUT", f"/transfers/{TRANSFER_ID}")
    assert (committed["transferState"], committed["fulfilment"]) == ("COMMITTED", FULFILMENT)
    engine, method, _, settled = await rhino.callback()
    assert (engine, method, settled["transferState"]) == (1, "PATCH", "COMMITTED")

    positions = await get_json(http, f"{base_url}/switch/admin/positions")
    assert [(row["fspId"], row["position"], row["reserved"]) for row in positions] == [
        ("buffalo", 10_000, 0),
        ("rhino", -10_000, 0),
    ]
    conversations = await get_json(http, f"{base_url}/switch/admin/conversations")
    assert conversations == {"total": 2, "perIndex": {"0": 1, "1": 1}}

    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), STOP_WAIT_S) == 0


async def test_an_expired_transfer_is_told_by_the_clock(dfsps):
    buffalo, rhino = dfsps
    soon = prepare_body() | {"expiration": iso(system_clock() + 300)}
    await buffalo.send("POST", "/transfers", soon, to="rhino")
    assert (await rhino.callback())[1:3] == ("POST", "/transfers")
    for dfsp in dfsps:
        _, method, path, body = await dfsp.callback()
        assert (method, path) == ("PUT", f"/transfers/{TRANSFER_ID}/error")
        assert body["errorInformation"]["errorCode"] == "3303"


async def test_a_dfsp_that_is_away_gets_its_callback_when_it_is_back(http, sandbox, dfsps):
    base_url, _ = sandbox
    buffalo, _ = dfsps
    port = free_port()
    await register(http, base_url, buffalo, [f"http://127.0.0.1:{port}/fspiop"])
    await buffalo.send("GET", "/parties/MSISDN/0")
    await asyncio.sleep(0.5)
    assert buffalo.inbox.empty()
    await buffalo.listen(2, port)
    assert (await buffalo.callback())[:3] == (2, "PUT", "/parties/MSISDN/0/error")


async def test_refusals_in_the_words_of_fspiop(dfsps):
    buffalo, _ = dfsps
    refusals = [
        (await buffalo.send("GET", "/nothing/1", status=404), "3002"),
        (await buffalo.send("GET", "/parties/MSISDN/1", status=400, Date="today"), "3101"),
        (await buffalo.send("POST", "/quotes", {}, to="rhino", status=400), "3102"),
        (
            await buffalo.send(
                "POST", "/quotes", quote_body(), to="rhino", status=400, Date=formatdate(0, usegmt=True)
            ),
            "3105",
        ),
    ]
    for body, code in refusals:
        assert json.loads(body)["errorInformation"]["errorCode"] == code
