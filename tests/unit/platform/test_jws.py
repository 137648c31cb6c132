import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared_data import shared_file

from payhub_platform.errors import InvalidInputError
from payhub_platform.security import jws

BODY = '{"transferId":"85feac2f","note":"Ngũgĩ"}'.encode()
HEADERS = {
    "FSPIOP-Source": "lion",
    "FSPIOP-Destination": "rhino",
    "Date": "Fri, 20 Nov 2026 23:24:28 GMT",
}
PRIVATE = jws.new_private_key_pem()


def received(extra: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in {**HEADERS, **extra}.items()}


def signed() -> dict[str, str]:
    return received(jws.sign(BODY, HEADERS, "/fspiop/transfers", "POST", jws.load_private_key(PRIVATE)))


def check(
    headers: dict[str, str], body: bytes = BODY, path: str = "/transfers", method: str = "POST"
) -> None:
    jws.verify(body, headers, path, method, jws.load_public_key(jws.public_pem(PRIVATE)))


def test_what_was_signed_verifies_and_the_path_prefix_does_not_count() -> None:
    check(signed())
    check(signed(), path="/any/prefix/transfers")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("fspiop-source", "buffalo"),
        ("fspiop-destination", "buffalo"),
        ("date", "Fri, 20 Nov 2026 23:24:29 GMT"),
        ("fspiop-signature", ""),
        ("fspiop-signature", "{}"),
        ("fspiop-signature", '{"signature":"AA","protectedHeader":"e30"}'),
    ],
)
def test_a_changed_header_is_refused(header: str, value: str) -> None:
    with pytest.raises(jws.SignatureError):
        check({**signed(), header: value})


def test_another_body_path_method_or_key_is_refused() -> None:
    for arguments in ({"body": BODY + b" "}, {"path": "/quotes"}, {"method": "PUT"}):
        with pytest.raises(jws.SignatureError):
            check(signed(), **arguments)
    other = jws.load_public_key(jws.public_pem(jws.new_private_key_pem()))
    with pytest.raises(jws.SignatureError):
        jws.verify(BODY, signed(), "/transfers", "POST", other)


def test_a_destination_that_is_present_must_be_protected() -> None:
    source_only = {"FSPIOP-Source": "lion"}
    made = jws.sign(BODY, source_only, "/transfers", "POST", jws.load_private_key(PRIVATE))
    with pytest.raises(jws.SignatureError):
        check(received(made))


@given(st.binary(max_size=200))
def test_rubbish_in_the_signature_header_never_raises_anything_else(rubbish: bytes) -> None:
    for value in (rubbish.decode("latin-1"), base64.b64encode(rubbish).decode()):
        with pytest.raises(jws.SignatureError):
            check({**signed(), "fspiop-signature": value})


@pytest.mark.parametrize(
    "protected", ["[1]", "7", '"x"', "null", "[" * 50_000, '{"alg":"ES256","crit":["b64"]}']
)
def test_a_protected_header_of_another_form_is_no_signature(protected: str) -> None:
    head = base64.urlsafe_b64encode(protected.encode()).decode()
    value = json.dumps({"signature": "AA", "protectedHeader": head})
    with pytest.raises(jws.SignatureError):
        check({**signed(), "fspiop-signature": value})


@pytest.mark.parametrize(("algorithm", "other"), [("ES256", "RS256"), ("RS256", "ES256")])
def test_a_key_signs_and_verifies_its_own_algorithm_alone(algorithm: jws.Algorithm, other: str) -> None:
    key = jws.load_private_key(jws.new_private_key_pem(algorithm))
    assert jws.algorithm_of(key) == algorithm
    made = received(jws.sign(BODY, HEADERS, "/transfers", "POST", key))
    jws.verify(BODY, made, "/transfers", "POST", key.public_key())
    parts = json.loads(made["fspiop-signature"])
    protected = json.loads(base64.urlsafe_b64decode(parts["protectedHeader"] + "=="))
    for alg in (other, "none", "HS256", None):
        head = base64.urlsafe_b64encode(json.dumps({**protected, "alg": alg}).encode()).decode().rstrip("=")
        value = json.dumps({**parts, "protectedHeader": head})
        with pytest.raises(jws.SignatureError):
            jws.verify(BODY, {**made, "fspiop-signature": value}, "/transfers", "POST", key.public_key())


@pytest.mark.parametrize(
    ("path", "signed_path"),
    [
        ("/fspiop/transfers/1", "/transfers/1"),
        ("/fspiop/lion/fxQuotes/1/error", "/fxQuotes/1/error"),
        ("/t/services/FXP/KES/UGX", "/services/FXP/KES/UGX"),
        ("/transactions/1", "/transactions/1"),
        ("/transactionRequests/1", "/transactionRequests/1"),
        ("/x/parties/ALIAS/quotes", "/parties/ALIAS/quotes"),
        ("/transfers/1\n", "/transfers/1\n"),
        ("/parties/ALIAS/1\n/quotes/1", "/parties/ALIAS/1\n/quotes/1"),
    ],
)
def test_the_signed_uri_begins_at_the_resource(path: str, signed_path: str) -> None:
    assert jws.signed_uri(path) == signed_path


def test_weak_and_foreign_keys_are_refused() -> None:
    with pytest.raises((InvalidInputError, ValueError)):
        jws.load_private_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def test_mojaloops_own_signatures_verify_and_rs256_is_made_identically() -> None:
    vectors = json.loads(shared_file("vectors", "sdk_standard_components_vectors.json").read_text())["jws"]
    assert {vector["alg"] for vector in vectors} == {"RS256", "ES256"}
    for vector in vectors:
        headers, body = vector["headers"], vector["body"].encode()
        uri = headers["fspiop-uri"]
        jws.verify(body, headers, uri, "POST", jws.load_public_key(vector["publicKey"]))
        if vector["alg"] == "RS256":
            names = {
                "FSPIOP-Source": headers["fspiop-source"],
                "FSPIOP-Destination": headers["fspiop-destination"],
                "Date": headers["date"],
            }
            ours = jws.sign(body, names, uri, "POST", jws.load_private_key(vector["privateKey"]))
            assert ours["FSPIOP-Signature"] == headers["fspiop-signature"]
