"""A switch behind mutual TLS and an authorization server, over real sockets."""

import ssl
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.authority import Authority
from unit.engines.connectors.connector_kit import NOW_MS, job, make_tenant

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import SharedConnections
from payhub_engines.connectors.job import JobFailedError
from payhub_engines.connectors.mojaloop.client import FspiopClient
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import answer, ask
from payhub_platform.contracts.fspiop import TransferFulfil
from payhub_platform.contracts.tenant import SchemeOAuth, SchemeTls
from payhub_platform.http_client import HttpClient
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

FULFIL = TransferFulfil(transfer_state="RESERVED", fulfilment="A" * 43)


class Switch:
    """Takes messages of whoever shows a certificate of the authority and a token that it gave."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        certificate, key = authority.issue("switch")
        (folder / "switch.pem").write_text(certificate + key)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_cert_chain(folder / "switch.pem")
        self.taken: list[tuple[str, str, bytes]] = []
        self.tokens: set[str] = set()

    async def serve(self, request: web.Request) -> web.Response:
        """Give a token, or take a message."""
        if request.path == "/token":
            form = await request.post()
            assert form["grant_type"] == "client_credentials"
            token = f"token-{len(self.tokens)}"
            self.tokens.add(token)
            return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 300})
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.Response(status=401)
        shown = request.transport.get_extra_info("peercert")
        subject = dict(pair[0] for pair in shown["subject"])["commonName"]
        self.taken.append((subject, request.headers["FSPIOP-Source"], await request.read()))
        return web.Response(status=202)


@pytest.fixture
async def house(tmp_path):
    """Two institutions at one switch, and a function that sends in the name of one."""
    authority, secrets = Authority("scheme authority"), SecretBox(SecretBox.new_key())
    switch = Switch(authority, tmp_path)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", switch.serve)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=switch.tls)
    url = f"https://localhost:{server.port}"
    tenants = {}
    for fsp in ("buffalo", "lion"):
        tenant = make_tenant(secrets, fsp, jws.new_private_key_pem())
        certificate, key = authority.issue(fsp)
        scheme = msgspec.structs.replace(
            tenant.scheme,
            base_url=f"{url}/switch",
            tls=SchemeTls(
                ca_pem=authority.pem,
                certificate_pem=certificate,
                private_key_sealed=secrets.seal(key, f"scheme-tls:{fsp}"),
            ),
            oauth=SchemeOAuth(
                token_url=f"{url}/token",
                client_id=fsp,
                client_secret_sealed=secrets.seal("secret", f"scheme-oauth:{fsp}"),
            ),
        )
        tenants[fsp] = msgspec.structs.replace(tenant, scheme=scheme)
    session = HttpClient()
    context = ConnectorContext(
        tenant=tenants.__getitem__,
        http=session,
        secrets=secrets,
        clock=lambda: NOW_MS,
        tracing=Tracing("test"),
    )
    client = FspiopClient(SharedConnections, KeyRing())

    async def deliver(fsp, message):
        await client.deliver(job("any", {}, fsp), context, message)

    yield switch, tenants, deliver
    await session.close()
    await server.close()


async def test_each_tenant_shows_its_own_certificate_over_one_pool_of_connections(house):
    switch, _, deliver = house
    for fsp in ("buffalo", "lion", "buffalo", "lion"):
        await deliver(fsp, answer(FULFIL, "1", to="rhino"))
    assert [(subject, source) for subject, source, _ in switch.taken] == [
        ("buffalo", "buffalo"),
        ("lion", "lion"),
    ] * 2
    assert len(switch.tokens) == 2
    assert switch.taken[0][2] == msgspec.json.encode(FULFIL)


async def test_a_token_that_the_switch_forgot_is_replaced(house):
    switch, _, deliver = house
    await deliver("lion", ask("parties", "MSISDN", "1"))
    switch.tokens.clear()
    with pytest.raises(JobFailedError, match="401"):
        await deliver("lion", ask("parties", "MSISDN", "1"))
    switch.tokens.add("token-of-another")
    await deliver("lion", ask("parties", "MSISDN", "1"))
    assert len(switch.taken) == 2


@pytest.mark.parametrize("change", [{"certificate_pem": ""}, {"ca_pem": ""}])
async def test_without_certificate_or_trust_nothing_is_sent(house, change):
    switch, tenants, deliver = house
    scheme = tenants["lion"].scheme
    tls = msgspec.structs.replace(scheme.tls, **change)
    tenants["lion"] = msgspec.structs.replace(
        tenants["lion"], scheme=msgspec.structs.replace(scheme, tls=tls)
    )
    with pytest.raises(JobFailedError):
        await deliver("lion", answer(FULFIL, "1", to="rhino"))
    assert switch.taken == []
    assert switch.tokens == set()
