"""Signing keys rotate with an overlap; certificates answer requests; secrets end with the tenant's key."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import NOW_MS, Plane, create_request, ec_jwk

from payhub_gateway.oauth2.authorities import Authorities, is_named
from payhub_platform.security import jws
from payhub_platform.security.secrets import SealError, SecretBox
from payhub_tenants.keys.model import (
    KEY_VALIDITY_MS,
    OVERLAP_MS,
    KeyState,
    SigningKeyRow,
    earlier_keys,
)
from payhub_tenants.vault import FileKeyProvider, KeyDestroyedError, Vault

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"


@pytest.fixture(autouse=True)
async def buffalo(api: Api) -> None:
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201


def csr_pem(key: Any, name: str = "anything") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def test_a_key_is_known_before_it_signs_and_for_a_while_after(api: Api, plane: Plane):
    [first] = (await api.get(f"{BASE}/keys")).json()
    assert (first["state"], first["expiresAtMs"]) == ("current", NOW_MS + KEY_VALIDITY_MS)
    prepared = (await api.post(f"{BASE}/keys")).json()
    assert (await api.post(f"{BASE}/keys")).json() == prepared  # asked twice, made once
    tenant = (await api.get(BASE)).json()
    assert (tenant["keyId"], tenant["version"]) == (first["keyId"], 1)  # nothing signs with it yet
    plane.now_ms += 1_000
    for _ in range(2):
        states = (await api.post(f"{BASE}/keys/{prepared['keyId']}/activate")).json()
    assert {key["keyId"]: (key["state"], key["expiresAtMs"]) for key in states} == {
        first["keyId"]: ("previous", plane.now_ms + OVERLAP_MS),
        prepared["keyId"]: ("current", NOW_MS + KEY_VALIDITY_MS),
    }
    await plane.publisher.publish_waiting()
    config = plane.bus.published[-1]
    assert (config.version, config.signing_key.key_id) == (2, prepared["keyId"])
    [before] = config.signing_key.earlier  # engines believe what is on its way
    assert (before.public_key_pem, before.fsp_id) == (first["publicKeyPem"], "buffalo")
    assert before.valid_until_ms == plane.now_ms + OVERLAP_MS
    back = await api.post(f"{BASE}/keys/{first['keyId']}/activate")
    assert (back.status_code, back.json()["code"]) == (409, "key-over")
    plane.now_ms += OVERLAP_MS
    assert [key["expired"] for key in (await api.get(f"{BASE}/keys")).json() if "expired" in key] == [True]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("own", [True, False])
async def test_the_next_key_is_of_the_algorithm_that_the_scheme_wants(
    api: Api, plane: Plane, algorithm: jws.Algorithm, own: bool
):
    pem = jws.new_private_key_pem(algorithm)
    body = {"signingKeyPem": pem} if own else {"algorithm": algorithm}
    await plane.publisher.publish_waiting()
    first = plane.bus.published[-1]
    prepared, again = [(await api.post(f"{BASE}/keys", json=body)).json() for _ in range(2)]
    assert prepared == again
    other = await api.post(f"{BASE}/keys", json={"signingKeyPem": jws.new_private_key_pem()})
    assert (other.status_code, other.json()["code"]) == (409, "key-waits")
    overlap = {"overlapMs": 1_000}
    assert (await api.post(f"{BASE}/keys/{prepared['keyId']}/activate", json=overlap)).status_code == 200
    await plane.publisher.publish_waiting()
    config = plane.bus.published[-1]
    private_pem = plane.secrets.open(config.signing_key.private_key_sealed, "jws:buffalo")
    assert jws.algorithm_of(jws.load_private_key(private_pem)) == algorithm
    assert (private_pem == pem) is own
    assert [key.valid_until_ms for key in config.signing_key.earlier] == [NOW_MS + 1_000]
    # Open quotes can still be fulfilled.
    opened = [
        [plane.secrets.open(sealed, "ilp:buffalo") for sealed in each.ilp_secrets_sealed]
        for each in (first, config)
    ]
    assert opened[0] == opened[1]
    assert len(opened[0]) == 1


async def test_a_key_that_signs_or_did_is_not_taken_as_the_next_one(api: Api):
    pem = jws.new_private_key_pem()
    key_id = (await api.post(f"{BASE}/keys", json={"signingKeyPem": pem})).json()["keyId"]
    for state in ("current", "previous"):
        await api.post(f"{BASE}/keys/{key_id}/activate")
        before = (await api.get(f"{BASE}/keys")).json()
        refused = await api.post(f"{BASE}/keys", json={"signingKeyPem": pem})
        assert (refused.status_code, refused.json()["code"]) == (409, "key-over"), state
        assert (await api.get(f"{BASE}/keys")).json() == before
        key_id = (await api.post(f"{BASE}/keys")).json()["keyId"]
        await api.post(f"{BASE}/keys/{key_id}/activate")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("keys", {"algorithm": "ES512"}, "/algorithm"),
        ("keys", {"algorithm": "RS256", "signingKeyPem": jws.new_private_key_pem()}, "/algorithm"),
        ("keys", {"signingKeyPem": "nothing"}, "/signingKeyPem"),
        ("keys/any/activate", {"overlapMs": -1}, "/overlapMs"),
        ("keys/any/activate", {"unknown": 1}, ""),
    ],
)
async def test_what_cannot_be_is_refused_and_no_key_is_made(
    api: Api, path: str, body: dict[str, Any], pointer: str
):
    refused = await api.post(f"{BASE}/{path}", json=body)
    assert refused.status_code in (400, 422)
    assert refused.json()["errors"][0]["pointer"].startswith(pointer)
    assert len((await api.get(f"{BASE}/keys")).json()) == 1


def test_so_many_earlier_keys_are_published_and_no_more():
    def row(number: int, state: KeyState) -> SigningKeyRow:
        return SigningKeyRow(
            tenant_id="buffalo",
            key_id=str(number),
            state=state,
            public_key_pem=str(number),
            private_key_sealed="",
            created_at_ms=0,
            expires_at_ms=NOW_MS + number,
        )

    held = [row(number, "previous") for number in range(-2, 20)] + [row(30, "current"), row(31, "next")]
    published = earlier_keys(held, "buffalo", NOW_MS)
    assert [key.public_key_pem for key in published] == [str(number) for number in range(19, 11, -1)]
    assert [key.public_key_pem for key in earlier_keys(held[:5], "buffalo", NOW_MS)] == ["2", "1"]


async def test_a_key_is_deleted_by_two_people_and_never_the_one_that_signs(api: Api, plane: Plane):
    [first] = (await api.get(f"{BASE}/keys")).json()
    second = (await api.post(f"{BASE}/keys")).json()
    in_use = await api.delete(f"{BASE}/keys/{first['keyId']}")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "key-in-use")
    assert (await api.delete(f"{BASE}/keys/none")).json()["code"] == "key-not-found"
    asked = (await api.delete(f"{BASE}/keys/{second['keyId']}")).json()
    assert len((await api.get(f"{BASE}/keys")).json()) == 2
    made = await api.post("/v1/operators", json={"operatorId": "b-b", "name": "b", "roles": ["approver"]})
    other = {"authorization": f"Bearer {made.json()['token']}"}
    path = f"{BASE}/approvals/{asked['approvalId']}/approve"
    # Meanwhile it has begun to sign: the approval comes too late, and the key stays.
    await api.post(f"{BASE}/keys/{second['keyId']}/activate")
    late = await api.post(path, headers=other)
    assert (late.status_code, late.json()["code"]) == (409, "key-in-use")
    [approval] = (await api.get(f"{BASE}/approvals")).json()
    assert approval["state"] == "waiting"
    asked = (await api.delete(f"{BASE}/keys/{first['keyId']}")).json()
    assert (await api.post(f"{BASE}/approvals/{asked['approvalId']}/approve", headers=other)).json()[
        "state"
    ] == "approved"
    assert [key["keyId"] for key in (await api.get(f"{BASE}/keys")).json()] == [second["keyId"]]
    await plane.publisher.publish_waiting()
    assert plane.bus.published[-1].signing_key.earlier == []  # nobody believes it from now on


async def test_a_request_comes_back_as_a_certificate_for_mutual_tls(api: Api, plane: Plane):
    key = ec.generate_private_key(ec.SECP256R1())
    body = {"clientId": "buffalo-ussd", "csrPem": csr_pem(key, "somebody-else")}
    answer = await api.post(f"{BASE}/certificates", json=body)
    assert answer.status_code == 201
    certificate = x509.load_pem_x509_certificate(answer.json()["certificatePem"].encode())
    authority = x509.load_pem_x509_certificate(answer.json()["authorityPem"].encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=buffalo-ussd,O=buffalo"  # not what was asked for
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    [listed] = (await api.get(f"{BASE}/certificates")).json()
    assert listed["expiresAtMs"] == NOW_MS + 90 * 86_400_000
    # Gateways hear of the authority, and take what it has issued for a channel of this institution.
    await plane.publisher.publish_waiting()
    config = plane.bus.published[-1]
    assert config.channel_authorities == [answer.json()["authorityPem"]]
    authorities = Authorities("", lambda: NOW_MS)
    assert authorities.vouch(certificate, config)
    assert is_named(certificate, "subject_dn", "CN=buffalo-ussd,O=buffalo")
    await api.post(f"{BASE}/certificates", json=body)
    assert await plane.publisher.publish_waiting() == 0  # a certificate more is none of their business
    await api.post("/v1/tenants", json=create_request("rhino"))
    other = (await api.post("/v1/tenants/rhino/certificates", json=body)).json()
    assert other["authorityPem"] != answer.json()["authorityPem"]
    theirs = x509.load_pem_x509_certificate(other["certificatePem"].encode())
    assert authorities.vouch(theirs, config) is False


async def test_a_client_without_keys_is_published_without(api: Api, plane: Plane):
    body = {"clientId": "buffalo-till", "name": "Till", "scopes": ["payments:read"]}
    answer = await api.post(f"{BASE}/clients", json=body)
    assert (answer.status_code, answer.json()["jwks"]) == (201, {})
    assert (await api.post(f"{BASE}/clients", json=body)).status_code == 200
    other = await api.post(f"{BASE}/clients", json={**body, "jwks": {"keys": [ec_jwk()]}})
    assert (other.status_code, other.json()["code"]) == (409, "client-exists")
    assert (await api.post(f"{BASE}/clients", json={**body, "jwks": {"keys": []}})).status_code == 400
    await plane.publisher.publish_waiting()
    [client] = [one for one in plane.bus.published[-1].clients if one.client_id == "buffalo-till"]
    assert client.jwks == {}


@pytest.mark.parametrize("case", ["text", "p384", "tampered"])
async def test_a_request_that_proves_nothing_is_refused(api: Api, case: str):
    pem = {
        "text": "no request",
        "p384": csr_pem(ec.generate_private_key(ec.SECP384R1())),
        "tampered": _tampered(csr_pem(ec.generate_private_key(ec.SECP256R1()))),
    }[case]
    answer = await api.post(f"{BASE}/certificates", json={"clientId": "ussd", "csrPem": pem})
    assert (answer.status_code, answer.json()["code"]) == (400, "unsuitable-csr")


def _tampered(pem: str) -> str:
    csr = x509.load_pem_x509_csr(pem.encode())
    der = csr.public_bytes(serialization.Encoding.DER)
    forged = der.replace(b"anything", b"anythinG")
    assert forged != der
    return x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()


async def test_a_destroyed_key_makes_every_copy_unreadable(tmp_path: Path):
    installation = SecretBox(SecretBox.new_key())
    folder = tmp_path / "keys"
    vault = Vault(FileKeyProvider(folder, installation), installation)
    for tenant in ("buffalo", "rhino"):
        await vault.create(tenant)
    sealed = {tenant: await vault.seal(tenant, "a secret", "ams") for tenant in ("buffalo", "rhino")}
    assert sealed["buffalo"] != await vault.seal("buffalo", "a secret", "ams")
    await vault.create("buffalo")  # repeated, it is the same key
    assert await vault.open("buffalo", sealed["buffalo"], "ams") == "a secret"
    for tenant, other, purpose in itertools.product(sealed, sealed, ("ams", "jws")):
        if (tenant, purpose) != (other, "ams"):
            with pytest.raises(SealError):
                await vault.open(tenant, sealed[other], purpose)
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600, 0o600]
    key_file = (folder / "buffalo.key").read_bytes()
    for _ in range(2):
        await vault.destroy("buffalo")
    again = Vault(FileKeyProvider(folder, installation), installation)  # as after a restart
    for attempt in (again.open("buffalo", sealed["buffalo"], "ams"), again.create("buffalo")):
        with pytest.raises(KeyDestroyedError):
            await attempt
    assert all(key_file not in file.read_bytes() for file in folder.iterdir())
    assert await again.open("rhino", sealed["rhino"], "ams") == "a secret"


async def test_what_was_sealed_before_tenants_had_keys_is_still_read(plane: Plane):
    old = plane.secrets.seal("old password", "ams:buffalo")
    assert await plane.vault.open("buffalo", old, "ams") == "old password"
