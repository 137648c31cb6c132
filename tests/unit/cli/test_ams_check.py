"""`payhub ams check` passes banks that conform, finds those that do not, and puts the books back."""

import asyncio
import base64
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.asgi_client import AsgiClient
from support.contract_bank import ContractAccount, ContractBank
from unit.engines.connectors.connector_kit import NOW_MS

from payhub_cli.ams import contract_checks, fineract_checks
from payhub_cli.ams.command import Options, check
from payhub_cli.ams.errors import AmsCheckError
from payhub_engines.connectors.ams import refusals
from payhub_engines.connectors.ams.contract_api import STATUSES
from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_sandbox.app import create_app
from payhub_sandbox.settings import SandboxSettings

BASE = "http://sandbox.test"
URL = f"{BASE}/banks/buffalo/fineract-provider/api/v1"
FINERACT = Options(
    url=URL,
    kind="fineract",
    account="MSISDN/254700200001",
    amount="10",
    user="payhub",
    password="buffalo-sandbox",
    platform_tenant="buffalo",
)
CONTRACT = Options(
    url="http://bank.test/payhub",
    kind="contract",
    account="MSISDN/254700200001",
    amount="10",
    user="payhub",
    password="secret-of-the-bank",
)


def sandbox(quirks=True):
    return AsgiClient(create_app(SandboxSettings(quirks=quirks), lambda: NOW_MS), BASE)


def contract_bank(*defects):
    return ContractBank(
        accounts={"A1": ContractAccount(Decimal(1000)), "A2": ContractAccount(Decimal(0))},
        identifiers={"MSISDN/254700200001": "A1"},
        fee="1.50",
        defects=set(defects),
    )


async def examine(bank, options):
    told = []
    report = await check(options, lambda _session: bank, None, told.append)
    assert told == report.checks
    return report, {finding.name: finding for finding in report.checks}


async def ledger(client, account="BUFFALO-000001"):
    answer = await client.http.get("/banks/buffalo/admin/ledger")
    return next(
        (row["balance"], row["held"]) for row in answer.json()["accounts"] if row["accountId"] == account
    )


@pytest.mark.parametrize("quirks", [True, False])
async def test_the_sandboxs_bank_conforms_and_keeps_its_books(quirks):
    client = sandbox(quirks)
    report, found = await examine(client, FINERACT)
    assert report.conforms, [finding for finding in report.checks if finding.outcome == "failed"]
    assert report.failed == report.skipped == 0
    assert found["released-hold-not-committed"].outcome == ("noted" if quirks else "passed")
    assert found["books-as-before"].outcome == "passed"
    assert await ledger(client) == (1_000_000, 0)


async def test_a_bank_of_the_contract_conforms_and_keeps_its_books():
    bank = contract_bank()
    report, _ = await examine(bank, CONTRACT)
    assert report.conforms, [finding for finding in report.checks if finding.outcome != "passed"]
    assert report.passed == len(contract_checks.CHECKS)
    assert (bank.accounts["A1"].balance, bank.accounts["A1"].held) == (Decimal(1000), Decimal(0))


@pytest.mark.parametrize(
    ("defect", "failing"),
    [
        ("no-credentials", "strangers-refused"),
        ("finds-anybody", "nobody-found"),
        ("refusals-as-success", "nobody-found"),
        ("overdraws", "too-much-refused"),
        ("any-currency", "other-currency-refused"),
        ("holds-nothing", "hold-placed"),
        ("holds-twice", "hold-placed-once"),
        ("reference-reuse", "reference-not-reused"),
        ("no-status", "status-told"),
        ("keeps-holding", "hold-released"),
        ("reserves-after-release", "released-reference-used-up"),
        ("commits-after-release", "released-hold-not-committed"),
        ("release-unknown", "unknown-reference-released"),
        ("hidden-fee", "commit-takes-what-was-told"),
        ("commits-twice", "commit-done-once"),
        ("credits-twice", "credit-done-once"),
    ],
)
async def test_each_defect_of_a_contract_bank_is_found_by_its_check(defect, failing):
    bank = contract_bank(defect)
    report, found = await examine(bank, CONTRACT)
    assert not report.conforms
    finding = found[failing]
    assert finding.outcome == "failed", found
    assert finding.wrong
    assert finding.sent
    assert finding.came
    assert finding.mend
    first = next(finding for finding in report.checks if finding.outcome == "failed")
    assert first.name == failing
    if defect not in {"keeps-holding", "hidden-fee", "holds-nothing", "holds-twice"}:
        assert (bank.accounts["A1"].balance, bank.accounts["A1"].held) == (Decimal(1000), Decimal(0))


@dataclass(frozen=True)
class Call:
    method: str
    url: str
    headers: dict
    content: dict
    options: dict

    @property
    def action(self):
        return self.url.partition("action=")[2]

    @property
    def role(self):
        return self.content.get("transactionRole", "")

    def anew(self, code, action=""):
        """Return the same call under a code of its own."""
        headers = {name: value for name, value in self.headers.items() if name != "Idempotency-Key"}
        url = self.url.replace(self.action, action) if action else self.url
        return replace(self, url=url, headers=headers, content={**self.content, "transferCode": code})


class Trap:
    """Stands before the sandbox's bank and does wrong what a Fineract, or something before it, might."""

    def __init__(self, client, defect):
        self.client = client
        self.defect = defect
        self.seen = defaultdict(int)

    async def request(self, method, url, *, headers, body, **options):
        call = Call(method, url, headers, json.loads(body) if body else {}, options)
        return await getattr(self, f"_{self.defect.replace('-', '_')}")(call)

    async def send(self, call):
        body = json.dumps(call.content).encode() if call.content else b""
        return await self.client.request(
            call.method, call.url, headers=call.headers, body=body, **call.options
        )

    async def _open_to_all(self, call):
        credentials = base64.b64encode(b"payhub:buffalo-sandbox").decode()
        headers = {**call.headers, "Authorization": f"Basic {credentials}"}
        return await self.send(replace(call, headers=headers))

    async def _finds_anybody(self, call):
        if "/parties/" in call.url:
            return HttpAnswer(status=200, body=b'{"accountId":"BUFFALO-000001"}')
        return await self.send(call)

    async def _page_for_404(self, call):
        answer = await self.send(call)
        return HttpAnswer(status=404, body=b"<html>") if answer.status == 404 else answer

    async def _holds_nothing(self, call):
        return accepted(call) if call.action == "PREPARE" else await self.send(call)

    async def _keeps_holding(self, call):
        return accepted(call) if call.action == "RELEASE" else await self.send(call)

    async def _forgets_codes(self, call):
        return await (self._again(call) if call.action == "PREPARE" else self.send(call))

    async def _credits_twice(self, call):
        return await (self._again(call) if call.role == "PAYEE" else self.send(call))

    async def _debits_twice(self, call):
        answer = await self.send(call)
        if call.action == "CREATE" and call.role == "PAYER" and answer.status == 403:
            code = call.content["transferCode"] + "#"
            await self.send(call.anew(code, "PREPARE"))
            answer = await self.send(call.anew(code))
        return answer

    async def _takes_without_hold(self, call):
        if call.action == "CREATE" and call.role == "PAYER":
            await self.send(call.anew(call.content["transferCode"], "PREPARE"))
        return await self.send(call)

    async def _cut_off(self, call):
        self.seen["calls"] += 1
        if self.seen["calls"] > 12:
            raise UnreachableError("no answer")
        return await self.send(call)

    async def _again(self, call):
        """Do each repetition as if it were something new."""
        code = call.content["transferCode"]
        self.seen[code] += 1
        return await self.send(call.anew(f"{code}#{self.seen[code]}") if self.seen[code] > 1 else call)


def accepted(call):
    told = {"transferCode": call.content["transferCode"], "state": "ACCEPTED"}
    return HttpAnswer(status=200, body=json.dumps(told).encode())


def changed(**change):
    return Options(**{**{name: getattr(FINERACT, name) for name in FINERACT.__struct_fields__}, **change})


@pytest.mark.parametrize(
    ("defect", "failing"),
    [
        ("open-to-all", "strangers-refused"),
        ("finds-anybody", "nobody-found"),
        ("page-for-404", "nobody-found"),
        ("holds-nothing", "hold-placed"),
        ("forgets-codes", "hold-placed-once"),
        ("keeps-holding", "hold-released"),
        ("takes-without-hold", "commit-needs-hold"),
        ("debits-twice", "commit-done-once"),
        ("credits-twice", "credit-done-once"),
    ],
)
async def test_each_trap_of_a_fineract_is_found_by_its_check(defect, failing):
    client = sandbox()
    report, found = await examine(Trap(client, defect), FINERACT)
    assert not report.conforms
    assert found[failing].outcome == "failed", found[failing]
    first = next(finding for finding in report.checks if finding.outcome == "failed")
    assert first.name == failing
    if defect in {"open-to-all", "finds-anybody", "page-for-404", "debits-twice", "credits-twice"}:
        assert await ledger(client) == (1_000_000, 0)


async def test_a_fee_that_no_quote_tells_is_found():
    client = sandbox()
    account = {"accountId": "F1", "name": "Fee", "balance": "100", "msisdn": "1", "withdrawalFee": "2.50"}
    await client.http.post("/banks/buffalo/admin/accounts", json=account)
    options = changed(account="MSISDN/1")
    report, found = await examine(client, options)
    assert not report.conforms
    assert found["commit-takes-what-was-told"].outcome == "failed"
    assert "withdrawalFeeForTransfers" in found["commit-takes-what-was-told"].mend
    assert await ledger(client, "F1") == (10_000, 0)


async def test_a_fee_that_the_quote_tells_is_taken_and_paid_back():
    client = sandbox()
    account = {"accountId": "F1", "name": "Fee", "balance": "100", "msisdn": "1", "withdrawalFee": "2.50"}
    account |= {"withdrawalFeeForTransfers": True}
    await client.http.post("/banks/buffalo/admin/accounts", json=account)
    options = changed(account="MSISDN/1")
    report, _ = await examine(client, options)
    assert report.conforms
    assert await ledger(client, "F1") == (10_000, 0)


async def test_a_bank_that_goes_silent_fails_the_rest_and_says_so():
    report, found = await examine(Trap(sandbox(), "cut-off"), FINERACT)
    assert not report.conforms
    assert found["books-as-before"].outcome in {"failed", "skipped"}
    assert any("no answer" in finding.wrong for finding in report.checks)


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b"null", b"\xff", b'{"x":' + b"[" * 100_000])
@pytest.mark.parametrize("after", [0, 6, 12])
@pytest.mark.parametrize("options", [FINERACT, CONTRACT], ids=["fineract", "contract"])
async def test_a_bank_that_talks_nonsense_is_told_so_and_ends_no_examination(body, after, options):
    bank, calls = sandbox() if options.kind == "fineract" else contract_bank(), 0

    class Nonsense:
        async def request(self, method, url, **rest):
            nonlocal calls
            calls += 1
            answer = await bank.request(method, url, **rest)
            return HttpAnswer(status=answer.status, body=body) if calls > after else answer

    report, _ = await examine(Nonsense(), options)
    assert not report.conforms


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"password": "wrong"}, "reachable"),
        ({"platform_tenant": "nobody"}, "reachable"),
        ({"account": "MSISDN/1"}, "account-found"),
        ({"account": "MSISDN/254700200005"}, "account-usable"),
        ({"amount": "0.001"}, "account-usable"),
        ({"amount": "-5"}, "account-usable"),
        ({"url": BASE + "/nowhere"}, "reachable"),
    ],
)
async def test_what_was_given_wrongly_is_said_before_money_moves(change, failing):
    client = sandbox()
    report, found = await examine(client, changed(**change))
    assert not report.conforms
    assert found[failing].outcome == "failed"
    assert found["hold-placed"].outcome == "skipped"
    assert await ledger(client) == (1_000_000, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"account": "254700200001"},
        {"url": "bank.test/fineract"},
        {"url": "ftp://bank.test/"},
        {"account": "MSISDN/"},
        {"user": ""},
        {"password": ""},
        {"token_url": "http://login.test/token"},
        {"ca": "missing.pem"},
    ],
)
async def test_options_that_do_not_fit_are_refused(change, tmp_path):
    if "ca" in change:
        change = {"ca": tmp_path / "missing.pem"}
    with pytest.raises(AmsCheckError):
        await examine(sandbox(), changed(**change))


@pytest.mark.parametrize("nth", [1, 4, 8, 12])
async def test_an_examination_that_is_stopped_puts_everything_back(nth):
    """Ctrl-C while the nth act is under way, or was done and not answered yet."""
    bank = contract_bank()
    stopped = asyncio.Event()
    acts = 0

    class Slow:
        async def request(self, method, url, **options):
            nonlocal acts
            answer = await bank.request(method, url, **options)
            acts += method != "GET"
            if acts == nth and not stopped.is_set():
                stopped.set()
                await asyncio.Event().wait()
            return answer

    task = asyncio.create_task(examine(Slow(), CONTRACT))
    await stopped.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bank.accounts["A1"].balance, bank.accounts["A1"].held) == (Decimal(1000), Decimal(0))


async def test_no_secret_is_told():
    report, _ = await examine(sandbox(), FINERACT)
    text = repr(report)
    assert "buffalo-sandbox" not in text
    assert base64.b64encode(b"payhub:buffalo-sandbox").decode() not in text


@pytest.mark.parametrize("checks", [fineract_checks.CHECKS, contract_checks.CHECKS])
def test_each_check_has_a_name_of_its_own_and_needs_earlier_ones(checks):
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    for number, one in enumerate(checks):
        assert set(one.needs) <= set(names[:number]), one.name
        assert one.wanted
        assert one.mend


def test_the_page_tells_each_check_and_each_refusal():
    page = (Path(__file__).parents[3] / "docs" / "ams.md").read_text(encoding="utf-8")
    for one in (*fineract_checks.CHECKS, *contract_checks.CHECKS):
        assert f"| `{one.name}` |" in page
        assert one.wanted in page
    known = [refusals.INSUFFICIENT, refusals.DIFFERENT_CURRENCY, refusals.NOT_ALLOWED, refusals.HOLD_MISSING]
    for code in (*known, *refusals.BLOCKED, *refusals.CODE_USED, *STATUSES):
        assert f"`{code}`" in page
    for bound in ("CALLS_PER_TENANT_MAX", "PLACE_WAIT_S", "TIMEOUT_S", "FAILURES_TO_OPEN", "PEOPLE_RETRY_MS"):
        assert f"`{bound}`" in page
