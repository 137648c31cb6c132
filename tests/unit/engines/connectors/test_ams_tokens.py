"""OAuth2 client credentials towards a bank: cached, renewed before they end, and once after a 401."""

import asyncio
import json
from urllib.parse import parse_qs

import msgspec
import pytest
from unit.engines.connectors.connector_kit import job

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import AmsOAuth

TOKEN_URL = "https://login.test/oauth2/token"
SECRET = "geheim: ü/+"


class Server:
    """The bank behind an authorization server."""

    def __init__(self, bank):
        self.bank = bank
        self.asked = []
        self.valid = set()
        self.body = {"token_type": "Bearer", "expires_in": 300}
        self.status = 200

    async def request(self, method, url, *, headers, body, **options):
        await asyncio.sleep(0)
        if url == TOKEN_URL:
            self.asked.append((headers, parse_qs(body.decode())))
            token = f"token-{len(self.asked)}"
            self.valid.add(token)
            content = {"access_token": token, **self.body}
            return HttpAnswer(status=self.status, body=json.dumps(content).encode())
        if headers["Authorization"].removeprefix("Bearer ") not in self.valid:
            return HttpAnswer(status=401)
        return await self.bank.request(method, url, headers=headers, body=body, **options)


@pytest.fixture
def server(bank):
    return Server(bank)


@pytest.fixture
def jobs(server):
    return AmsJobs(CoreBanks(lambda _session: server))


@pytest.fixture
def secured(context, tenants, secrets) -> ConnectorContext:
    own = {}
    for name, tenant in tenants.items():
        sealed = secrets.seal(SECRET, f"ams-oauth:{name}")
        oauth = AmsOAuth(
            token_url=TOKEN_URL, client_id="payhub:1", client_secret_sealed=sealed, scope="ams money"
        )
        ams = msgspec.structs.replace(tenant.ams, oauth=oauth, username="", password_sealed="")
        own[name] = msgspec.structs.replace(tenant, ams=ams)
    return ConnectorContext(
        tenant=own.__getitem__,
        http=context.http,
        secrets=secrets,
        clock=context.clock,
        tracing=context.tracing,
    )


def ask(number=0, tenant="lion"):
    party = {"partyIdType": "MSISDN", "partyIdentifier": f"{number}"}
    return job("ams-look-up-party", {"partyId": party, "requesterFsp": "x"}, tenant)


@pytest.fixture(autouse=True)
def everybody_is_known(bank):
    bank.parties |= {f"MSISDN/{number}": "A2" for number in range(40)}


async def test_one_token_serves_many_calls_and_is_renewed_before_it_ends(jobs, server, secured, clock):
    await asyncio.gather(*(jobs.look_up_party(ask(number), secured) for number in range(10)))
    assert len(server.asked) == 1
    clock.now_ms += 289_000
    await jobs.look_up_party(ask(11), secured)
    assert len(server.asked) == 1
    clock.now_ms += 2_000
    await jobs.look_up_party(ask(12), secured)
    assert len(server.asked) == 2


async def test_the_platforms_tenant_is_not_told_to_the_authorization_server(jobs, server, secured):
    await jobs.look_up_party(ask(), secured)
    assert "Fineract-Platform-TenantId" not in server.asked[0][0]


async def test_a_token_that_was_revoked_is_renewed_once(jobs, server, secured):
    await jobs.look_up_party(ask(1), secured)
    server.valid.clear()
    await jobs.look_up_party(ask(2), secured)
    assert len(server.asked) == 2


async def test_a_bank_that_refuses_every_token_is_asked_twice_and_no_more(jobs, server, secured):
    class Closed(set):
        def add(self, _token):
            pass

    server.valid = Closed()
    with pytest.raises(JobFailedError, match="401"):
        await jobs.look_up_party(ask(), secured)
    assert len(server.asked) == 2


async def test_each_tenant_has_a_token_of_its_own(jobs, server, secured):
    await jobs.look_up_party(ask(1), secured)
    await jobs.look_up_party(ask(1, "buffalo"), secured)
    assert len(server.asked) == 2


async def test_without_a_token_nothing_is_sent_to_the_bank(jobs, server, bank, secured):
    server.status = 401
    with pytest.raises(JobFailedError, match="the bank's authorization server answers 401") as failure:
        await jobs.look_up_party(ask(), secured)
    assert failure.value.retry_after_ms == 500
    assert bank.requests == []
