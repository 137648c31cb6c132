"""Our signatures read by Mojaloop's own library, and its signatures by us."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from payhub_platform.security import jws

HERE = Path(__file__).parent
DATE = "Fri, 20 Nov 2026 23:24:28 GMT"
EVERY_CHARACTER = "".join(map(chr, (*range(0x250), 0x2028, 0x2029, 0xFFFD, 0x1F4B0)))
BODIES = [
    '{"transferId":"85feac2f-39b2-491b-817e-4a03203d4f14","amount":{"currency":"KES","amount":"10.5"}}',
    # As a message of ours is written; their validator reads it and writes it again before it verifies.
    msgspec.json.encode({"note": EVERY_CHARACTER, "n": 1.5, "a": [1, 2, {}], "empty": ""}).decode(),
]
PATHS = ["/transfers", "/quotes/7c23e80c-d078-4077-8263-2c047876fcf6", "/parties/ALIAS/a%20b/till-1/error"]
Ask = Callable[[list[dict[str, Any]]], list[Any]]


@pytest.fixture(scope="module")
def mojaloop(node_modules, driver) -> Ask:
    modules = node_modules(HERE)
    return lambda questions: driver(HERE / "driver.js", modules, questions)


def pem_of(kind: str) -> str:
    """Return a private key as OpenSSL's traditional PEM, by which their library knows the algorithm."""
    key: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ES256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, traditional, serialization.NoEncryption())
    return encoded.decode()


KEYS = {kind: pem_of(kind) for kind in ("RS256", "ES256")}
CASES = [
    (kind, method, path, body, destination)
    for kind in KEYS
    for method, path in zip(("POST", "PUT", "PUT"), PATHS, strict=True)
    for body in BODIES
    for destination in ("rhino", "")
]


def named(destination: str) -> dict[str, str]:
    to = {"FSPIOP-Destination": destination} if destination else {}
    return {"FSPIOP-Source": "lion", **to, "Date": DATE}


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_mojaloop_verifies_what_we_sign(mojaloop: Ask) -> None:
    questions = []
    for kind, method, path, body, destination in CASES:
        sent = named(destination)
        sent |= jws.sign(
            body.encode(), sent, f"/tenant/fspiop{path}", method, jws.load_private_key(KEYS[kind])
        )
        keys = {"lion": jws.public_pem(KEYS[kind])}
        questions.append({"action": "verify", "keys": keys, "headers": lower(sent), "body": body})
    assert [answer["valid"] for answer in mojaloop(questions)] == [True] * len(CASES)


def test_mojaloop_refuses_what_was_changed_after_we_signed(mojaloop: Ask) -> None:
    questions = []
    for kind, method, path, body, destination in CASES:
        sent = named(destination)
        sent |= jws.sign(body.encode(), sent, path, method, jws.load_private_key(KEYS[kind]))
        headers, keys = lower(sent), {"lion": jws.public_pem(KEYS[kind])}
        other = json.dumps({**json.loads(body), "added": 1})
        stranger = (
            {"lion": jws.public_pem(pem_of(kind))}
            if kind == "ES256"
            else {"lion": jws.public_pem(KEYS["ES256"])}
        )
        asked = {"action": "verify", "keys": keys, "headers": headers, "body": body}
        changes: tuple[dict[str, Any], ...] = (
            {"body": other},
            {"headers": {**headers, "date": "Fri, 20 Nov 2026 23:24:29 GMT"}},
            {"headers": {**headers, "fspiop-uri": "/transfers/other"}},
            {"keys": stranger},
        )
        questions += [{**asked, **change} for change in changes]
    answers = mojaloop(questions)
    assert [answer["valid"] for answer in answers] == [False] * len(questions)


def test_we_verify_what_mojaloop_signs_and_refuse_it_changed(mojaloop: Ask) -> None:
    questions = [
        {
            "action": "sign",
            "key": KEYS[kind],
            "method": method,
            "uri": f"https://switch.example/base{path}",
            "headers": lower(named(destination)),
            "body": body,
        }
        for kind, method, path, body, destination in CASES
    ]
    for (kind, method, path, _, _), signed in zip(CASES, mojaloop(questions), strict=True):
        public = jws.load_public_key(jws.public_pem(KEYS[kind]))
        body, headers = signed["body"].encode(), signed["headers"]
        jws.verify(body, headers, f"/fspiop{path}", method, public)
        for changed_body, changed in (
            (body + b" ", headers),
            (body, {**headers, "fspiop-source": "rhino"}),
            (body, {**headers, "date": "Fri, 20 Nov 2026 23:24:29 GMT"}),
        ):
            with pytest.raises(jws.SignatureError):
                jws.verify(changed_body, changed, path, method, public)


def test_rs256_is_the_same_signature_byte_for_byte(mojaloop: Ask) -> None:
    headers, body = named("rhino"), BODIES[0]
    question = {"action": "sign", "key": KEYS["RS256"], "method": "POST", "uri": "/transfers"}
    (theirs,) = mojaloop([{**question, "headers": lower(headers), "body": body}])
    ours = jws.sign(body.encode(), headers, "/transfers", "POST", jws.load_private_key(KEYS["RS256"]))
    assert theirs["headers"]["fspiop-signature"] == ours["FSPIOP-Signature"]
