"""How a tenant speaks at its scheme, and its keys, as the aggregator changes them."""

import msgspec
import pytest
from unit.tenants.tenants_kit import NOW_MS, SWITCH_PEM, create_request

from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security import jws

PEER = jws.public_pem(jws.new_private_key_pem("RS256"))
SCHEME = {
    "baseUrl": "https://hub.example/fspiop/",
    "switchFspId": "Hub",
    "switchPublicKeyPem": PEER,
    "versions": ["2.0"],
    "iso20022": True,
    "signsParties": False,
    "peerKeys": [{"fspId": "eland", "publicKeyPem": PEER, "validUntilMs": NOW_MS + 1_000}],
    "tls": {"caPem": PEER, "certificatePem": PEER, "privateKeyPem": "a private key"},
    "oauth": {"tokenUrl": "https://idp.example/token", "clientId": "b", "clientSecret": "a secret"},
}
OVERLAP_MS = 24 * 3_600_000


@pytest.fixture
async def buffalo(api):
    return (await api.post("/v1/tenants", json=create_request())).json()


async def published(plane) -> TenantConfig:
    """Return the configuration as it travels to gateways and engines."""
    await plane.publisher.publish_waiting()
    return msgspec.json.decode(msgspec.json.encode(plane.bus.published[-1]), type=TenantConfig)


@pytest.mark.usefixtures("buffalo")
async def test_settings_reach_the_engines_and_secrets_stay_sealed(api, plane):
    changed = await api.put("/v1/tenants/buffalo/scheme", json=SCHEME)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    scheme = (await published(plane)).scheme
    assert (scheme.base_url, scheme.switch_fsp_id) == ("https://hub.example/fspiop", "Hub")
    assert (scheme.versions, scheme.iso20022, scheme.signs, scheme.signs_parties) == (
        ("2.0",),
        True,
        True,
        False,
    )
    assert [(key.fsp_id, key.valid_until_ms) for key in scheme.peer_keys] == [("eland", NOW_MS + 1_000)]
    secrets = plane.secrets
    assert secrets.open(scheme.oauth.client_secret_sealed, "scheme-oauth:buffalo") == "a secret"
    assert secrets.open(scheme.tls.private_key_sealed, "scheme-tls:buffalo") == "a private key"
    shown = await api.get("/v1/tenants/buffalo")
    assert "a secret" not in shown.text + changed.text
    assert "a private key" not in shown.text + changed.text
    assert shown.json()["scheme"]["oauth"] == {
        "tokenUrl": "https://idp.example/token",
        "clientId": "b",
        "scope": "",
    }


async def test_a_tenant_that_was_never_changed_speaks_as_before(plane, buffalo):
    scheme = (await published(plane)).scheme
    assert (scheme.versions, scheme.iso20022, scheme.verifies, scheme.tls) == (
        ("1.1", "1.0"),
        False,
        True,
        None,
    )
    assert scheme.switch_public_key_pem == SWITCH_PEM
    assert buffalo["scheme"]["versions"] == ["1.1", "1.0"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"versions": []}, "/versions"),
        ({"versions": ["1.1"]}, "/versions"),
        ({"versions": ["3.0"], "iso20022": False}, "/versions/0"),
        ({"switchFspId": "buffalo"}, "/switchFspId"),
        ({"switchPublicKeyPem": "x"}, "/switchPublicKeyPem"),
        ({"baseUrl": "ftp://hub"}, "/baseUrl"),
        ({"peerKeys": [{"fspId": "eland", "publicKeyPem": "x"}]}, "/peerKeys/0/publicKeyPem"),
        ({"tls": {"certificatePem": PEER}}, "/tls"),
        ({"oauth": {"tokenUrl": "x", "clientId": "b", "clientSecret": "s"}}, "/oauth/tokenUrl"),
        ({"ilpVersion": 2}, "/ilpVersion"),
        ({"unknown": 1}, ""),
    ],
)
@pytest.mark.usefixtures("buffalo")
async def test_settings_that_cannot_be_are_refused_and_nothing_changes(api, change, pointer):
    refused = await api.put("/v1/tenants/buffalo/scheme", json=SCHEME | change)
    assert refused.status_code in (400, 422)
    assert refused.json()["errors"][0]["pointer"].startswith(pointer)
    assert (await api.get("/v1/tenants/buffalo")).json()["version"] == 1


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_a_new_signing_key_follows_the_old_one_without_a_pause(api, plane, buffalo, algorithm):
    request = {"replaces": buffalo["keyId"], "algorithm": algorithm}
    first = (await published(plane)).ilp_secrets_sealed
    replaced = (await api.put("/v1/tenants/buffalo/signing-key", json=request)).json()
    assert (replaced["version"], replaced["keyId"] != buffalo["keyId"]) == (2, True)
    config = await published(plane)
    key = config.signing_key
    private = jws.load_private_key(plane.secrets.open(key.private_key_sealed, "jws:buffalo"))
    assert jws.algorithm_of(private) == algorithm
    assert [(old.public_key_pem, old.valid_until_ms) for old in key.earlier] == [
        (buffalo["publicKeyPem"], NOW_MS + OVERLAP_MS)
    ]
    assert config.ilp_secrets_sealed == first  # open quotes can still be fulfilled
    assert len(first) == 1


async def test_the_same_replacement_again_does_nothing_and_another_is_refused(api, buffalo):
    request = {"replaces": buffalo["keyId"]}
    once, again = [(await api.put("/v1/tenants/buffalo/signing-key", json=request)).json() for _ in range(2)]
    assert once == again
    other = await api.put("/v1/tenants/buffalo/signing-key", json={"replaces": "0" * 16})
    assert (other.status_code, other.json()["code"]) == (409, "signing-key-replaced")
    missing = await api.put("/v1/tenants/nobody/signing-key", json=request)
    assert missing.json()["code"] == "tenant-not-found"
