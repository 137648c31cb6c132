"""Which JSON Web Keys a client may bring."""

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from unit.tenants.tenants_kit import b64, client_request, ec_jwk

from payhub_platform.errors import PayhubError
from payhub_tenants.clients.model import RegisterClient, checked_request, public_jwks


def rsa_jwk(bits: int, **changes: Any) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "n": b64(numbers.n, bits // 8), "e": "AQAB", **changes}


def ed25519_jwk() -> dict[str, Any]:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(int.from_bytes(raw))}


def check(*keys: dict[str, Any], **changes: Any) -> RegisterClient:
    body = msgspec.convert(client_request("ussd", *keys, **changes), RegisterClient)
    return checked_request(body)


@pytest.mark.parametrize("key", [ec_jwk(use="sig", alg="ES256"), ed25519_jwk(), rsa_jwk(2048, alg="PS256")])
def test_takes_the_keys_that_assertions_are_signed_with(key: dict[str, Any]):
    assert public_jwks(check(key).jwks) == {"keys": [key]}


def test_certificates_are_not_kept():
    kept = public_jwks(check(ec_jwk(x5c=["MIIB"], **{"x5t#S256": "abc"})).jwks)
    assert set(kept["keys"][0]) == {"kty", "crv", "x", "y", "kid"}


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        (ec_jwk(d="AAAA"), "/jwks/keys/0/d"),
        (rsa_jwk(2048, p="AAAA"), "/jwks/keys/0/p"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "/jwks/keys/0/k"),
        ({"kty": "oct"}, "/jwks/keys/0/kty"),
    ],
)
def test_private_keys_are_refused(key: dict[str, Any], pointer: str):
    with pytest.raises(PayhubError) as refusal:
        check(key)
    assert (refusal.value.code, refusal.value.where) == ("private-key-sent", pointer)


POINT = ec_jwk()


@pytest.mark.parametrize(
    "key",
    [
        {**POINT, "x": POINT["y"], "y": POINT["x"]},  # no point of the curve
        {**POINT, "crv": "P-384"},
        {key: value for key, value in POINT.items() if key != "y"},
        rsa_jwk(1024),
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": POINT["x"]},
        {**POINT, "use": "enc"},
        {**POINT, "alg": "RS256"},
        {**POINT, "alg": "none"},
        {**POINT, "key_ops": ["sign"]},
    ],
)
def test_unsuitable_keys_are_refused(key: dict[str, Any]):
    with pytest.raises(PayhubError) as refusal:
        check(key)
    assert refusal.value.code == "unsuitable-key"
    assert refusal.value.where.startswith("/jwks/keys/0")


def test_several_keys_need_names_of_their_own():
    check(ec_jwk(kid="a"), ec_jwk(kid="b"))
    for kids in (("a", "a"), ("a", None)):
        with pytest.raises(PayhubError, match="unsuitable-key"):
            check(*(ec_jwk(kid=kid) for kid in kids))


def test_scopes_are_named_once():
    with pytest.raises(PayhubError, match="duplicate-scope"):
        check(scopes=["payments:read", "payments:read"])
    with pytest.raises(msgspec.ValidationError):
        check(scopes=["payments:admin"])
    with pytest.raises(msgspec.ValidationError):
        check(scopes=[])
