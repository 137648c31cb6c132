import base64
import json
from decimal import Decimal

import httpx
import pytest

from payhub_platform.security.jws import new_private_key_pem, public_pem
from payhub_sandbox.app import create_app
from payhub_sandbox.settings import SandboxSettings

API = "/banks/buffalo/fineract-provider/api/v1/interoperation"
ACCOUNT = "BUFFALO-000001"
MSISDN = "254700200001"


class BankClient:
    def __init__(self, http):
        credentials = base64.b64encode(b"payhub:buffalo-sandbox").decode()
        self.http = http
        self.headers = {
            "Authorization": f"Basic {credentials}",
            "Fineract-Platform-TenantId": "buffalo",
            "Content-Type": "application/json",
        }

    async def call(self, method, path, body=None, key="", **headers):
        sent = self.headers | headers | ({"Idempotency-Key": key} if key else {})
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, API + path, content=content, headers=sent)

    async def transfer(self, action, code="t1", role="PAYER", key="", amount="40.00"):
        body = {
            "transactionCode": "tx",
            "transferCode": code,
            "accountId": ACCOUNT,
            "transactionRole": role,
            "amount": {"amount": amount, "currency": "KES"},
        }
        return await self.call("POST", f"/transfers?action={action}", body, key)

    async def faults(self, **faults):
        answer = await self.http.post("/banks/buffalo/admin/faults", json=faults)
        assert answer.status_code == 200

    async def member(self):
        ledger = (await self.http.get("/banks/buffalo/admin/ledger")).json()
        return next(row for row in ledger["accounts"] if row["accountId"] == ACCOUNT)


def client_from(app, host):
    transport = httpx.ASGITransport(app=app, client=(host, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090")


@pytest.fixture
def app():
    """The application before its start: the switch delivers nothing yet."""
    return create_app(SandboxSettings(), lambda: 1_790_000_000_000)


@pytest.fixture
async def http(app):
    async with client_from(app, "127.0.0.1") as client:
        yield client


@pytest.fixture
def bank(http):
    return BankClient(http)


async def test_guide_tells_all_that_a_newcomer_needs(http):
    guide = (await http.get("/sandbox")).json()
    assert guide["switch"]["baseUrl"] == "http://127.0.0.1:8090/switch"
    assert guide["switch"]["fspId"] == "switch"
    assert [bank["fspId"] for bank in guide["banks"]] == ["lion", "buffalo", "rhino", "elephant"]
    buffalo = guide["banks"][1]
    assert buffalo["amsBaseUrl"] == "http://127.0.0.1:8090/banks/buffalo/fineract-provider/api/v1"
    assert buffalo["members"][0] == {"accountId": ACCOUNT, "msisdn": MSISDN, "name": "Faith Njeri"}
    assert (await http.get("/health/live")).status_code == 200
    assert (await http.get("/health/ready")).status_code == 503


async def test_account_with_exact_numbers_and_array_dates(bank):
    answer = await bank.call("GET", f"/accounts/{ACCOUNT}")
    assert b'"accountBalance":10000.000000' in answer.content
    account = json.loads(answer.content, parse_float=Decimal)
    assert account["availableBalance"] == Decimal(10_000)
    assert account["balanceOn"] == [2026, 9, 21]
    assert account["identifiers"] == [{"idType": "MSISDN", "idValue": MSISDN}]
    identifiers = await bank.call("GET", f"/accounts/{ACCOUNT}/identifiers")
    assert identifiers.json() == {"identifiers": account["identifiers"]}


async def test_tenant_is_checked_before_credentials(bank):
    missing = await bank.call("GET", "/health", **{"Fineract-Platform-TenantId": "", "Authorization": ""})
    wrong = await bank.call("GET", "/health", Authorization="Basic x")
    assert (missing.status_code, wrong.status_code) == (400, 401)
    for answer in (missing, wrong):
        assert answer.headers["www-authenticate"] == 'Basic realm="Fineract Platform API"'
        assert "errors" not in answer.json()
    healthy = await bank.call("GET", "/health")
    by_query = await bank.call(
        "GET", "/health?tenantIdentifier=buffalo", **{"Fineract-Platform-TenantId": ""}
    )
    assert (healthy.content, by_query.status_code) == (b"OK", 200)
    assert (await bank.http.get(API.replace("buffalo", "hyena") + "/health")).status_code == 404


async def test_parties_are_registered_found_and_deleted(bank):
    assert (await bank.call("GET", f"/parties/MSISDN/{MSISDN}")).json()["accountId"] == ACCOUNT
    body = {"accountId": ACCOUNT}
    assert (await bank.call("POST", "/parties/ALIAS/faith", body)).json()["accountId"] == ACCOUNT
    again = await bank.call("POST", "/parties/ALIAS/faith", body)
    assert again.status_code == 403
    assert again.json()["userMessageGlobalisationCode"] == "error.msg.interop.duplicate.account.identifier"
    assert (await bank.call("DELETE", "/parties/ALIAS/faith")).status_code == 200
    gone = await bank.call("GET", "/parties/ALIAS/faith")
    assert gone.status_code == 404
    assert gone.json()["httpStatusCode"] == "404"
    errors = gone.json()["errors"]
    assert errors[0]["userMessageGlobalisationCode"] == "error.msg.interop.account.not.found"
    assert (await bank.call("GET", "/parties/PHONE/1")).status_code == 404


async def test_a_value_without_sub_id_may_be_taken_twice_and_is_then_lost(bank):
    for account in (ACCOUNT, "BUFFALO-000002"):
        taken = await bank.call("POST", "/parties/EMAIL/x@y.z", {"accountId": account})
        assert taken.status_code == 200
    assert (await bank.call("GET", "/parties/EMAIL/x@y.z")).status_code == 500
    assert (await bank.call("POST", "/parties/ALIAS/x/one", {"accountId": ACCOUNT})).status_code == 200
    other = await bank.call("POST", "/parties/ALIAS/x/one", {"accountId": "BUFFALO-000002"})
    code = "error.msg.interop.unknown.data.integrity.issue"
    assert (other.status_code, other.json()["userMessageGlobalisationCode"]) == (403, code)


async def test_transfer_answers_and_books(bank):
    prepared = await bank.transfer("PREPARE")
    assert prepared.json() == {
        "transferCode": "t1",
        "completedTimestamp": "2026-09-21T17:13:20+0300",
        "transactionCode": "tx",
        "state": "ACCEPTED",
    }
    assert (await bank.member())["held"] == 4_000
    assert (await bank.transfer("CREATE")).status_code == 200
    member = await bank.member()
    assert (member["balance"], member["held"], member["msisdn"]) == (996_000, 0, MSISDN)


async def test_a_replay_gets_the_stored_answer_even_a_refusal(bank):
    refused = await bank.transfer("CREATE", key="k1")
    assert refused.status_code == 404
    assert "x-served-from-cache" not in refused.headers
    assert (await bank.transfer("PREPARE", key="k1")).status_code == 200
    replay = await bank.transfer("CREATE", key="k1")
    assert (replay.status_code, replay.headers["x-served-from-cache"]) == (404, "true")
    assert replay.content == refused.content
    assert (await bank.transfer("CREATE", key="k2")).status_code == 200
    assert (await bank.transfer("CREATE", key="k2")).headers["x-served-from-cache"] == "true"
    assert (await bank.member())["balance"] == 996_000
    assert (await bank.transfer("CREATE", key="k" * 51)).status_code == 403


async def test_a_crash_after_the_booking_leaves_the_key_unfinished(bank):
    await bank.transfer("PREPARE", key="k1")
    await bank.faults(crashAfterCommitNext=1)
    assert (await bank.transfer("CREATE", key="k1")).status_code == 500
    assert (await bank.member())["balance"] == 996_000
    assert (await bank.transfer("CREATE", key="k1")).status_code == 425
    truth = await bank.transfer("CREATE", key="k2")
    code = truth.json()["errors"][0]["userMessageGlobalisationCode"]
    assert (truth.status_code, code) == (403, "error.msg.interop.transfer.already.on.hold")


async def test_a_failure_does_nothing_and_is_not_stored(bank):
    await bank.faults(failNext=1)
    assert (await bank.transfer("PREPARE", key="k1")).status_code == 500
    assert (await bank.member())["held"] == 0
    assert (await bank.transfer("PREPARE", key="k1")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "validation.msg.InteropApi.action.cannot.be.blank"),
        ("?action=UNDO", 400, "validation.msg.InteropApi.action.is.not.one.of.expected.enumerations"),
        ("?action=create", 500, ""),
    ],
)
async def test_actions_that_are_none(bank, query, status, code):
    answer = await bank.call("POST", f"/transfers{query}", {})
    assert answer.status_code == status
    assert code in answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_object_gets_a_lone_error(bank, content):
    answer = await bank.http.post(API + "/quotes", content=content, headers=bank.headers)
    assert answer.status_code == 400
    assert answer.json()["userMessageGlobalisationCode"] == "error.msg.invalid.request.body"
    assert "errors" not in answer.json()


async def test_requests_and_stubs(bank):
    body = {
        "transactionCode": "tx",
        "requestCode": "r",
        "accountId": ACCOUNT,
        "amount": {"amount": "1", "currency": "KES"},
        "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        "extensionList": [{"key": "a", "value": "b"}],
    }
    answer = await bank.call("POST", "/requests", body)
    assert answer.json() == {
        "requestCode": "r",
        "transactionCode": "tx",
        "state": "ACCEPTED",
        "extensionList": body["extensionList"],
    }
    stub = await bank.call("GET", "/transactions/tx/requests/r")
    assert stub.json()["state"] == "REJECTED"
    for kind in ("quotes", "transfers"):
        assert (await bank.call("GET", f"/transactions/tx/{kind}/r")).status_code == 204
    assert (await bank.call("GET", "/transactions/tx/dreams/r")).status_code == 404


async def test_new_accounts_are_opened_from_the_vault(http):
    new = {
        "accountId": "NEW",
        "name": "New Member",
        "balance": "12.50",
        "msisdn": "254799",
        "subStatus": "BLOCK",
    }
    for _ in range(2):
        row = (await http.post("/banks/lion/admin/accounts", json=new)).json()
        assert (row["balance"], row["subStatus"], row["msisdn"]) == (1_250, "BLOCK", "254799")
    ledger = (await http.get("/banks/lion/admin/ledger")).json()
    assert ledger["trialBalance"] == {"debits": 12_001_250, "credits": 12_001_250}
    assert (ledger["currency"], ledger["entries"]) == ("KES", 11)
    wrong = await http.post("/banks/lion/admin/accounts", json=new | {"balance": "1e3", "accountId": "N2"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid-amount")
    unknown = await http.post("/banks/lion/admin/accounts", json=new | {"vip": True})
    assert unknown.json()["code"] == "unknown-field"


async def test_an_account_is_blocked_and_unblocked(http):
    path = "/banks/lion/admin/accounts/LION-000001/state"
    blocked = (await http.post(path, json={"subStatus": "BLOCK_CREDIT"})).json()
    assert (blocked["status"], blocked["subStatus"]) == ("ACTIVE", "BLOCK_CREDIT")
    assert (await http.post(path, json={})).json()["subStatus"] == "NONE"
    assert (await http.post(path, json={"subStatus": "LOST"})).status_code == 400
    assert (await http.post(path.replace("000001", "999999"), json={})).status_code == 404


async def test_switch_administration(http):
    participant = {
        "fspId": "lion",
        "currency": "KES",
        "callbackUrls": ["http://127.0.0.1:1"],
        "publicKeyPem": public_pem(new_private_key_pem()),
        "netDebitCap": "1000000.00",
    }
    for _ in range(2):
        assert (await http.post("/switch/admin/participants", json=participant)).status_code == 200
    assert (await http.get("/switch/admin/positions")).json() == [
        {
            "fspId": "lion",
            "currency": "KES",
            "position": 0,
            "reserved": 0,
            "settled": 0,
            "netDebitCap": 100_000_000,
        }
    ]
    assert (await http.get("/switch/admin/transfers")).json() == []
    assert (await http.get("/switch/admin/conversations")).json() == {"total": 0, "perIndex": {}}
    rule = {"payeeIdentifier": "2547", "delayQuoteMs": 5, "duplicateCallbacks": True}
    assert (await http.post("/switch/admin/rules", json=rule)).json() == rule
    assert (await http.get("/switch/admin/rules")).json() == [rule]
    bad = await http.post("/switch/admin/rules", json=rule | {"delayQuoteMs": -1})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid-field")


async def test_a_switch_that_cannot_deliver_takes_nothing(http):
    answer = await http.get("/switch/parties/MSISDN/1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/vnd.interoperability.parties+json;version=1.1"
    assert answer.json()["errorInformation"]["errorCode"] == "2003"


async def test_the_operator_moves_limits_windows_climate_and_manner(http):
    participant = {
        "fspId": "lion",
        "currency": "KES",
        "callbackUrls": ["http://127.0.0.1:1"],
        "publicKeyPem": public_pem(new_private_key_pem()),
        "netDebitCap": "5",
    }
    await http.post("/switch/admin/participants", json=participant)
    limit = {"fspId": "lion", "currency": "KES", "netDebitCap": "7.50"}
    assert (await http.post("/switch/admin/limits", json=limit)).json()["netDebitCap"] == 750
    unknown = await http.post("/switch/admin/limits", json=limit | {"currency": "TZS"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-participant")
    windows = "/switch/admin/settlement-windows"
    assert (await http.post(f"{windows}/1/settle")).json()["code"] == "window-open"
    assert (await http.post(f"{windows}/1/close")).json()["state"] == "CLOSED"
    assert (await http.post(f"{windows}/1/settle")).json()["state"] == "SETTLED"
    assert [one["state"] for one in (await http.get(windows)).json()] == ["SETTLED", "OPEN"]
    for number, code in (("9", "unknown-window"), ("x", "invalid-window"), ("²", "invalid-window")):
        assert (await http.post(f"{windows}/{number}/close")).json()["code"] == code
    climate = {"seed": 4, "lossPercent": 10}
    assert (await http.put("/switch/admin/climate", json=climate)).json() == climate
    assert (await http.get("/switch/admin/climate")).json() == climate
    bad = await http.put("/switch/admin/climate", json={"lossPercent": 101})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid-field")
    manner = {"extraProperties": True, "alwaysVersion": "2.0", "commitErrorNotification": False}
    assert (await http.put("/switch/admin/manner", json=manner)).json() == manner
    assert (await http.put("/switch/admin/manner", json={"alwaysVersion": "3.0"})).status_code == 400
    assert (await http.get("/switch/admin/manner")).json() == manner
    assert (await http.get("/switch/admin/conversions")).json() == []


async def test_a_refusal_about_conversion_is_of_version_2(http):
    answer = await http.post("/switch/fxQuotes")
    assert answer.headers["content-type"] == "application/vnd.interoperability.fxQuotes+json;version=2.0"


def administration():
    """Return every call of administration that the application serves."""
    app = create_app(SandboxSettings(residents=True), lambda: 1_790_000_000_000)
    for route in app.routes:
        if "/admin" in route.path:
            for method in route.methods - {"OPTIONS"}:
                yield method, route.path.replace("{fsp:str}", "lion")


@pytest.mark.parametrize(("method", "path"), sorted(administration()))
async def test_administration_is_for_this_machine_only(method, path):
    app = create_app(SandboxSettings(residents=True), lambda: 1_790_000_000_000)
    async with client_from(app, "192.0.2.7") as stranger:
        answer = await stranger.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (403, "loopback-only")


def test_there_is_administration_of_every_part():
    paths = {path for _, path in administration()}
    assert len(paths) >= 20
    assert {path.split("/")[1] for path in paths} == {"switch", "banks", "testbank"}
