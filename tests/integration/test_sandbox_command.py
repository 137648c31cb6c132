"""``payhub sandbox`` alone: a DFSP connects to it, pays and is paid, and Ctrl-C ends it."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from payhub_platform.clock import system_clock
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.payer import Order
from payhub_sandbox.switch.message import Outgoing
from payhub_sandbox.switch.signature import new_private_key_pem

PAYHUB = str(Path(sys.executable).parent / "payhub")
START_TIMEOUT_S = 30
PAYMENT_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
MEMBER = "MSISDN/254711000002"


@contextlib.asynccontextmanager
async def sandbox(*options):
    process = await asyncio.create_subprocess_exec(
        *(PAYHUB, "sandbox", "--port", "0", "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Connected:
    """A DFSP of the test's own, with a callback server and signed messages over HTTP."""

    def __init__(self, http, guide):
        self.dfsp = Counterparty(new_private_key_pem("RS256"), system_clock, "mydfsp", "25471100")
        self.http = http
        self.guide = guide
        self._runner = None
        self._sending = set()

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        registration = {
            "fspId": "mydfsp",
            "currency": "KES",
            "callbackUrls": [f"http://127.0.0.1:{self._runner.addresses[0][1]}"],
            "publicKeyPem": self.dfsp.speaker.public_key_pem,
            "netDebitCap": "100000",
        }
        url = self.guide["switch"]["adminUrl"]
        async with self.http.post(f"{url}/participants", json=registration) as answer:
            assert answer.status == 200
        for message in self.dfsp.registrations():
            assert await self.send(message) == 202
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*self._sending)
        await self._runner.cleanup()

    async def send(self, message):
        path = f"{message.path}?{message.query}" if message.query else message.path
        url = self.guide["switch"]["baseUrl"] + path
        async with self.http.request(
            message.method, url, data=message.body or None, headers=message.headers
        ) as answer:
            return answer.status

    async def pay(self, **fields):
        """Order a payment and return it with the status that its look-up was answered with."""
        payment, messages = self.dfsp.payer.order(Order(member=MEMBER, **fields))
        statuses = [await self.send(message) for message in messages]
        return payment, statuses[0]

    async def _take(self, request):
        message = Outgoing(
            destination="mydfsp",
            method=request.method,
            path=request.raw_path,
            headers=dict(request.headers),
            body=await request.read(),
            lane=0,
        )
        for said in self.dfsp.receive(message):
            task = asyncio.create_task(self.send(said))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return web.Response(status=202 if request.method in ("GET", "POST") else 200)


async def until(holds):
    async with asyncio.timeout(PAYMENT_TIMEOUT_S):
        while not await holds():
            await asyncio.sleep(0.02)


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_one_dfsp_tries_both_roles_against_it(http):
    async with sandbox() as (process, guide), Connected(http, guide) as mine:
        testbank = next(one for one in guide["counterparties"] if one["role"] == "DFSP")
        payee = testbank["parties"][0]["party"].partition("/")[2]
        sent, _ = await mine.pay(party_id=payee, amount="25")

        async def is_sent():
            return sent.state == "COMMITTED"

        await until(is_sent)
        order = {"partyType": "MSISDN", "partyId": "254711000001", "amount": "10"}
        async with http.post(f"{testbank['adminUrl']}/payments", json=order) as answer:
            assert answer.status == 202

        async def is_received():
            return [one.state for one in mine.dfsp.payee.credits().values()] == ["COMMITTED"]

        await until(is_received)
        async with http.get(f"{guide['switch']['adminUrl']}/positions") as answer:
            rows = await answer.json()
        positions = {row["fspId"]: row["position"] for row in rows if row["currency"] == "KES"}
        assert positions == {"testbank": -1_500, "fxp": 0, "mydfsp": 1_500}

        forced, status = await mine.pay(party_id=payee, amount="803")  # 4001 by the table

        async def is_refused():
            return (status, forced.state, forced.error_code) == (202, "REFUSED", "4001")

        await until(is_refused)
        for amount in ("720", "721"):  # refused with 3100, and 2003, at the quote
            async with http.post(
                f"{testbank['adminUrl']}/payments", json=order | {"amount": amount}
            ) as answer:
                assert answer.status == 202

        async def are_refused():
            async with http.get(f"{testbank['adminUrl']}/payments") as answer:
                rows = await answer.json()
            return [row["errorCode"] for row in rows] == [None, "3100", "2003"]

        await until(are_refused)
        async with http.get(guide["guideUrl"]) as answer:
            text = await answer.text()
            assert answer.content_type == "text/html"
        assert all(word in text for word in (guide["switch"]["baseUrl"], "254700900001", "elephant-sandbox"))
        await _ends(process, signal.SIGINT)


async def test_it_signs_with_rs256_and_loses_messages_by_its_climate(http):
    climate = '{"seed":1,"lossPercent":100,"resources":["transfers"]}'
    options = ("--algorithm", "RS256", "--climate", climate, "--no-forced-cases", "--fineract", "1.8")
    async with sandbox(*options) as (process, guide), Connected(http, guide) as mine:
        assert "forcedCases" not in guide
        assert {bank["fineract"] for bank in guide["banks"]} == {"1.8"}
        payment, _ = await mine.pay(party_id="254700900001", amount="803")

        async def is_reserved():
            async with http.get(f"{guide['switch']['adminUrl']}/transfers") as answer:
                return [row["state"] for row in await answer.json()] == ["RESERVED"]

        await until(is_reserved)
        assert payment.state == "TRANSFERRING"
        await _ends(process, signal.SIGTERM)


async def test_an_address_in_use_is_told_in_one_sentence():
    async with sandbox() as (_process, guide):
        port = guide["guideUrl"].rstrip("/").rpartition(":")[2]
        second = await asyncio.create_subprocess_exec(
            *(PAYHUB, "sandbox", "--port", port),
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await second.communicate()
        assert second.returncode == 2
        assert told.decode().count("\n") == 1
        assert "sandbox-start" in told.decode()


async def _ends(process, number):
    process.send_signal(number)
    async with asyncio.timeout(STOP_TIMEOUT_S):
        assert await process.wait() == 0


async def test_it_ends_at_once_although_a_bank_holds_an_answer_back(http):
    async with sandbox() as (process, guide):
        bank = guide["banks"][0]
        body = {
            "transactionCode": "t",
            "transferCode": "c",
            "accountId": bank["members"][0]["accountId"],
            "transactionRole": "PAYER",
            "amount": {"amount": "1122", "currency": "KES"},  # held, and answered after 40 seconds
        }
        late = asyncio.create_task(
            http.post(
                f"{bank['amsBaseUrl']}/interoperation/transfers?action=PREPARE",
                data=json.dumps(body),
                headers={
                    "Authorization": aiohttp.encode_basic_auth(bank["username"], bank["password"]),
                    "Fineract-Platform-TenantId": bank["platformTenant"],
                },
            )
        )

        async def is_held():
            async with http.get(f"{bank['adminUrl']}/ledger") as answer:
                return (await answer.json())["totals"]["held"] == 112_200

        await until(is_held)
        await _ends(process, signal.SIGINT)
        assert (await late).status == 200
