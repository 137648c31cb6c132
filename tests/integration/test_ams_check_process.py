"""`payhub ams check` as a vendor runs it: a process of its own, against a bank over a real socket."""

import asyncio
import json
import os
import sys
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.contract_bank import CONTRACT, ContractAccount, ContractBank

PAYHUB = [sys.executable, "-c", "from payhub_cli.main import main; main()"]
PASSWORD = "secret-of-the-bank"


@pytest.fixture
def bank():
    return ContractBank(
        accounts={"A1": ContractAccount(Decimal(1000))}, identifiers={"MSISDN/254700200001": "A1"}, fee="1.50"
    )


@pytest.fixture
async def url(bank):
    async def answer(request: web.Request) -> web.Response:
        told = await bank.request(
            request.method,
            str(request.url),
            headers=request.headers,
            body=await request.read(),
            timeout_s=1.0,
        )
        return web.Response(status=told.status, body=told.body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/payhub"))


async def start(*arguments, password=PASSWORD):
    environment = {**os.environ, "PAYHUB_AMS_PASSWORD": password}
    return await asyncio.create_subprocess_exec(
        *PAYHUB,
        "ams",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def check(url, *more, password=PASSWORD):
    arguments = ["check", url, "--kind", "contract", "--account", "MSISDN/254700200001", "--user", "payhub"]
    process = await start(*arguments, *more, password=password)
    out, said = await process.communicate()
    return process.returncode, out.decode(), said.decode()


async def test_a_bank_that_conforms_ends_with_0_and_says_so(bank, url):
    status, out, said = await check(url)
    assert (status, said) == (0, "")
    assert "the bank conforms" in out
    assert bank.accounts["A1"].balance == Decimal(1000)


async def test_a_bank_that_does_not_ends_with_1_and_reads_how_to_mend_it(bank, url):
    bank.defects = {"credits-twice"}
    status, out, said = await check(url, "--json")
    assert status == 1
    report = json.loads(out)
    failed = [finding for finding in report["checks"] if finding["outcome"] == "failed"]
    assert failed[0]["name"] == "credit-done-once"
    assert all(failed[0][name] for name in ("wrong", "sent", "wanted", "came", "mend"))
    assert "FAILED  credit-done-once" in said  # progress
    assert bank.accounts["A1"].balance == Decimal(1000)


async def test_wrong_options_end_with_2_in_one_sentence(url):
    status, out, said = await check("nonsense")
    assert (status, out) == (2, "")
    assert said.count("\n") == 1
    assert "ams-check-url" in said
    status, *_ = await check(url, password="")
    assert status == 2


async def test_the_contract_is_printed_from_the_installed_package():
    process = await start("contract")
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert f'version: "{CONTRACT["info"]["version"]}"'.encode() in out
