"""A gateway that ends TLS itself: tokens bound to the certificate that a client shows in it."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey
from unit.gateway.gateway_kit import assertion, oauth_client, tenant_config

from payhub_gateway.oauth2.model import ASSERTION_TYPE
from payhub_gateway.settings import GatewaySettings
from payhub_platform.errors import InvalidInputError
from payhub_platform.settings import load

KEY = ECKey.generate_key("P-256")
START_WAIT_S = 30.0


class Authority:
    """Signs certificates and keeps them, with their keys, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = (
            self._builder(subject, key)
            .add_extension(address, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pkcs8 = serialization.PrivateFormat.PKCS8
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return str(files[0]), str(files[1])

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        return made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))


class Running:
    """A gateway process, and who may sign its clients' certificates."""

    def __init__(self, url: str, authority: Authority, lions: Authority, trusted: Path) -> None:
        self.url = url
        self.authority = authority
        self.lions = lions
        self._trusted = trusted

    def client(self, shown: tuple[str, str] | None) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=self.context(shown))

    def context(self, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._trusted)
        if shown is not None:
            context.load_cert_chain(*shown)
        return context


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unused_tcp_port_factory: Callable[[], int],
) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("tls"), unused_tcp_port_factory()
    servers, clients = Authority(folder, "servers"), Authority(folder, "clients")
    lions = Authority(folder, "lions")
    certificate, key = servers.issue("gateway")
    data = folder / "data"
    data.mkdir()
    own = [lions.file.read_text()]
    tenants = [
        tenant_config("buffalo", [oauth_client("ussd", KEY)]),
        tenant_config("lion", [oauth_client("lion-ussd", KEY)], channel_authorities=own),
    ]
    for worker in ("", "-1", "-2"):
        (data / f"tenants{worker}.cache").write_bytes(msgspec.msgpack.encode(tenants))
    environment = {
        **os.environ,
        "PAYHUB_PORT": str(port),
        "PAYHUB_DATA_DIR": str(data),
        "PAYHUB_NATS_URL": "nats://127.0.0.1:1",
        "PAYHUB_INTERNAL_TOKEN": "secret",
        "PAYHUB_ENGINES": json.dumps({"north": "http://127.0.0.1:1"}),
        "PAYHUB_TLS_CERT": certificate,
        "PAYHUB_TLS_KEY": key,
        "PAYHUB_CLIENT_CA": str(clients.file),
        "PAYHUB_WORKERS": str(request.param),
    }
    process = subprocess.Popen([sys.executable, "-m", "payhub_gateway"], env=environment)
    held = Running(f"https://127.0.0.1:{port}", clients, lions, servers.file)
    try:
        wait_until_ready(held, process)
        yield held
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()


def wait_until_ready(gateway: Running, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WAIT_S
    with httpx.Client(base_url=gateway.url, verify=gateway.context()) as http:
        while True:
            assert process.poll() is None
            try:
                assert http.get("/health/ready").status_code == 200
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return


async def ask_token(gateway: Running, http: httpx.AsyncClient, client: str = "ussd") -> httpx.Response:
    now_s = int(time.time())
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(KEY, client, aud=gateway.url, iat=now_s, exp=now_s + 60),
    }
    return await http.post("/oauth2/token", data=form)


async def ask_usage(http: httpx.AsyncClient, token: str) -> tuple[int, str | None]:
    answer = await http.get("/v1/usage", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code")


async def test_a_token_is_good_over_its_clients_connections_alone(gateway: Running):
    ours, other = gateway.authority.issue("ours"), gateway.authority.issue("other")
    async with gateway.client(ours) as http:
        given = await ask_token(gateway, http)
        assert (given.status_code, given.json()["token_type"]) == (200, "Bearer")
        token = given.json()["access_token"]
        assert await ask_usage(http, token) == (200, None)
    async with gateway.client(ours) as http:
        assert await ask_usage(http, token) == (200, None)
    for shown in (other, None):
        async with gateway.client(shown) as http:
            assert await ask_usage(http, token) == (401, "invalid-token")


async def test_a_tenants_own_authority_opens_connections_and_vouches_for_its_clients_alone(gateway: Running):
    ours, lions = gateway.authority.issue("ours"), gateway.lions.issue("lions-till")
    for shown, client, status in (
        (lions, "lion-ussd", 200),
        (lions, "ussd", 400),
        (ours, "lion-ussd", 400),
        (ours, "ussd", 200),
    ):
        async with gateway.client(shown) as http:
            given = await ask_token(gateway, http, client)
            assert given.status_code == status, (client, given.text)
            if status == 200:
                assert await ask_usage(http, given.json()["access_token"]) == (200, None)


async def test_without_certificate_and_proof_there_is_no_token(gateway: Running):
    async with gateway.client(None) as http:
        answer = await ask_token(gateway, http)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_certificate_of_another_authority_opens_no_connection(gateway: Running, tmp_path: Path):
    (tmp_path / "foreign").mkdir()
    foreign = Authority(tmp_path / "foreign", "foreign").issue("ours")
    async with gateway.client(foreign) as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/health/ready")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_versions_and_ciphers_are_refused(gateway: Running):
    host, port = httpx.URL(gateway.url).host, httpx.URL(gateway.url).port
    old, weak, good = gateway.context(), gateway.context(), gateway.context()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak.maximum_version = good.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM")
    for context in (old, weak):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, port, ssl=context)
    _, writer = await asyncio.open_connection(host, port, ssl=good)
    assert "GCM" in writer.get_extra_info("cipher")[0]
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "files",
    [{"PAYHUB_TLS_CERT": "/none.pem"}, {"PAYHUB_CLIENT_CA": "/none.pem"}, {"PAYHUB_TLS_KEY": "/none.key"}],
)
def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path, files: dict[str, str]):
    certificate, key = Authority(tmp_path, "a").issue("gateway")
    environment = {
        "PAYHUB_PORT": "1",
        "PAYHUB_DATA_DIR": "/d",
        "PAYHUB_NATS_URL": "n",
        "PAYHUB_INTERNAL_TOKEN": "t",
        "PAYHUB_ENGINES": '{"a": "b"}',
        "PAYHUB_TLS_CERT": certificate,
        "PAYHUB_TLS_KEY": key,
    }
    settings = load(GatewaySettings, environment)
    assert settings.issuer_url().startswith("https://")
    assert settings.tls() is not None
    with pytest.raises(InvalidInputError, match="invalid-settings"):
        load(GatewaySettings, {**environment, **files}).tls()
