"""Versions, credentials, books and forced cases of a bank over its HTTP interface."""

import base64
import json

import httpx
import pytest

from payhub_sandbox.app import create_app
from payhub_sandbox.bank.cases import BEHAVIOURS, LATE_MS, SLOW_MS, TABLE
from payhub_sandbox.settings import SandboxSettings

ROOT = "/banks/buffalo/fineract-provider/api/v1"
INTEROP = ROOT + "/interoperation"
ACCOUNT = "BUFFALO-000001"
QUOTED, UNQUOTED = "BUFFALO-000104", "BUFFALO-000105"
TRANSFERRED = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"}
BASIC = "Basic " + base64.b64encode(b"payhub:buffalo-sandbox").decode()


class MovingClock:
    def __init__(self):
        self.now_ms = 1_790_000_000_000

    def __call__(self):
        return self.now_ms


class Bank:
    def __init__(self, clock, **settings):
        self.clock = clock
        app = create_app(SandboxSettings(**settings), clock)
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://sandbox")
        self.authorization = BASIC

    async def call(self, method, path, body=None, **headers):
        sent = {"Authorization": self.authorization, "Fineract-Platform-TenantId": "buffalo", **headers}
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, path, content=content, headers=sent)

    async def transfer(self, action, amount="40.00", account=ACCOUNT, code="t1", **headers):
        body = self.command(amount, account) | {"transferCode": code}
        return await self.call("POST", f"{INTEROP}/transfers?action={action}", body, **headers)

    async def quote(self, amount="40.00", account=ACCOUNT):
        kind = {"transactionType": TRANSFERRED, "quoteCode": "q1", "amountType": "SEND"}
        return await self.call("POST", INTEROP + "/quotes", self.command(amount, account) | kind)

    async def repay(self, amount="40.00", loan="BUFFALO-LOAN-1", **headers):
        body = {
            "transactionDate": "2026-09-21",
            "transactionAmount": amount,
            "dateFormat": "yyyy-MM-dd",
            "locale": "en",
        }
        return await self.call("POST", f"{INTEROP}/transactions/{loan}/loanrepayment", body, **headers)

    def command(self, amount, account):
        return {
            "transactionCode": "tx",
            "accountId": account,
            "transactionRole": "PAYER",
            "amount": {"amount": amount, "currency": "KES"},
        }

    async def balance(self, account=ACCOUNT):
        body = (await self.call("GET", f"{ROOT}/savingsaccounts/external-id/{account}")).json()
        return body["summary"]["accountBalance"], body["savingsAmountOnHold"]


@pytest.fixture
def clock():
    return MovingClock()


@pytest.fixture
def bank(clock):
    return Bank(clock)


@pytest.fixture
def old(clock):
    return Bank(clock, fineract="1.8")


@pytest.fixture
def forced(clock):
    return Bank(clock, forced_cases=True)


def code_of(answer):
    return answer.json()["errors"][0]["userMessageGlobalisationCode"]


async def test_the_books_tell_what_became_of_a_transfer(bank):
    await bank.transfer("PREPARE")
    await bank.transfer("RELEASE")
    await bank.transfer("PREPARE", code="t2")
    await bank.transfer("CREATE", code="t2")
    path = f"{ROOT}/savingsaccounts/external-id/{ACCOUNT}"
    assert "transactions" not in (await bank.call("GET", path)).json()
    rows = (await bank.call("GET", path + "?associations=transactions")).json()["transactions"]
    told = [
        (row["transactionType"]["code"].rpartition(".")[2], row.get("releaseTransactionId")) for row in rows
    ]
    assert told == [("withdrawal", None), ("release", None), ("onHold", 4), ("release", None), ("onHold", 2)]
    details = [row["paymentDetailData"] for row in rows]
    assert [one["receiptNumber"] for one in details] == ["t2", "t2", "t2", "t1", "t1"]
    assert {one["routingCode"] for one in details} == {"INTEROPERATION"}
    assert await bank.balance() == (9_960, 0)


async def test_the_listing_of_transactions_by_version(bank, old):
    for one in (bank, old):
        listing = f"{INTEROP}/accounts/{ACCOUNT}/transactions"
        assert (await one.call("GET", listing)).json()["transactions"] == []
        await one.transfer("PREPARE")
        await one.transfer("CREATE")
    assert (await bank.call("GET", listing)).status_code == 500  # as 1.10 does
    kinds = {}
    for query in ("", "?debit=false&credit=true", "?debit=true&credit=true"):
        rows = (await old.call("GET", listing + query)).json()["transactions"]
        kinds[query] = [row["transactionType"] for row in rows]
    assert kinds == {
        "": ["WITHDRAWAL", "AMOUNT_RELEASE", "AMOUNT_HOLD"],
        "?debit=false&credit=true": ["AMOUNT_RELEASE", "AMOUNT_HOLD"],
        "?debit=true&credit=true": ["WITHDRAWAL"],
    }


async def test_fineract_1_8_lacks_what_came_later(bank, old):
    for path in (f"{ROOT}/savingsaccounts/external-id/{ACCOUNT}", f"{INTEROP}/parties/BBAN/1"):
        assert (await old.call("GET", path)).json() == {"status": 404, "error": "Not Found"}
    assert (await old.repay()).status_code == 404
    assert code_of(await bank.call("GET", f"{INTEROP}/parties/BBAN/1")).endswith("account.not.found")
    keyed = {"Idempotency-Key": "k"}
    statuses = {}
    for one in (bank, old):
        statuses[one] = [(await one.transfer("PREPARE", **keyed)).status_code for _ in range(2)]
    assert (statuses[bank], statuses[old]) == ([200, 200], [200, 403])


async def test_a_bearer_token_opens_the_bank_until_it_ends(bank, clock):
    form = {"grant_type": "client_credentials", "client_id": "payhub", "client_secret": "buffalo-sandbox"}
    token = (await bank.http.post("/banks/buffalo/oauth2/token", data=form)).json()
    by_header = await bank.http.post(
        "/banks/buffalo/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": BASIC},
    )
    assert (token["token_type"], by_header.status_code) == ("Bearer", 200)
    bank.authorization = f"Bearer {token['access_token']}"
    assert (await bank.transfer("PREPARE")).status_code == 200
    clock.now_ms += token["expires_in"] * 1000
    refused = await bank.call("GET", f"{INTEROP}/accounts/{ACCOUNT}")
    told = refused.json()
    assert (refused.status_code, told["errors"]) == (401, None)
    assert told["userMessageGlobalisationCode"] == "error.msg.not.authenticated"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "payhub", "client_secret": "x"},
            401,
            "invalid_client",
        ),
    ],
)
async def test_tokens_that_are_refused(bank, form, status, error):
    answer = await bank.http.post("/banks/buffalo/oauth2/token", data=form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_with_oauth2_the_idempotency_key_is_ignored_as_fineract_does(bank, clock):
    fixed = Bank(clock, quirks=False)
    second = {}
    for one in (bank, fixed):
        form = {"grant_type": "client_credentials"}
        headers = {"Authorization": BASIC}
        answer = await one.http.post("/banks/buffalo/oauth2/token", data=form, headers=headers)
        one.authorization = f"Bearer {answer.json()['access_token']}"
        for _ in range(2):
            second[one] = (await one.transfer("PREPARE", **{"Idempotency-Key": "k"})).status_code
    assert (second[bank], second[fixed]) == (403, 200)


async def test_fees_are_quoted_or_not_and_charged_all_the_same(bank):
    for account, fee in ((QUOTED, 10), (UNQUOTED, 0)):
        quote = (await bank.quote(account=account)).json()
        assert quote["fspFee"] == {"amount": fee, "currency": "KES"}
        await bank.transfer("PREPARE", account=account)
        assert (await bank.transfer("CREATE", account=account)).status_code == 200
        assert await bank.balance(account) == (9_950, 0)


async def test_fees_in_percent(bank):
    new = {
        "accountId": "P",
        "name": "Percent",
        "balance": "100",
        "withdrawalFeeBasisPoints": 125,
        "withdrawalFeeForTransfers": True,
    }
    assert (await bank.http.post("/banks/buffalo/admin/accounts", json=new)).status_code == 200
    assert (await bank.quote("10.20", "P")).json()["fspFee"]["amount"] == 0.13
    assert (
        (await bank.quote("98.78", "P"))
        .json()["errors"][0]["userMessageGlobalisationCode"]
        .endswith("insufficient.account.balance.withdraw")
    )


async def test_tills_and_floats_are_reached_by_business_and_sub_id(bank):
    for path, account in (("shop/till-1", 101), ("shop/till-2", 102), ("agency/float-1", 103)):
        answer = await bank.call("GET", f"{INTEROP}/parties/BUSINESS/buffalo-{path}")
        assert answer.json()["accountId"] == f"BUFFALO-{account:06d}"
    assert (await bank.call("GET", f"{INTEROP}/parties/BUSINESS/buffalo-shop")).status_code == 404
    assert (await bank.call("GET", f"{INTEROP}/accounts/{ACCOUNT}/kyc")).json()["subjectName"] == {
        "firstName": "Faith",
        "lastName": "Njeri",
        "displayName": "Faith Njeri",
    }


async def test_a_loan_is_repaid_once_for_each_key(bank):
    for _ in range(2):
        answer = await bank.repay(**{"Idempotency-Key": "k"})
        assert answer.status_code == 200
    loan = (await bank.call("GET", f"{ROOT}/loans/BUFFALO-LOAN-1")).json()
    assert loan["summary"] == {"totalOutstanding": 4_960, "totalRepayment": 40}
    new = {"accountNo": "L9", "name": "New", "principal": "12.50"}
    opened = (await bank.http.post("/banks/buffalo/admin/loans", json=new)).json()
    assert opened["summary"]["totalOutstanding"] == 12.5


@pytest.fixture
def waits(monkeypatch):
    """What a reply would be held back, told instead of waited for."""
    held = []

    async def note(_patience, delay_ms):
        held.extend([delay_ms] if delay_ms else [])

    monkeypatch.setattr("payhub_sandbox.bank.patience.Patience.hold", note)
    return held


@pytest.mark.parametrize(
    "row",
    TABLE,
    ids=[f"{row.operation}-{row.amount or row.identifier}-{row.behaviour}" for row in TABLE],
)
async def test_each_forced_case_of_a_bank(forced, waits, row):
    amount = f"1{row.amount}" if row.amount else ""
    if row.operation in ("CREATE", "RELEASE"):
        await forced.transfer("PREPARE", amount)
    if row.operation == "account":
        new = {"accountId": row.identifier + "-1", "name": "Case", "balance": "1"}
        await forced.http.post("/banks/buffalo/admin/accounts", json=new)
    if row.operation == "party":
        path = f"{INTEROP}/parties/MSISDN/{row.identifier}1"
        await forced.call("POST", path, {"accountId": UNQUOTED})
    before = await forced.balance()
    loans = (await forced.call("GET", f"{ROOT}/loans/1")).json()["summary"]
    answer = await act(forced, row, amount)
    done = (await forced.balance(), (await forced.call("GET", f"{ROOT}/loans/1")).json()["summary"]) != (
        before,
        loans,
    )
    moves = row.operation not in ("quote", "party", "account")
    assert done is (moves and row.behaviour not in ("down", "error"))
    assert waits == {"slow": [SLOW_MS], "late": [LATE_MS]}.get(row.behaviour, [])
    expected = {"down": 503, "error": 500, "crash": 500}.get(row.behaviour, 200)
    if row.behaviour == "twice":
        expected = {"PREPARE": 403, "CREATE": 403, "RELEASE": 404, "loanrepayment": 200}[row.operation]
    assert answer.status_code == expected
    if row.behaviour == "disagrees":
        assert "other-" in answer.text or "NOT-" in answer.text


async def act(bank, row, amount):
    if row.operation == "quote":
        return await bank.quote(amount)
    if row.operation == "loanrepayment":
        return await bank.repay(amount)
    if row.operation == "party":
        return await bank.call("GET", f"{INTEROP}/parties/MSISDN/{row.identifier}1")
    if row.operation == "account":
        return await bank.call("GET", f"{INTEROP}/accounts/{row.identifier}-1")
    return await bank.transfer(row.operation, amount)


def test_the_table_of_a_bank_has_one_row_for_each_trigger_and_explains_each_behaviour():
    triggers = [(row.operation, row.amount, row.identifier) for row in TABLE]
    assert len(set(triggers)) == len(triggers)
    assert {row.behaviour for row in TABLE} == set(BEHAVIOURS)


async def test_nothing_is_forced_unless_it_is_switched_on(bank, waits):
    for row in TABLE:
        if row.operation == "quote":
            assert (await bank.quote(f"1{row.amount}")).status_code == 200
    assert waits == []
