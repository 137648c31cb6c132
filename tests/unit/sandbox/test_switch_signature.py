"""The switch's signatures against payhub's own, both ways: two implementations of one specification."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payhub_platform.security import jws
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.signature import (
    check_signature,
    new_private_key_pem,
    public_pem_of,
    read_private_key,
    read_public_key,
    signature_headers,
)

PATH = "/transfers/11111111-1111-4111-8111-111111111111"
KEYS = {algorithm: new_private_key_pem(algorithm) for algorithm in ("RS256", "ES256")}
HEADERS = {
    "FSPIOP-Source": "buffalo",
    "FSPIOP-Destination": "rhino",
    "Date": "Sun, 29 Nov 2026 12:00:00 GMT",
}
BODY = '{"note":"Ödhiambo","amount":"10.5"}'.encode()

OURS = {pem: jws.load_private_key(pem) for pem in KEYS.values()}
THEIRS = {pem: read_private_key(pem) for pem in KEYS.values()}

texts = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=4)


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def ours(body, pem):
    return HEADERS | jws.sign(body, HEADERS, PATH, "PUT", OURS[pem])


def theirs(body, pem):
    return HEADERS | signature_headers(body, HEADERS, PATH, "PUT", THEIRS[pem])


@pytest.mark.parametrize("pem", KEYS.values(), ids=KEYS)
@given(body=texts)
@settings(max_examples=20, deadline=None)
def test_what_one_signs_the_other_verifies(pem, body):
    data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    public = public_pem_of(THEIRS[pem])
    check_signature(lower(ours(data, pem)), data, PATH, "PUT", read_public_key(public))
    jws.verify(data, lower(theirs(data, pem)), PATH, "PUT", jws.load_public_key(public))


def test_rs256_signatures_are_the_same_bytes():
    assert ours(BODY, KEYS["RS256"]) == theirs(BODY, KEYS["RS256"])


def test_a_body_that_was_stringified_again_still_verifies():
    spaced = b'{ "note" : "x" }'
    headers = lower(ours(b'{"note":"x"}', KEYS["ES256"]))
    key = read_public_key(public_pem_of(read_private_key(KEYS["ES256"])))
    check_signature(headers, spaced, PATH, "PUT", key)


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize(
    ("change", "path", "method"),
    [
        ({"fspiop-source": "lion"}, PATH, "PUT"),
        ({"fspiop-destination": "lion"}, PATH, "PUT"),
        ({"date": "Sun, 29 Nov 2026 12:00:01 GMT"}, PATH, "PUT"),
        ({"fspiop-uri": "/transfers/2"}, PATH, "PUT"),
        ({"fspiop-http-method": "POST"}, PATH, "PUT"),
        ({"fspiop-signature": ""}, PATH, "PUT"),
        ({"fspiop-signature": "{}"}, PATH, "PUT"),
        ({"fspiop-signature": '{"signature":"x","protectedHeader":"é"}'}, PATH, "PUT"),
        ({}, PATH + "/error", "PUT"),
        ({}, PATH, "PATCH"),
    ],
)
def test_what_does_not_hold_is_3105(algorithm, change, path, method):
    pem = KEYS[algorithm]
    key = read_public_key(public_pem_of(read_private_key(pem)))
    with pytest.raises(FspiopRefusalError, match="3105"):
        check_signature(lower(ours(BODY, pem)) | change, BODY, path, method, key)


def test_another_body_key_or_algorithm_is_3105():
    keys = {name: read_public_key(public_pem_of(read_private_key(pem))) for name, pem in KEYS.items()}
    other = read_public_key(public_pem_of(read_private_key(new_private_key_pem("ES256"))))
    headers = lower(ours(BODY, KEYS["ES256"]))
    for body, key in ((BODY + b" ", other), (b"{}", keys["ES256"]), (BODY, keys["RS256"]), (BODY, other)):
        with pytest.raises(FspiopRefusalError, match="3105"):
            check_signature(headers, body, PATH, "PUT", key)
