"""Clients that prove who they are by a certificate (RFC 8705 section 2), and who vouches for it."""

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey
from unit.gateway.certificate_kit import HOUR, Authority, jwk_of, self_signed, shown
from unit.gateway.gateway_kit import assert_problem, transfer
from unit.gateway.oauth2_kit import (
    CALLBACK,
    VERIFIER,
    Client,
    House,
    assert_refused,
    challenge,
    house_of,
)

from payhub_gateway.oauth2.model import SELF_SIGNED, TLS_CLIENT_AUTH
from payhub_platform.contracts.tenant import OAuthClient

HEADER = "X-Client-Cert"
INSTALLATION, OURS, THEIRS = Authority("installation"), Authority("authority"), Authority("authority")
NAME = "CN=ussd,O=Buffalo"
GRANTS = ["client_credentials"]
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEY = ECKey.generate_key("P-256")
OWN = self_signed(PRIVATE)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Buffalo has an authority of its own; Lion has not."""
    options = {"certificate_header": HEADER, "trusted_proxies": ["127.0.0.0/8"]}
    async with house_of(tmp_path, copies=2, client_authorities=INSTALLATION.pem, **options) as held:
        trust(held, "buffalo", OURS.pem)
        yield held


def trust(house: House, tenant: str, *pems: str) -> None:
    for directory in house.directories:
        known = directory.get(tenant)
        assert known is not None
        changes = {"version": known.version + 1, "channel_authorities": list(pems)}
        directory.put(msgspec.structs.replace(known, **changes))


async def tls_client(house: House, tenant: str = "buffalo", **metadata: Any) -> Client:
    """Register a client that shows certificates."""
    said = {"token_endpoint_auth_method": TLS_CLIENT_AUTH, "grant_types": GRANTS, "redirect_uris": []}
    return await house.tpp(tenant, **{**said, **(metadata or {"tls_client_auth_subject_dn": NAME})})


async def token(client: Client, certificate: x509.Certificate | None, **form: str) -> Any:
    """Ask for a token without an assertion, with a certificate."""
    sent = {"client_assertion": "", "client_assertion_type": "", "client_id": client.client_id, **form}
    headers = {} if certificate is None else {HEADER: shown(certificate)}
    return await client.token(dpop=False, headers=headers, **sent)


async def test_a_certificate_of_the_tenants_authority_is_the_client_and_binds_its_token(house: House):
    client, certificate = await tls_client(house), OURS.issue()
    answer = await token(client, certificate)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
    head = {"Authorization": f"Bearer {answer.json()['access_token']}", "Idempotency-Key": "k"}
    for card, status in ((certificate, 202), (OURS.issue(), 401)):
        sent = {**head, HEADER: shown(card)}
        assert (await client.http.post("/v1/transfers", json=transfer(), headers=sent)).status_code == status
    other = await client.http.post(
        "/v1/transfers",
        json=transfer(),
        headers={**head, HEADER: shown(certificate), "Platform-TenantId": "lion"},
    )
    assert_problem(other, 403, "tenant-mismatch", "header:Platform-TenantId")


async def test_each_kind_of_name_is_compared(house: House):
    for kind, name, other in (
        ("subject_dn", NAME, "CN=other,O=Buffalo"),
        ("san_dns", "USSD.buffalo.example", "buffalo.example"),
        ("san_uri", "urn:buffalo:ussd", "urn:buffalo"),
        ("san_ip", "192.0.2.7", "192.0.2.8"),
        ("san_email", "ussd@buffalo.example", "other@buffalo.example"),
    ):
        client = await tls_client(house, **{f"tls_client_auth_{kind}": name})
        assert (await token(client, OURS.issue())).status_code == 200, kind
        client = await tls_client(house, **{f"tls_client_auth_{kind}": other})
        assert_refused(await token(client, OURS.issue()), "invalid_client")


async def test_a_certificate_that_stands_for_somebody_else_or_for_nobody(house: House):
    client, second = await tls_client(house), dt.timedelta(seconds=1)
    for why, certificate in {
        "none": None,
        "another authority of the same name": THEIRS.issue(),
        "the installation's": INSTALLATION.issue(),
        "another name": OURS.issue("somebody"),
        "expired": OURS.issue(until=-second),
        "not yet valid": OURS.issue(since=-second, until=2 * HOUR),
        "for servers": OURS.issue(usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "an authority itself": OURS.issue(is_authority=True),
        "through another authority": Authority("between", issuer=OURS).issue(),
        "issued by a client": Authority("ussd", issuer=OURS, is_authority=False).issue(),
        "self-signed": OWN,
        "self-signed under the name": self_signed(PRIVATE, "ussd"),
    }.items():
        answer = await token(client, certificate)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client"), why
    assert (await token(client, OURS.issue(usage=None))).status_code == 200


async def test_an_authority_vouches_for_its_own_tenant_alone(house: House):
    lion = await tls_client(house, "lion")
    assert_refused(await token(lion, OURS.issue()), "invalid_client")
    assert (await token(lion, INSTALLATION.issue())).status_code == 200
    trust(house, "lion", THEIRS.pem)
    assert_refused(await token(lion, INSTALLATION.issue()), "invalid_client")
    assert_refused(await token(lion, OURS.issue()), "invalid_client")
    assert (await token(lion, THEIRS.issue())).status_code == 200
    # Nor does it where the client proves itself by a key, and only binds its token.
    buffalo = house.client("buffalo-admin")
    for card, status in ((OURS.issue(), 200), (THEIRS.issue(), 400), (INSTALLATION.issue(), 400)):
        assert (await buffalo.token(dpop=False, headers={HEADER: shown(card)})).status_code == status


async def test_a_client_that_is_configured_without_keys_shows_its_own_certificate(house: House):
    for directory in house.directories:
        for tenant, name in (("buffalo", "ussd"), ("lion", "lion-ussd")):
            config = directory.get(tenant)
            assert config is not None
            till = OAuthClient(client_id=name, name="Till", jwks={}, scopes=["payments:read"])
            changes = {"version": config.version + 1, "clients": [*config.clients, till]}
            directory.put(msgspec.structs.replace(config, **changes))
    till = Client(house, "ussd", PRIVATE_KEY, house.copies[0])
    # The kit's certificates are of the organization Buffalo, and the institution's id is buffalo.
    assert_refused(await token(till, OURS.issue()), "invalid_client")
    right = OURS.issue(organization="buffalo")
    assert (await token(till, right)).status_code == 200
    for wrong in (OURS.issue("other", organization="buffalo"), THEIRS.issue(organization="buffalo"), None):
        assert_refused(await token(till, wrong), "invalid_client")
    assert_refused(await till.token(headers={HEADER: shown(right)}), "invalid_client")  # signed by some key
    lion = Client(house, "lion-ussd", PRIVATE_KEY, house.copies[0])
    assert_refused(await token(lion, OURS.issue("lion-ussd", organization="lion")), "invalid_client")
    assert (await token(lion, INSTALLATION.issue("lion-ussd", organization="lion"))).status_code == 200


async def test_authorities_follow_one_another(house: House):
    client, new = await tls_client(house), Authority("new")
    trust(house, "buffalo", OURS.pem, new.pem)
    for authority in (OURS, new):
        assert (await token(client, authority.issue())).status_code == 200
    trust(house, "buffalo", new.pem)
    assert_refused(await token(client, OURS.issue()), "invalid_client")
    old = Authority("old", until=-dt.timedelta(seconds=1))
    trust(house, "buffalo", old.pem)
    assert_refused(await token(client, old.issue()), "invalid_client")


async def test_authorities_that_cannot_be_read_vouch_for_nobody(house: House):
    client = await tls_client(house)
    leaf = Authority("leaf", is_authority=False)
    for pem in ("x", leaf.pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        trust(house, "buffalo", pem)
        for certificate in (OURS.issue(), INSTALLATION.issue(), leaf.issue()):
            assert_refused(await token(client, certificate), "invalid_client")


async def test_where_nobody_is_known_who_could_vouch_nobody_does(tmp_path: Path):
    options = {"certificate_header": HEADER, "trusted_proxies": ["127.0.0.0/8"]}
    async with house_of(tmp_path, **options) as house:
        assert_refused(await token(await tls_client(house), INSTALLATION.issue()), "invalid_client")
        answer = await house.client("lion-admin").token(dpop=False, headers={HEADER: shown(OURS.issue())})
        assert answer.status_code == 200  # the certificate is a key, and says nothing of who it is


async def test_a_client_has_one_way_to_prove_itself(house: House):
    client, certificate = await tls_client(house), OURS.issue()
    with_both = await token(client, certificate, client_assertion=client.assertion())
    assert_refused(with_both, "invalid_client")
    assert_refused(await client.token(headers={HEADER: shown(certificate)}), "invalid_client")
    for form in ({"client_id": "buffalo-admin"}, {"client_id": "nobody"}, {"client_id": ""}):
        assert_refused(await token(client, certificate, **form), "invalid_client")
    own = await tls_client(
        house, token_endpoint_auth_method=SELF_SIGNED, jwks={"keys": [jwk_of(PRIVATE, OWN)]}
    )
    assert_refused(await token(own, certificate), "invalid_client")


async def test_a_registered_certificate_is_the_client_and_no_other_is(house: House):
    keys = {"keys": [jwk_of(PRIVATE, OWN, OURS.certificate)]}
    client = await tls_client(house, token_endpoint_auth_method=SELF_SIGNED, jwks=keys)
    answer = await token(client, OWN)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
    for other in (self_signed(PRIVATE), OURS.issue(key=PRIVATE), OURS.certificate, None):
        assert_refused(await token(client, other), "invalid_client")
    house.clock.advance(2 * 3600)
    assert_refused(await token(client, OWN), "invalid_client")


async def test_the_code_flow_goes_by_certificate_too(house: House):
    client = await house.tpp(
        token_endpoint_auth_method=TLS_CLIENT_AUTH, tls_client_auth_subject_dn=NAME, jwks=None
    )
    by_card = {"client_assertion": "", "client_assertion_type": "", "client_id": client.client_id}
    card = {HEADER: shown(OURS.issue())}

    async def send(path: str, **form: str) -> Any:
        return await client.post(path, {**by_card, **form}, headers=card, dpop=False)

    asked = {"response_type": "code", "redirect_uri": CALLBACK, "scope": "payments:read", "state": "s"}
    asked |= {"code_challenge": challenge(), "code_challenge_method": "S256"}
    pushed = await send("/oauth2/par", **asked)
    assert pushed.status_code == 201, pushed.text
    answer = await client.decide(pushed.json()["request_uri"])
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    given = (await send("/oauth2/token", **grant, code_verifier=VERIFIER)).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    assert (await send("/oauth2/token", **refresh)).status_code == 200
    assert (await send("/oauth2/introspect", token=given["access_token"])).json()["active"] is True
    assert (await send("/oauth2/revoke", token=given["refresh_token"])).status_code == 200
    assert_refused(await send("/oauth2/token", **refresh), "invalid_grant")
    card = {HEADER: shown(THEIRS.issue())}
    for path in ("/oauth2/par", "/oauth2/introspect", "/oauth2/revoke"):
        assert_refused(await send(path, **asked, token="x"), "invalid_client")


async def test_a_proof_is_used_once_without_an_assertion_too(house: House):
    client, certificate = await tls_client(house), OURS.issue()
    proof = client.proof("POST", "/oauth2/token")
    form = {"grant_type": "client_credentials", "client_id": client.client_id}
    head = {"DPoP": proof, HEADER: shown(certificate)}
    first = await client.http.post("/oauth2/token", data=form, headers=head)
    assert (first.status_code, first.json()["token_type"]) == (200, "DPoP")
    for copy in (0, 1):
        again = await house.copies[copy].post("/oauth2/token", data=form, headers=head)
        assert again.status_code == 400, again.text
    named = await token(client, certificate)
    assert named.status_code == 200
    foreign = await client.token(
        dpop=False,
        headers={HEADER: shown(certificate), "Platform-TenantId": "lion"},
        client_assertion="",
        client_assertion_type="",
        client_id=client.client_id,
    )
    assert_refused(foreign, "invalid_request")
    house.suspend("buffalo")
    assert (await token(client, certificate)).status_code == 200  # to read how its payments stand


async def test_a_registration_that_cannot_prove_anything(house: House):
    tls, own = {"token_endpoint_auth_method": TLS_CLIENT_AUTH}, {"token_endpoint_auth_method": SELF_SIGNED}
    public = jwk_of(PRIVATE)
    wrong: list[dict[str, Any]] = [
        tls,
        {**tls, "tls_client_auth_subject_dn": "no name"},
        {**tls, "tls_client_auth_san_ip": "300.0.0.1"},
        {**tls, "tls_client_auth_san_dns": "a.example", "tls_client_auth_subject_dn": NAME},
        {"tls_client_auth_subject_dn": NAME},
        own,
        {**own, "jwks": {"keys": [{**public, "x5c": ["AAAA"]}]}},
        {**own, "jwks": {"keys": [{**public, "x5c": "x"}]}},
        {**own, "jwks": {"keys": 1}},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "none"},
    ]
    key = ECKey.generate_key("P-256")
    for metadata in wrong:
        assert_refused(await house.register(key, **metadata), "invalid_client_metadata")
