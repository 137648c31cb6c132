"""The connector against the sandbox's bank, which was written apart from it, with and without the quirks."""

import msgspec
import pytest
from support.asgi_client import AsgiClient
from unit.engines.connectors.connector_kit import NOW_MS, job

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, JobFailedError
from payhub_sandbox.app import create_app
from payhub_sandbox.settings import SandboxSettings

BASE = "http://sandbox.test"
PAYER = {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}


@pytest.fixture(params=[True, False], ids=["quirks", "mended"])
def client(request):
    return AsgiClient(create_app(SandboxSettings(quirks=request.param), lambda: NOW_MS), BASE)


@pytest.fixture
def ams(client):
    return AmsJobs(CoreBanks(lambda _session: client))


@pytest.fixture
def sandboxed(context, buffalo, secrets):
    ams = msgspec.structs.replace(
        buffalo.ams,
        base_url=f"{BASE}/banks/buffalo/fineract-provider/api/v1",
        password_sealed=secrets.seal("buffalo-sandbox", "ams:buffalo"),
    )
    tenant = msgspec.structs.replace(buffalo, ams=ams)
    return ConnectorContext(
        tenant=lambda _name: tenant,
        http=context.http,
        secrets=secrets,
        clock=context.clock,
        tracing=context.tracing,
    )


async def books(client, account="BUFFALO-000001"):
    answer = await client.http.get("/banks/buffalo/admin/ledger")
    return next(
        (row["balance"], row["held"]) for row in answer.json()["accounts"] if row["accountId"] == account
    )


async def fault(client, **faults):
    answer = await client.http.post("/banks/buffalo/admin/faults", json=faults)
    assert answer.status_code == 200


async def until_done(ams, context, kind, variables, attempts=6):
    handler = ams.handlers()[kind]
    for attempt in range(1, attempts + 1):
        try:
            return await handler(job(kind, variables, attempt=attempt), context)
        except JobFailedError:
            continue
    raise AssertionError(f"{kind} was never done")


async def test_a_payment_is_reserved_and_taken(ams, client, sandboxed, started):
    told = await ams.quote_payer(job("ams-quote-payer", started), sandboxed)
    funded = {**started, **told}
    assert told == {"payerAccount": "BUFFALO-000001", "payerFee": "0.00"}
    await ams.reserve(job("ams-reserve", funded), sandboxed)
    assert await books(client) == (1_000_000, 10_050)
    await ams.commit(job("ams-commit", funded), sandboxed)
    assert await books(client) == (989_950, 0)


@pytest.mark.parametrize("crashes", [1, 2, 3])
async def test_crashes_between_booking_and_answer_double_nothing(ams, client, sandboxed, started, crashes):
    funded = {**started, "payerAccount": "BUFFALO-000001", "payerFee": "0.00"}
    await fault(client, crashAfterCommitNext=crashes)
    try:
        await until_done(ams, sandboxed, "ams-reserve", funded)
    except BpmnError:  # where the books cannot be asked, the hold is let go
        assert await books(client) == (1_000_000, 0)
        return
    assert await books(client) == (1_000_000, 10_050)
    await fault(client, crashAfterCommitNext=crashes)
    await until_done(ams, sandboxed, "ams-commit", funded)
    assert await books(client) == (989_950, 0)


async def test_a_payer_without_funds_is_left_with_nothing_held(ams, client, sandboxed, started):
    funded = {**started, "payerAccount": "BUFFALO-000005", "payerFee": "0.00"}
    with pytest.raises(BpmnError, match="payer-refused"):
        await ams.reserve(job("ams-reserve", funded), sandboxed)
    assert await books(client, "BUFFALO-000005") == (500, 0)


async def test_an_account_that_was_closed_meanwhile_is_refused_at_once(ams, client, sandboxed, started):
    """Fineract refuses the release of it too: that must not keep the payment waiting."""
    funded = {**started, "payerAccount": "BUFFALO-000001", "payerFee": "0.00"}
    closed = {"status": "CLOSED", "subStatus": "NONE"}
    await client.http.post("/banks/buffalo/admin/accounts/BUFFALO-000001/state", json=closed)
    with pytest.raises(BpmnError, match="payer-refused") as caught:
        await ams.reserve(job("ams-reserve", funded), sandboxed)
    assert caught.value.variables["error"]["code"] == "4400"


async def test_a_hold_on_an_account_that_was_closed_is_left_to_people(ams, client, sandboxed, started):
    funded = {**started, "payerAccount": "BUFFALO-000001", "payerFee": "0.00"}
    await ams.reserve(job("ams-reserve", funded), sandboxed)
    closed = {"status": "CLOSED", "subStatus": "NONE"}
    await client.http.post("/banks/buffalo/admin/accounts/BUFFALO-000001/state", json=closed)
    with pytest.raises(JobFailedError, match="RELEASE: refused") as caught:
        await ams.release(job("ams-release", funded), sandboxed)
    assert caught.value.retry_after_ms >= 60_000
    assert await books(client) == (1_000_000, 10_050)


async def test_a_release_lets_go_once_and_again(ams, client, sandboxed, started):
    funded = {**started, "payerAccount": "BUFFALO-000001", "payerFee": "0.00"}
    await ams.reserve(job("ams-reserve", funded), sandboxed)
    for attempt in (1, 2, 3):
        await ams.release(job("ams-release", funded, attempt=attempt), sandboxed)
    assert await books(client) == (1_000_000, 0)


async def test_an_account_is_told(ams, sandboxed):
    told = await ams.look_up_account(job("ams-look-up-account", {"partyId": PAYER}), sandboxed)
    assert told["account"]["available"] == "10000.00"
    assert {"type": "MSISDN", "value": "254700200001"} in told["accountIdentifiers"]


async def test_wrong_credentials_are_a_failure_and_no_refusal(ams, sandboxed, buffalo, secrets, context):
    sealed = secrets.seal("wrong", "ams:buffalo")
    tenant = msgspec.structs.replace(
        buffalo, ams=msgspec.structs.replace(sandboxed.tenant("buffalo").ams, password_sealed=sealed)
    )
    wrong = ConnectorContext(
        tenant=lambda _name: tenant,
        http=context.http,
        secrets=secrets,
        clock=context.clock,
        tracing=context.tracing,
    )
    with pytest.raises(JobFailedError, match="401"):
        await ams.look_up_account(job("ams-look-up-account", {"partyId": PAYER}), wrong)
