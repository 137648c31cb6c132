"""How an engine is let in at a scheme: tokens, certificates, and what is signed."""

import json
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from support.authority import Authority
from unit.engines.connectors.connector_kit import job

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer
from payhub_engines.connectors.job import JobFailedError
from payhub_engines.connectors.mojaloop.client import FspiopClient, SchemeRefusalError
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import answer, ask
from payhub_platform.contracts.fspiop import Party, PartyIdInfo, PartyResponse
from payhub_platform.contracts.tenant import SchemeOAuth, SchemeTls

TOKEN_URL = "https://idp.test/token"
PARTY = PartyResponse(
    party=Party(party_id_info=PartyIdInfo(party_id_type="MSISDN", party_identifier="1", fsp_id="buffalo"))
)


class Scheme:
    """A scheme behind an authorization server: gives tokens, takes messages that carry the last one."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.sent: list[dict[str, str]] = []
        self.contexts: list[Any] = []
        self.life_s: int | None = 600
        self.token = "token-0"
        self.token_answer: HttpAnswer | None = None
        self.status = 202
        self.body = b""

    async def request(self, _method, url, *, headers, body, timeout_s, tls=None, **_options) -> HttpAnswer:
        assert timeout_s > 0
        self.contexts.append(tls)
        if url == TOKEN_URL:
            self.asked.append(parse_qs(body.decode()) | {"authorization": [headers["Authorization"]]})
            self.token = f"token-{len(self.asked)}"
            if self.token_answer is not None:
                return self.token_answer
            told = {"access_token": self.token, "token_type": "bearer"}
            told |= {} if self.life_s is None else {"expires_in": self.life_s}
            return HttpAnswer(status=200, body=json.dumps(told).encode())
        self.sent.append(dict(headers))
        given = headers.get("Authorization", "")
        if given and given != f"Bearer {self.token}":
            return HttpAnswer(status=401)
        return HttpAnswer(status=self.status, body=self.body)


@pytest.fixture
def scheme():
    return Scheme()


@pytest.fixture
def deliver(scheme, context, buffalo, secrets):
    client = FspiopClient(lambda _session: scheme, KeyRing())

    async def delivered(message=None, **settings):
        tenant = msgspec.structs.replace(buffalo, scheme=msgspec.structs.replace(buffalo.scheme, **settings))
        own = ConnectorContext(
            tenant=lambda _: tenant,
            http=context.http,
            secrets=secrets,
            clock=context.clock,
            tracing=context.tracing,
        )
        await client.deliver(job("any", {}), own, message or ask("parties", "MSISDN", "1"))

    return delivered


@pytest.fixture
def oauth(secrets):
    sealed = secrets.seal("s e/cret", "scheme-oauth:buffalo")
    return SchemeOAuth(token_url=TOKEN_URL, client_id="buffalo", client_secret_sealed=sealed, scope="fspiop")


async def test_a_token_is_asked_for_once_and_renewed_before_it_ends(deliver, scheme, oauth, clock):
    for _ in range(3):
        await deliver(oauth=oauth)
    assert [headers["Authorization"] for headers in scheme.sent] == ["Bearer token-1"] * 3
    assert scheme.asked[0]["grant_type"] == ["client_credentials"]
    assert scheme.asked[0]["scope"] == ["fspiop"]
    assert scheme.asked[0]["authorization"][0].startswith("Basic ")
    clock.now_ms += 595_000
    await deliver(oauth=oauth)
    assert scheme.sent[-1]["Authorization"] == "Bearer token-2"


async def test_a_refused_token_is_replaced(deliver, scheme, oauth):
    await deliver(oauth=oauth)
    scheme.token = "revoked-by-the-server"
    with pytest.raises(JobFailedError):
        await deliver(oauth=oauth)
    await deliver(oauth=oauth)
    assert len(scheme.asked) == 2


async def test_without_a_token_nothing_is_sent_and_it_is_tried_again(deliver, scheme, oauth):
    scheme.token_answer = HttpAnswer(status=401)
    with pytest.raises(JobFailedError, match="the scheme's authorization server answers 401") as failure:
        await deliver(oauth=oauth)
    assert failure.value.retry_after_ms == 1_000
    assert scheme.sent == []


async def test_a_scheme_without_an_authorization_server_gets_no_token(deliver, scheme):
    await deliver()
    assert "Authorization" not in scheme.sent[0]
    assert scheme.asked == []


async def test_a_tenant_shows_its_own_certificate(deliver, scheme, secrets, oauth):
    authority = Authority("scheme authority")
    certificate, key = authority.issue("buffalo")
    tls = SchemeTls(
        ca_pem=authority.pem,
        certificate_pem=certificate,
        private_key_sealed=secrets.seal(key, "scheme-tls:buffalo"),
    )
    await deliver(tls=tls, oauth=oauth)
    await deliver(tls=tls, oauth=oauth)
    first, *others = scheme.contexts
    assert first is not None
    assert all(context is first for context in others)
    await deliver(tls=msgspec.structs.replace(tls, ca_pem=Authority("another").pem), oauth=oauth)
    assert scheme.contexts[-1] is not first


async def test_unusable_certificates_are_said_and_nothing_is_sent(deliver, scheme):
    with pytest.raises(JobFailedError, match="the scheme's TLS settings"):
        await deliver(tls=SchemeTls(ca_pem="no certificate"))
    assert scheme.sent == []


@pytest.mark.parametrize(
    ("settings", "is_signed"), [({}, True), ({"signs": False}, False), ({"signs_parties": False}, False)]
)
async def test_a_scheme_says_whether_messages_are_signed(deliver, scheme, settings, is_signed):
    await deliver(answer(PARTY, "MSISDN", "1", to="lion"), **settings)
    assert ("FSPIOP-Signature" in scheme.sent[0]) == is_signed


@pytest.mark.parametrize("status", [400, 404, 405, 406, 501])
async def test_a_refusal_keeps_the_switchs_code(deliver, scheme, status):
    scheme.status = status
    spoken = [{"key": "1", "value": "1"}]  # as a bare array, which some peers write
    told = {"errorCode": "3001", "errorDescription": "x", "extensionList": spoken}
    scheme.body = json.dumps({"errorInformation": told}).encode()
    with pytest.raises(SchemeRefusalError) as refusal:
        await deliver()
    assert refusal.value.code == "3001"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"x":' + b"[" * 100_000])
async def test_a_refusal_without_a_code_is_a_refusal(deliver, scheme, body):
    scheme.status, scheme.body = 400, body
    with pytest.raises(SchemeRefusalError) as refusal:
        await deliver()
    assert refusal.value.code == "3000"


async def test_an_identifier_that_looks_like_an_id_stays_what_it_is_in_iso_20022(deliver, scheme):
    alias = "4e35e8a4-7d4d-5d3b-9a55-0f6f3f1a2b3c"
    await deliver(answer(PARTY, "ALIAS", alias, to="lion"), iso20022=True, versions=("2.0",))
    assert scheme.sent[0]["FSPIOP-URI"] == f"/parties/ALIAS/{alias}"
