"""Keys and signatures, held against another library; whatever is sent, the answer is a refusal of ours."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from unit.gateway.gateway_kit import ISSUER, StillClock

from payhub_gateway.oauth2 import details, model
from payhub_gateway.oauth2.certificates import Certificates
from payhub_gateway.oauth2.dpop import Proofs
from payhub_gateway.oauth2.errors import (
    InvalidCertificateError,
    InvalidProofError,
    RefusedAssertionError,
    RefusedError,
)
from payhub_gateway.oauth2.registration import read_metadata
from payhub_gateway.oauth2.signatures import base64url, read_key, read_keys, unbase64url, verify_with_any

KEYS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256"),
    "PS256": RSAKey.generate_key(2048),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def parts(token: str) -> tuple[bytes, bytes]:
    signed, _, signature = token.rpartition(".")
    return unbase64url(signature), signed.encode()


@pytest.mark.parametrize("alg", KEYS)
@given(payload=st.binary(max_size=200))
def test_signatures_of_another_library_hold_and_altered_ones_do_not(alg: str, payload: bytes):
    token = jws.serialize_compact({"alg": alg}, payload, KEYS[alg], registry=JWSRegistry(algorithms=[alg]))
    key = read_key(KEYS[alg].as_dict(private=False))
    signature, signed = parts(token)
    key.verify(signature, signed)
    assert alg in key.algorithms
    for bad in (
        (signature[:-1] + bytes([signature[-1] ^ 1]), signed),
        (signature, signed + b"x"),
        (signature[:-1], signed),
        (signature + b"\0", signed),
        (b"", signed),
        (b"\0" * 64, signed),
    ):
        with pytest.raises(ValueError, match=r"."):
            key.verify(*bad)


def test_thumbprints_are_those_of_another_library():
    for key in (*KEYS.values(), *(ECKey.generate_key("P-256") for _ in range(20))):
        assert read_key(key.as_dict(private=False)).thumbprint == key.thumbprint()
    # RFC 7638 section 3.1 has this one.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n"
        "3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zg"
        "dAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFC"
        "ur-kEgU8awapJzKnqDKgw"
    )
    example = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "PS256", "kid": "2011-04-29"}
    assert read_key(example).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_key_signs_under_its_own_name_only():
    token = jws.serialize_compact(
        {"alg": "ES256"}, b"x", KEYS["ES256"], registry=JWSRegistry(algorithms=["ES256"])
    )
    keys = read_keys({"keys": [{**KEYS["ES256"].as_dict(private=False), "kid": "a"}]})
    verify_with_any(keys, "ES256", "a", *parts(token))
    verify_with_any(keys, "ES256", None, *parts(token))
    for alg, kid in (("PS256", "a"), ("ES256", "b"), ("none", None)):
        with pytest.raises(ValueError, match="no key"):
            verify_with_any(keys, alg, kid, *parts(token))


@given(st.binary(max_size=100))
def test_base64url_comes_back_and_nothing_else_is_read(data: bytes):
    text = base64url(data)
    assert unbase64url(text) == data
    for foreign in (text + "=", text + "+", "/" + text, text + "\n", text + "é"):
        with pytest.raises(ValueError, match=r"."):
            unbase64url(foreign)


def wrapped(value: Any) -> str:
    return base64url(json.dumps(value).encode())


@given(
    st.text(max_size=60)
    | st.builds("{}.{}.{}".format, *[st.builds(wrapped, JSON) | st.text(max_size=20)] * 3)
)
def test_whatever_is_sent_as_a_jwt_is_refused_by_name(text: str):
    proofs = Proofs(StillClock())
    with pytest.raises(InvalidProofError):
        proofs.verify([text], "POST", ISSUER)
    with pytest.raises(RefusedAssertionError):
        model.read_assertion(text)


@given(JSON)
def test_whatever_is_sent_as_a_key_metadata_or_details_is_refused_by_name(value: Any):
    jwk = value if isinstance(value, dict) else {"kty": value}
    with pytest.raises(ValueError, match=r"."):
        read_key(jwk)
    with pytest.raises(RefusedError):
        read_metadata(value)
    with pytest.raises(RefusedError):
        details.parse(json.dumps(value), ISSUER)


@given(
    st.sampled_from(["EC", "OKP", "RSA"]),
    st.sampled_from(["P-256", "Ed25519", None]),
    *[st.binary(max_size=70)] * 4,
)
def test_numbers_that_are_no_key_are_refused_by_name(
    kty: str, crv: str | None, x: bytes, y: bytes, n: bytes, e: bytes
):
    jwk = {"kty": kty, "crv": crv, "x": base64url(x), "y": base64url(y), "n": base64url(n), "e": base64url(e)}
    try:
        read_key(jwk)
    except ValueError:
        return
    assert (kty, crv, len(x)) == ("OKP", "Ed25519", 32)  # any 32 bytes are read as a point


@given(
    st.text(max_size=100) | st.binary(max_size=100).map(lambda data: f":{base64.b64encode(data).decode()}:")
)
def test_whatever_a_proxy_passes_on_is_refused_by_name(text: str):
    scope: Any = {"type": "http", "headers": [], "client": ("127.0.0.1", 1)}
    scope["extensions"] = {"tls": {"client_cert_chain": [text]}}
    with pytest.raises(InvalidCertificateError):
        Certificates().thumbprint(scope)
