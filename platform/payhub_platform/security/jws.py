"""FSPIOP signatures (Signature 1.1): JWS over the body with FSPIOP's protected headers, ES256 or RS256."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from payhub_platform.errors import InvalidInputError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

Algorithm = Literal["ES256", "RS256"]

RSA_BITS_MIN: Final = (
    2048  # Signature 1.1 section 3.2; each further 1,024 more than double what signing costs
)

_COORDINATE_BYTES: Final = 32
_RESOURCE: Final = re.compile(
    r"/(?:participants|parties|services|transactionRequests|authorizations|quotes|transfers|transactions"
    r"|bulkQuotes|bulkTransfers|fxQuotes|fxTransfers)(?:/.*)?\Z",
    re.DOTALL,  # an identifier may hold a line feed, and is signed with it
)


class SignatureError(InvalidInputError):
    """The signature is missing, wrong or made by somebody else (FSPIOP error 3105)."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid-signature", detail, "header:FSPIOP-Signature")


def new_private_key_pem(algorithm: Algorithm = "ES256") -> str:
    """Make a signing key: P-256 for ES256, or RSA for a scheme that verifies RS256 alone."""
    key: PrivateKey
    if algorithm == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS_MIN)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def public_pem(private_key_pem: str) -> str:
    """Return the public half of a private key, as PEM."""
    public = load_private_key(private_key_pem).public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def load_private_key(pem: str) -> PrivateKey:
    """Read a private key; only P-256 and RSA of at least 2048 bits are accepted."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    _check_key(key)
    assert isinstance(key, PrivateKey)  # noqa: S101 - narrowed by the check above
    return key


def load_public_key(pem: str) -> PublicKey:
    """Read a public key; only P-256 and RSA of at least 2048 bits are accepted."""
    key = serialization.load_pem_public_key(pem.encode())
    _check_key(key)
    assert isinstance(key, PublicKey)  # noqa: S101 - narrowed by the check above
    return key


def algorithm_of(key: PrivateKey | PublicKey) -> Algorithm:
    """Return the only algorithm that a key signs with."""
    is_curve = isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey)
    return "ES256" if is_curve else "RS256"


def signed_uri(path: str) -> str:
    """Cut everything before the resource name, as FSPIOP-URI wants it."""
    found = _RESOURCE.search(path)
    return found[0] if found else path


def sign(body: bytes, headers: Mapping[str, str], path: str, method: str, key: PrivateKey) -> dict[str, str]:
    """Return the signature headers for a message.

    Args:
        body: exactly the bytes that will be sent, compact JSON (validators re-stringify it).
        headers: the message's headers; FSPIOP-Source, FSPIOP-Destination and Date are protected.
        path: path of the request, with or without a prefix.
        method: HTTP method.
        key: the sender's key.
    """
    uri = signed_uri(path)
    protected: dict[str, str] = {
        "alg": algorithm_of(key),
        "FSPIOP-URI": uri,
        "FSPIOP-HTTP-Method": method,
        "FSPIOP-Source": headers["FSPIOP-Source"],
    }
    for name in ("FSPIOP-Destination", "Date"):
        if name in headers:
            protected[name] = headers[name]
    head = _b64(json.dumps(protected, separators=(",", ":"), ensure_ascii=False).encode())
    signing_input = head + b"." + _b64(body)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signing_input, ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    else:
        raw = key.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())
    value = {"signature": _b64(raw).decode(), "protectedHeader": head.decode()}
    return {
        "FSPIOP-Signature": json.dumps(value, separators=(",", ":")),
        "FSPIOP-URI": uri,
        "FSPIOP-HTTP-Method": method,
    }


def verify(body: bytes, headers: Mapping[str, str], path: str, method: str, key: PublicKey) -> None:
    """Check a message's signature against the key of its FSPIOP-Source.

    Args:
        body: the bytes as received.
        headers: the message's headers, by lower-case name.
        path: path of the request, with or without a prefix.
        method: HTTP method.
        key: public key of the FSP named by FSPIOP-Source.

    Raises:
        SignatureError: what does not hold.
    """
    head, raw, protected = _parse(headers.get("fspiop-signature", ""))
    expected: dict[str, str | None] = {
        "alg": algorithm_of(key),
        "FSPIOP-URI": signed_uri(path),
        "FSPIOP-HTTP-Method": method,
        "FSPIOP-Source": headers.get("fspiop-source"),
        "FSPIOP-Destination": headers.get("fspiop-destination"),
        "Date": headers.get("date"),
    }
    for name, value in expected.items():
        if protected.get(name) != value and not (name == "Date" and name not in protected):
            raise SignatureError(f"The protected header {name} does not match the message.")
    signing_input = head.encode() + b"." + _b64(body)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if len(raw) != 2 * _COORDINATE_BYTES:
                raise SignatureError("An ES256 signature has 64 bytes.")
            r, s = raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]
            der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            key.verify(der, signing_input, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(raw, signing_input, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise SignatureError("The signature does not match the message.") from error


class _SignatureHeader(msgspec.Struct, frozen=True):
    signature: str
    protected_header: str = msgspec.field(name="protectedHeader")


def _parse(value: str) -> tuple[str, bytes, dict[str, Any]]:
    try:
        parts = msgspec.json.decode(value, type=_SignatureHeader)
        head = parts.protected_header
        protected = msgspec.json.decode(_unb64(head), type=dict[str, Any])
        raw = _unb64(parts.signature)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SignatureError("FSPIOP-Signature is missing or malformed.") from error
    if "crit" in protected:
        # RFC 7515 section 4.1.11: what must be understood and is not makes a signature invalid.
        raise SignatureError("FSPIOP-Signature demands an extension that is not known here.")
    return head, raw, protected


def _check_key(key: object) -> None:
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        fits = isinstance(key.curve, ec.SECP256R1)
    else:
        sizes = isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey)
        fits = sizes and key.key_size >= RSA_BITS_MIN  # type: ignore[attr-defined]
    if not fits:
        raise InvalidInputError("unsuitable-key", "Keys must be EC P-256 or RSA of 2048 bits or more.")


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
