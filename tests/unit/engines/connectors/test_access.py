"""How connectors are let in, at either side: tokens that many calls share, and TLS by a tenant's settings."""

import asyncio
import base64
import json
from urllib.parse import parse_qs

import msgspec
import pytest
from support.authority import Authority

from payhub_engines.connectors.access import Access, Side
from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import AmsOAuth, AmsTls, SchemeOAuth, SchemeTls

TOKEN_URL = "https://login.test/oauth2/token"
SECRET = "geheim: ü/+"
SIDES = {
    "bank": (
        Side(name="bank", secrets="ams", token_timeout_s=3, retry_after_ms=500),
        AmsOAuth,
        AmsTls,
    ),
    "scheme": (
        Side(name="scheme", secrets="scheme", token_timeout_s=3, retry_after_ms=500),
        SchemeOAuth,
        SchemeTls,
    ),
}


class Connection:
    """What an access is asked for."""

    def __init__(self, oauth=None, tls=None) -> None:
        self.oauth = oauth
        self.tls = tls


class Server:
    """An authorization server; ``answer`` replaces what it gives, ``open`` holds it back."""

    def __init__(self) -> None:
        self.asked = []
        self.body = {"token_type": "Bearer", "expires_in": 300}
        self.answer = None
        self.open = asyncio.Event()
        self.open.set()

    async def request(self, method, url, *, headers, body, timeout_s, tls):
        assert (method, url, timeout_s) == ("POST", TOKEN_URL, 3)
        self.asked.append((headers, parse_qs(body.decode()), tls))
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        content = {"access_token": f"token-{len(self.asked)}", **self.body}
        return self.answer or HttpAnswer(status=200, body=json.dumps(content).encode())


@pytest.fixture(params=SIDES)
def side(request):
    return SIDES[request.param]


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def access(side):
    return Access(side[0])


@pytest.fixture
def connect(side, secrets):
    """Return a tenant's connection with OAuth2."""

    def connection(tenant="lion", tls=None):
        sealed = secrets.seal(SECRET, f"{side[0].secrets}-oauth:{tenant}")
        oauth = side[1](
            token_url=TOKEN_URL, client_id="payhub:1", client_secret_sealed=sealed, scope="ams money"
        )
        return Connection(oauth, tls)

    return connection


@pytest.fixture
def token(access, context, server, connect):
    lion = connect()

    async def asked(connection=lion, tenant="lion"):
        return await access.token(tenant, connection, context, server)

    return asked


@pytest.fixture
def tls(side, secrets):
    """Return TLS settings with a certificate, its key sealed for a tenant."""

    def settings(ca_pem="", certificate="", key="", tenant="lion"):
        sealed = secrets.seal(key, f"{side[0].secrets}-tls:{tenant}") if key else ""
        return side[2](ca_pem=ca_pem, certificate_pem=certificate, private_key_sealed=sealed)

    return settings


async def test_one_token_serves_many_calls_and_is_renewed_before_it_ends(token, server, clock):
    server.open.clear()
    calls = [asyncio.create_task(token()) for _ in range(10)]
    await asyncio.sleep(0)
    server.open.set()
    assert {given.header for given in await asyncio.gather(*calls)} == {"Bearer token-1"}
    clock.now_ms += 289_000
    assert (await token()).value == "token-1"
    clock.now_ms += 2_000
    assert (await token()).value == "token-2"


async def test_the_request_is_rfc_6749s(token, server):
    await token()
    headers, form, _ = server.asked[0]
    pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "payhub%3A1:geheim%3A+%C3%BC%2F%2B"
    assert form == {"grant_type": ["client_credentials"], "scope": ["ams money"]}


async def test_calls_that_wait_for_a_server_that_is_down_hear_of_it_together(token, server):
    server.open.clear()
    server.answer = UnreachableError("down")
    calls = [asyncio.create_task(token()) for _ in range(10)]
    await asyncio.sleep(0)
    server.open.set()
    heard = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in heard] == [UnreachableError] * 10
    assert len(server.asked) == 1
    server.answer = None
    assert (await token()).value == "token-2"


async def test_a_call_that_is_given_up_takes_the_token_from_nobody(token, server):
    server.open.clear()
    first, second = asyncio.create_task(token()), asyncio.create_task(token())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    server.open.set()
    assert (await second).value == "token-1"
    assert first.cancelled()


async def test_a_refused_token_is_forgotten_and_the_one_in_its_place_is_not(token, access, connect, context):
    connection = connect()
    old = await token(connection)
    access.refused("lion", connection, context, old)
    new = await token(connection)
    access.refused("lion", connection, context, old)
    assert old is not new
    assert await token(connection) is new


async def test_tenants_and_settings_have_tokens_of_their_own(token, connect, server):
    lion, buffalo = connect(), connect("buffalo")
    changed = Connection(msgspec.structs.replace(lion.oauth, scope="other"))
    await token(lion)
    await token(buffalo, "buffalo")
    await token(changed)
    await token(lion)
    assert len(server.asked) == 3


async def test_where_no_token_is_wanted_none_is_asked_for(token, server):
    assert await token(Connection()) is None
    assert server.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"token_type": "mac"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": None},
        {"token_type": 3},
        {"expires_in": "soon"},
    ],
)
async def test_what_is_no_bearer_token_is_not_used(token, server, body):
    server.body |= body
    with pytest.raises(JobFailedError, match="authorization server answers with no"):
        await token()


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b'{"token_type":"bearer"}', b'{"a":' + b"[" * 100_000, b"\xff"]
)
async def test_what_is_no_answer_of_oauth2_fails_the_job(token, server, body):
    server.answer = HttpAnswer(status=200, body=body)
    with pytest.raises(JobFailedError, match="authorization server answers with no"):
        await token()


@pytest.mark.parametrize("status", [400, 401, 500, 302])
async def test_a_refusal_of_the_authorization_server_fails_the_job(token, server, status):
    server.answer = HttpAnswer(status=status)
    with pytest.raises(JobFailedError, match=f"authorization server answers {status}") as failure:
        await token()
    assert failure.value.retry_after_ms == 500


@pytest.mark.parametrize(("life", "kept_ms"), [(None, 49_000), (2, 900), (0, 0), (-5, 0), (1e12, 80_000_000)])
async def test_the_life_of_a_token_is_bounded(token, server, clock, life, kept_ms):
    server.body["expires_in"] = life
    await token()
    clock.now_ms += kept_ms
    await token()
    assert len(server.asked) == (1 if kept_ms else 2)


async def test_a_context_is_made_once_for_a_tenants_settings(access, connect, context, server, tls):
    authority = Authority("authority")
    settings = tls(authority.pem, *authority.issue("lion"))
    connection = connect(tls=settings)
    made = access.tls("lion", connection, context)
    assert access.tls("lion", Connection(tls=settings), context) is made
    await access.token("lion", connection, context, server)
    assert server.asked[0][2] is made
    assert access.tls("lion", Connection(tls=tls(Authority("other").pem)), context) is not made
    assert access.tls("buffalo", Connection(tls=tls(authority.pem)), context) is not made
    assert access.tls("lion", Connection(), context) is None


def test_settings_that_do_not_fit_together_fail_the_job_and_say_so(access, context, tls):
    authority = Authority("authority")
    certificate, _ = authority.issue("lion")
    for unusable in (
        tls(authority.pem, certificate, authority.issue("other")[1]),
        tls(authority.pem, certificate),
        tls(authority.pem, certificate, "no key"),
        tls(authority.pem, *authority.issue("lion", password=b"secret")),
        tls("no certificate"),
    ):
        with pytest.raises(JobFailedError, match="TLS settings are not usable") as failure:
            access.tls("lion", Connection(tls=unusable), context)
        assert failure.value.retry_after_ms == 60_000
