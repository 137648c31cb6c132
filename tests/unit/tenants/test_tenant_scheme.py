"""How a tenant speaks at its scheme, as the aggregator changes it."""

import msgspec
import pytest
from msgspec.structs import replace
from unit.tenants.tenants_kit import NOW_MS, PEER_PEM, SCHEME, SWITCH_PEM, create_request

from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security.secrets import SealError
from payhub_tenants.proof import prove
from payhub_tenants.tenants.login import sealed_secrets


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
        ({"tls": {"certificatePem": PEER_PEM}}, "/tls"),
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


@pytest.mark.usefixtures("buffalo")
async def test_secrets_are_kept_under_the_tenants_own_key(api, plane):
    await api.put("/v1/tenants/buffalo/scheme", json=SCHEME)
    tenant = plane.store.kept.tenants.rows["buffalo"]
    tls_key, client_secret = sealed_secrets(tenant.scheme_settings)
    [ilp_secret] = tenant.ilp_secrets_sealed
    kept = {"scheme-tls": tls_key, "scheme-oauth": client_secret, "ilp": ilp_secret}
    for purpose, sealed in kept.items():
        assert await plane.vault.is_readable("buffalo", sealed, purpose)
        with pytest.raises(SealError):
            plane.secrets.open(sealed, f"{purpose}:buffalo")  # the installation's key alone is not enough
    export = (await api.get("/v1/tenants/buffalo/export")).json()
    assert export["tenant"]["scheme_settings"]["oauth"] == {
        "token_url": "https://idp.example/token",
        "client_id": "b",
    }
    assert "_sealed" not in str(export)
    proof = await prove(plane.store, plane.vault, "buffalo")
    assert {"ILP secret", "scheme TLS", "scheme OAuth2"} <= set(proof.readable)
    await plane.keys.destroy("buffalo")
    proof = await prove(plane.store, plane.vault, "buffalo")
    assert (proof.tried, proof.readable) == (6, [])


@pytest.mark.usefixtures("buffalo")
async def test_what_is_changed_stands_in_the_audit_without_secrets(api):
    await api.put("/v1/tenants/buffalo/scheme", json=SCHEME)
    page = (await api.get("/v1/tenants/buffalo/audit")).json()
    assert page["entries"][-1]["action"] == "scheme.changed"
    assert "secret" not in str(page)
    missing = await api.put("/v1/tenants/nobody/scheme", json=SCHEME)
    assert missing.json()["code"] == "tenant-not-found"


@pytest.mark.usefixtures("buffalo")
async def test_a_purged_tenant_gets_no_new_scheme(api, plane):
    rows = plane.store.kept.tenants.rows
    rows["buffalo"] = purged = replace(rows["buffalo"], status="purged")
    refused = await api.put("/v1/tenants/buffalo/scheme", json=SCHEME)
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant-leaving")
    assert rows["buffalo"] == purged
