"""Tokens bound to the client's TLS certificate (RFC 8705 section 3), and who may say which one it was."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from unit.gateway.gateway_kit import assert_problem, transfer
from unit.gateway.oauth2_kit import Client, House, assert_refused, house_of

from payhub_gateway.oauth2.certificates import Certificates
from payhub_gateway.oauth2.errors import InvalidCertificateError
from payhub_gateway.oauth2.signatures import base64url

HEADER = "X-Client-Cert"


def certificate(name: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256())


OURS, OTHER = certificate("ours"), certificate("other")
DIGEST = hashes.Hash(hashes.SHA256())
DIGEST.update(OURS.public_bytes(Encoding.DER))
THUMBPRINT = base64url(DIGEST.finalize())


def pem(shown: x509.Certificate) -> str:
    return quote(shown.public_bytes(Encoding.PEM).decode())


def rfc_9440(shown: x509.Certificate) -> str:
    return f":{base64.b64encode(shown.public_bytes(Encoding.DER)).decode()}:"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path, certificate_header=HEADER, trusted_proxies=["127.0.0.0/8"]) as held:
        yield held


async def pay(client: Client, token: str, *, scheme: str = "Bearer", **headers: str) -> Any:
    head = {"Authorization": f"{scheme} {token}", "X-CorrelationID": "k"}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post("/channel/transfer", json=transfer(), headers=head)


@pytest.mark.parametrize("written", [pem, rfc_9440])
async def test_a_token_is_bound_to_the_certificate_and_good_with_it_alone(house: House, written: Any):
    client = house.client("buffalo-admin")
    answer = await client.token(dpop=False, headers={HEADER: written(OURS)})
    given = answer.json()
    assert (answer.status_code, given["token_type"]) == (200, "Bearer")
    inspected = await client.post("/oauth2/introspect", {"token": given["access_token"]})
    assert inspected.json()["cnf"] == {"x5t#S256": THUMBPRINT}
    token = given["access_token"]
    assert (await pay(client, token, X_Client_Cert=pem(OURS))).status_code == 202
    assert (await pay(client, token, X_Client_Cert=rfc_9440(OURS))).status_code == 202
    for headers in ({"X_Client_Cert": pem(OTHER)}, {}, {"X_Client_Cert": ""}):
        answer = await pay(client, token, **headers)
        assert_problem(answer, 401, "invalid-token", "header:Authorization")
    with_proof = {"DPoP": client.proof("POST", "/channel/transfer", token), "X_Client_Cert": pem(OURS)}
    answer = await pay(client, token, scheme="DPoP", **with_proof)
    assert_problem(answer, 401, "invalid-token", "header:Authorization")


async def test_a_proof_comes_before_a_certificate(house: House):
    client = house.client("buffalo-admin")
    given = (await client.token(headers={HEADER: pem(OURS)})).json()
    assert given["token_type"] == "DPoP"


async def test_a_client_may_insist_on_one_of_them(house: House):
    tpp = await house.tpp(dpop_bound_access_tokens=True)
    assert_refused(await tpp.token(dpop=False, headers={HEADER: pem(OURS)}), "invalid_dpop_proof")
    assert (await tpp.token()).status_code == 200


async def test_the_header_of_somebody_who_is_no_proxy_is_not_believed(tmp_path: Path):
    for options in ({"trusted_proxies": ["10.0.0.0/8"]}, {"trusted_proxies": []}, {"certificate_header": ""}):
        chosen = {"certificate_header": HEADER, "trusted_proxies": ["127.0.0.0/8"], **options}
        async with house_of(tmp_path / repr(options).replace("/", ""), **chosen) as house:
            client = house.client("buffalo-admin")
            answer = await client.token(dpop=False, headers={HEADER: pem(OURS)})
            assert_refused(answer, "invalid_request")


@pytest.mark.parametrize(
    "shown", ["x", "::", ":AAAA:", ":é:", "%2", "-----BEGIN CERTIFICATE-----", "x" * 12_000]
)
async def test_what_is_no_certificate_is_refused(house: House, shown: str):
    client = house.client("buffalo-admin")
    answer = await client.http.post(
        "/oauth2/token", data={"grant_type": "x"}, headers=[(HEADER.encode(), shown.encode())]
    )
    assert_refused(answer, "invalid_request")


async def test_a_certificate_that_no_head_holds_is_refused_unread(house: House):
    answer = await house.client("buffalo-admin").token(dpop=False, headers={HEADER: "x" * 20_000})
    assert_refused(answer, "invalid_request", 431)


def scope(**parts: Any) -> Any:
    return {"type": "http", "headers": [], "client": ("127.0.0.1", 1), **parts}


def test_the_certificate_of_the_tls_layer_needs_no_proxy():
    chain = [OURS.public_bytes(Encoding.PEM).decode()]
    shown = scope(extensions={"tls": {"client_cert_chain": chain}}, client=("203.0.113.9", 1))
    assert Certificates().thumbprint(shown) == THUMBPRINT
    # What the TLS layer saw wins over what a header says.
    both = {**shown, "headers": [(HEADER.lower().encode(), pem(OTHER).encode())], "client": ("127.0.0.1", 1)}
    assert Certificates(HEADER, ["127.0.0.1/32"]).thumbprint(both) == THUMBPRINT
    assert Certificates(HEADER, ["127.0.0.1/32"]).thumbprint(scope(extensions={"tls": {}})) is None


def test_two_headers_are_refused():
    twice = [(HEADER.lower().encode(), pem(shown).encode()) for shown in (OURS, OTHER)]
    with pytest.raises(InvalidCertificateError):
        Certificates(HEADER, ["127.0.0.1/32"]).thumbprint(scope(headers=twice))


def test_an_unknown_peer_is_no_proxy():
    sent = [(HEADER.lower().encode(), pem(OURS).encode())]
    for peer in (None, ("testclient", 1)):
        assert Certificates(HEADER, ["127.0.0.1/32"]).thumbprint(scope(headers=sent, client=peer)) is None
