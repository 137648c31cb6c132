"""The control plane calls a core bank of the AMS contract and a switch behind mutual TLS and OAuth2."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from support.authority import Authority

from payhub_platform.security import jws
from payhub_tenants.calls import Calls, Login, http_session
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.model import PartyIdentifier
from payhub_tenants.identifiers.remote import AmsAccess, FspiopParticipants, PartiesByKind, SchemeAccess

MEMBER = PartyIdentifier(
    tenant_id="buffalo",
    type="MSISDN",
    value="254700200001",
    sub_id="",
    account_id="B-1",
    state="pending",
    reason="",
    attempted_at_ms=0,
)


class Outside:
    """An authorization server, a core bank and a switch, for whoever shows certificate and token."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        certificate, key = authority.issue("outside")
        (folder / "outside.pem").write_text(certificate + key)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_cert_chain(folder / "outside.pem")
        self.tokens: list[str] = []
        self.accounts = {"254700200001": "B-1", "254700200002/till": "B-2"}
        self.code = "unknown-identifier"

    async def serve(self, request: web.Request) -> web.Response:
        if request.path == "/token":
            if request.headers["Authorization"] != "Basic cGF5aHViOmElMkZzZWNyZXQ=":  # payhub:a%2Fsecret
                return web.Response(status=401)
            self.tokens.append(f"token-{len(self.tokens)}")
            return web.json_response({"access_token": self.tokens[-1], "token_type": "Bearer"})
        if request.headers.get("Authorization") != f"Bearer {self.tokens[-1]}":
            return web.Response(status=401)
        if request.path.startswith("/switch/participants/"):
            return web.Response(status=202)
        value = "/".join([request.path.split("/")[-1], *request.query.values()])
        account = self.accounts.get(value)
        if account is None:
            return web.json_response({"code": self.code}, status=404)
        return web.json_response({"accountId": account})


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Outside, Calls, str, Login]]:
    authority = Authority("authority of the bank")
    outside = Outside(authority, tmp_path)
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", outside.serve)
    certificate, key = authority.issue("buffalo")
    async with http_session() as session:
        server = TestServer(application, scheme="https")
        await server.start_server(ssl=outside.tls)
        url = f"https://127.0.0.1:{server.port}"
        login = Login(
            ca_pem=authority.pem,
            certificate_pem=certificate,
            private_key_pem=key,
            token_url=f"{url}/token",
            client_id="payhub",
            client_secret="a/secret",
        )
        yield outside, Calls(session), url, login
        await server.close()


async def test_the_bank_of_the_contract_keeps_its_own_directory(
    house: tuple[Outside, Calls, str, Login],
) -> None:
    outside, calls, url, login = house
    parties = PartiesByKind(calls)
    access = AmsAccess(kind="contract", base_url=url, platform_tenant="", login=login)
    await parties.check(access)
    await parties.ensure(access, MEMBER)
    await parties.ensure(access, replace(MEMBER, value="254700200002", sub_id="till", account_id="B-2"))
    await parties.withdraw(access, MEMBER)
    assert outside.tokens == ["token-0"]  # asked for once
    outside.tokens.append("another")  # the server takes the token back
    await parties.check(access)
    assert len(outside.tokens) == 3
    for identifier, code in (
        (replace(MEMBER, account_id="B-9"), "account-mismatch"),
        (replace(MEMBER, value="254700200003"), "ams-refused"),
    ):
        with pytest.raises(RegistrationError, match=code):
            await parties.ensure(access, identifier)
    outside.code = "something-else"  # a page of a proxy is no answer of the bank
    with pytest.raises(RegistrationError, match="HTTP 404"):
        await parties.check(access)


async def test_who_is_not_let_in_is_told_why(house: tuple[Outside, Calls, str, Login]) -> None:
    _, calls, url, login = house
    parties = PartiesByKind(calls)

    async def refused(changed: Login) -> str:
        access = AmsAccess(kind="contract", base_url=url, platform_tenant="", login=changed)
        with pytest.raises(RegistrationError) as caught:
            await parties.check(access)
        return str(caught.value)

    assert "gives no token (HTTP 401)" in await refused(replace(login, client_secret="wrong"))
    assert "ams-unreachable: No answer" in await refused(replace(login, ca_pem=""))
    assert "ams-unreachable" in await refused(replace(login, certificate_pem="", private_key_pem=""))
    assert "not usable" in await refused(replace(login, private_key_pem="no key"))


async def test_the_switch_is_asked_with_certificate_and_token(
    house: tuple[Outside, Calls, str, Login],
) -> None:
    outside, calls, url, login = house
    scheme = FspiopParticipants(calls, lambda: 1_780_000_000_000)
    key = jws.load_private_key(jws.new_private_key_pem())
    access = SchemeAccess(base_url=f"{url}/switch", fsp_id="buffalo", currency="KES", key=key, login=login)
    await scheme.check(access)
    await scheme.register(access, MEMBER)
    await scheme.withdraw(access, MEMBER)
    assert outside.tokens == ["token-0"]
    with pytest.raises(RegistrationError, match="scheme-refused"):
        await scheme.check(replace(access, base_url=f"{url}/elsewhere"))  # a 404 that is not FSPIOP's
