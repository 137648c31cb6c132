"""Banks with an authority of their own that ask for a certificate, over real TLS."""

import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.authority import Authority

from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import SharedConnections, UnreachableError
from payhub_platform.contracts.tenant import AmsConnection, AmsTls
from payhub_platform.http_client import HttpClient
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

SECRETS = SecretBox(SecretBox.new_key())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("bank authority")


@pytest.fixture
async def bank(authority, tmp_path):
    """A bank that answers only who shows a certificate of its authority."""
    certificate, key = authority.issue("bank")
    (tmp_path / "bank.pem").write_text(certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem)
    context.load_cert_chain(tmp_path / "bank.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        return web.json_response({"subject": peer["subject"][0][0][1]})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", who)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    yield server
    await server.close()


async def ask(bank, tls: AmsTls | None, transport: BankTransport | None = None):
    connection = AmsConnection(
        base_url=str(bank.make_url("/payhub")),
        username="payhub",
        password_sealed=SECRETS.seal("secret", "ams:buffalo"),
        kind="contract",
        tls=tls,
    )
    async with HttpClient() as session:
        context = ConnectorContext(
            tenant=lambda _name: None, http=session, secrets=SECRETS, clock=lambda: 0, tracing=Tracing("test")
        )
        call = BankCall(
            context=context, tenant_id="buffalo", connection=connection, payment="p", element="e", trace=""
        )
        request = BankRequest(method="GET", path=("accounts", "A1"), name="GET accounts")
        return await (transport or BankTransport(SharedConnections)).send(call, request)


def settings(authority: Authority, certificate: str = "", key: str = "") -> AmsTls:
    sealed = SECRETS.seal(key, "ams-tls:buffalo") if key else ""
    return AmsTls(ca_pem=authority.pem, certificate_pem=certificate, private_key_sealed=sealed)


async def test_both_sides_know_one_another(bank, authority):
    tls = settings(authority, *authority.issue("payhub"))
    transport = BankTransport(SharedConnections)
    for _ in range(2):
        answer = await ask(bank, tls, transport)
        assert (answer.status, answer.body) == (200, b'{"subject": "payhub"}')


async def test_a_bank_of_another_authority_is_not_spoken_to(bank, authority):
    with pytest.raises(UnreachableError):
        await ask(bank, settings(Authority("somebody"), *authority.issue("payhub")))
    with pytest.raises(UnreachableError):
        await ask(bank, None)


async def test_a_bank_that_asks_who_we_are_hears_it_or_nothing(bank, authority):
    with pytest.raises(UnreachableError):
        await ask(bank, settings(authority))
    with pytest.raises(UnreachableError):
        await ask(bank, settings(authority, *Authority("somebody").issue("payhub")))


async def test_the_private_key_is_left_in_no_file(bank, authority, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    await ask(bank, settings(authority, *authority.issue("payhub")))
    assert [path.name for path in tmp_path.iterdir()] == ["bank.pem"]
