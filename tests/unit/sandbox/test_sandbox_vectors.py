"""ILP and JWS of the sandbox against golden vectors of Mojaloop's own library."""

import functools
import json

import pytest
from support.shared_data import shared_file

from payhub_platform.money import Money
from payhub_sandbox.residents import ilp
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.signature import (
    check_signature,
    read_private_key,
    read_public_key,
    signature_headers,
)


@functools.cache
def vectors():
    return json.loads(shared_file("vectors", "sdk_standard_components_vectors.json").read_text())


def v1_vectors():
    return [one for one in vectors()["ilp"] if one["version"] == "v1"]


def test_packets_conditions_and_fulfilments_of_version_1():
    for one in v1_vectors():
        transaction, result = one["transactionObject"], one["result"]
        amount = Money.parse(transaction["amount"]["amount"], transaction["amount"]["currency"])
        packet = ilp.packet(amount, one["decoded"]["account"], transaction)
        secret = one["secret"].encode()
        assert packet == result["ilpPacket"]
        assert ilp.fulfilment_of(secret, packet) == result["fulfilment"]
        assert ilp.condition_for(secret, packet) == result["condition"]
        assert opens(result["condition"], result["fulfilment"])
    assert len(v1_vectors()) >= 8


@pytest.mark.parametrize("index", [0, 1])
def test_signatures_of_the_library_verify_and_ours_are_the_same(index):
    one = vectors()["jws"][index]
    headers, uri = one["headers"], one["headers"]["fspiop-uri"]
    body = one["body"].encode() if isinstance(one["body"], str) else json.dumps(one["body"]).encode()
    check_signature(headers, body, uri, "POST", read_public_key(one["publicKey"]))
    named = {"FSPIOP-Source": headers["fspiop-source"], "FSPIOP-Destination": headers["fspiop-destination"]}
    stringified = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    ours = signature_headers(
        stringified, named | {"Date": headers["date"]}, uri, "POST", read_private_key(one["privateKey"])
    )
    theirs, mine = (json.loads(text) for text in (headers["fspiop-signature"], ours["FSPIOP-Signature"]))
    assert mine["protectedHeader"] == theirs["protectedHeader"]
    if one["alg"] == "RS256":
        assert mine["signature"] == theirs["signature"]
