"""Keys of tenants and peers: opened once, replaced without a pause."""

import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS, make_tenant

from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal, must_be_signed, verify_signature
from payhub_engines.connectors.mojaloop.keys import KeyRing, PublicKeys
from payhub_platform.contracts.tenant import SigningKey, VerificationKey
from payhub_platform.security import jws
from payhub_platform.security.secrets import SealError, SecretBox

OLD, NEW, HUB, FAR = (jws.new_private_key_pem() for _ in range(4))
HOUR_MS = 3_600_000
BODY, PATH = b'{"transferState":"COMMITTED"}', "/transfers/1"


def public(pem):
    return jws.public_pem(pem)


def signed(pem, source):
    sent = {"FSPIOP-Source": source, "FSPIOP-Destination": "buffalo", "Date": "Tue"}
    sent |= jws.sign(BODY, sent, PATH, "PUT", jws.load_private_key(pem))
    return {name.lower(): value for name, value in sent.items()}


def believed(keys, pem, source):
    try:
        verify_signature("PUT", f"/fspiop{PATH}", signed(pem, source), BODY, keys)
    except FspiopRefusal as refusal:
        assert refusal.error_code == "3105"  # noqa: PT017 - which refusal it is matters, not only that it is one
        return False
    return True


@pytest.fixture
def peers(secrets):
    """A tenant whose key was replaced an hour ago, and one whose scheme knows keys of FSPs elsewhere."""
    lion = make_tenant(secrets, "lion", NEW)
    earlier = VerificationKey(fsp_id="lion", public_key_pem=public(OLD), valid_until_ms=NOW_MS + HOUR_MS)
    lion = msgspec.structs.replace(
        lion, signing_key=msgspec.structs.replace(lion.signing_key, earlier=[earlier])
    )
    buffalo = make_tenant(secrets, "buffalo", jws.new_private_key_pem())
    scheme = msgspec.structs.replace(
        buffalo.scheme,
        switch_public_key_pem=public(HUB),
        peer_keys=[
            VerificationKey(fsp_id="eland", public_key_pem=public(FAR)),
            VerificationKey(fsp_id="switch", public_key_pem=public(OLD), valid_from_ms=NOW_MS + HOUR_MS),
        ],
    )
    return {"lion": lion, "buffalo": msgspec.structs.replace(buffalo, scheme=scheme)}


def test_keys_that_follow_one_another_overlap(peers):
    keys = PublicKeys(peers.get)

    def of(source, now_ms):
        return keys.of(source, peers["buffalo"], now_ms)

    assert believed(of("lion", NOW_MS), OLD, "lion")
    assert believed(of("lion", NOW_MS), NEW, "lion")
    assert not believed(of("lion", NOW_MS + HOUR_MS), OLD, "lion")
    assert believed(of("lion", NOW_MS + HOUR_MS), NEW, "lion")
    assert believed(of("switch", NOW_MS), HUB, "switch")
    assert not believed(of("switch", NOW_MS), OLD, "switch")
    assert believed(of("switch", NOW_MS + HOUR_MS), OLD, "switch")


def test_a_key_speaks_for_its_own_fsp_alone(peers):
    keys = PublicKeys(peers.get)
    buffalo = peers["buffalo"]
    assert believed(keys.of("eland", buffalo, NOW_MS), FAR, "eland")
    assert not believed(keys.of("eland", buffalo, NOW_MS), NEW, "eland")
    assert not believed(keys.of("lion", buffalo, NOW_MS), FAR, "lion")
    assert keys.of("rhino", buffalo, NOW_MS) == []
    assert not believed([], NEW, "rhino")
    # Another tenant's scheme does not know the peer.
    assert keys.of("eland", peers["lion"], NOW_MS) == []


def test_an_fsp_that_a_scheme_names_is_no_tenant_that_has_the_same_id_elsewhere(peers):
    """Two schemes may each have an eland, and one of them may be a tenant here."""
    namesake = msgspec.structs.replace(peers["lion"], tenant_id="eland", fsp_id="eland")
    keys = PublicKeys({**peers, "eland": namesake}.get)
    assert believed(keys.of("eland", peers["buffalo"], NOW_MS), FAR, "eland")
    assert not believed(keys.of("eland", peers["buffalo"], NOW_MS), NEW, "eland")
    assert believed(keys.of("eland", peers["lion"], NOW_MS), NEW, "eland")


def test_each_key_is_read_once(peers):
    keys = PublicKeys(peers.get)
    first, again = (keys.of("lion", peers["buffalo"], NOW_MS) for _ in range(2))
    assert all(one is other for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("settings", "unsigned"),
    [
        ({}, set()),
        ({"verifies_parties": False}, {"parties"}),
        ({"verifies": False}, {"parties", "quotes", "transfers"}),
    ],
)
def test_a_scheme_says_what_must_be_signed(buffalo, settings, unsigned):
    scheme = msgspec.structs.replace(buffalo.scheme, **settings)
    for resource in ("parties", "quotes", "transfers"):
        assert must_be_signed("PUT", resource, scheme) == (resource not in unsigned)


def test_an_own_secret_keeps_open_quotes_alive_over_a_new_signing_key(secrets):
    first = make_tenant(secrets, "lion", OLD)
    own = [secrets.seal("own secret", "ilp:lion")]
    second = msgspec.structs.replace(first, ilp_secrets_sealed=own)
    third = msgspec.structs.replace(
        second,
        signing_key=SigningKey(
            key_id="2", public_key_pem=public(NEW), private_key_sealed=secrets.seal(NEW, "jws:lion")
        ),
    )
    ring = KeyRing()
    derived = ring.of(first, secrets).ilp_secret
    assert ring.of(second, secrets).ilp_secrets == ["own secret", derived]
    assert ring.of(third, secrets).ilp_secret == "own secret"
    assert ring.of(third, secrets) is ring.of(third, secrets)
    with pytest.raises(SealError):
        KeyRing().of(
            msgspec.structs.replace(first, ilp_secrets_sealed=[secrets.seal("x", "ilp:other")]), secrets
        )
    with pytest.raises(SealError):
        KeyRing().of(first, SecretBox(SecretBox.new_key()))
    assert derived == ilp.secret_of(OLD)
