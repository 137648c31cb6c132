"""FSPIOP signatures as a hub makes and checks them (Signature 1.1; RS256 and ES256).

Written for the sandbox alone, so that it checks payhub's own signatures from outside. Like Mojaloop's
validators it verifies what ``JSON.stringify(JSON.parse(body))`` gives where the bytes as received do not
verify.
"""

import base64
import binascii
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from payhub_sandbox.switch.refusal import INVALID_SIGNATURE, FspiopRefusalError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Algorithm = Literal["RS256", "ES256"]
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

RSA_BITS_MIN: Final = 2048  # Signature 1.1 section 3.2
_HALF_BYTES: Final = 32  # of an ES256 signature: r and s
_HEADERS: Final = ("FSPIOP-Signature", "FSPIOP-URI", "FSPIOP-HTTP-Method")


class _Parts(msgspec.Struct, frozen=True, rename="camel"):
    signature: str
    protected_header: str


def new_private_key_pem(algorithm: Algorithm = "ES256") -> str:
    """Make a signing key as PEM."""
    key: PrivateKey = (
        rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS_MIN)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


def read_private_key(pem: str) -> PrivateKey:
    """Read a PEM private key of the sandbox's own."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)  # noqa: S101 - the switch's own
    return key


def read_public_key(pem: str) -> PublicKey:
    """Read a PEM public key.

    Raises:
        ValueError: it is no key that FSPIOP verifies with.
    """
    key = serialization.load_pem_public_key(pem.encode())
    _check_strength(key)
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - narrowed above
    return key


def public_pem_of(key: PrivateKey) -> str:
    """Return the public half of a key as PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


def signature_headers(
    body: bytes, headers: Mapping[str, str], uri: str, method: str, key: PrivateKey
) -> dict[str, str]:
    """Sign a message.

    Args:
        body: compact JSON, as it will be sent.
        headers: with FSPIOP's spelling; source, destination and date are protected.
        uri: path from the resource name on.
        method: of the request.
        key: of the sender.
    """
    protected = {"alg": _algorithm(key), "FSPIOP-URI": uri, "FSPIOP-HTTP-Method": method}
    protected |= {
        name: headers[name] for name in ("FSPIOP-Source", "FSPIOP-Destination", "Date") if name in headers
    }
    head = _encode(msgspec.json.encode(protected))
    signed = f"{head}.{_encode(body)}".encode()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        halves = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        raw = b"".join(half.to_bytes(_HALF_BYTES, "big") for half in halves)
    else:
        raw = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    value = msgspec.json.encode(_Parts(_encode(raw), head)).decode()
    return dict(zip(_HEADERS, (value, uri, method), strict=True))


def check_signature(headers: Mapping[str, str], body: bytes, path: str, method: str, key: PublicKey) -> None:
    """Verify a message.

    Args:
        headers: by lower-case name.
        body: as received.
        path: from the resource name on, as received.
        method: of the request.
        key: of the DFSP that FSPIOP-Source names.

    Raises:
        FspiopRefusalError: 3105, with what does not hold.
    """
    missing = next((name for name in _HEADERS if not headers.get(name.lower())), None)
    if missing is not None:
        raise _invalid(f"The header {missing} is missing.")
    try:
        parts = msgspec.json.decode(headers["fspiop-signature"], type=_Parts)
        protected = msgspec.json.decode(_decode(parts.protected_header), type=dict[str, Any])
        raw = _decode(parts.signature)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
        raise _invalid("FSPIOP-Signature is malformed.") from error
    expected = {
        "alg": _algorithm(key),
        "FSPIOP-URI": path,
        "FSPIOP-HTTP-Method": method,
        "FSPIOP-Source": headers.get("fspiop-source"),
        "FSPIOP-Destination": headers.get("fspiop-destination"),
        "Date": headers.get("date") if "Date" in protected else None,
    }
    wrong = next((name for name, value in expected.items() if protected.get(name) != value), None)
    if wrong is not None:
        raise _invalid(f"The protected header {wrong} does not match the message.")
    if headers["fspiop-uri"] != path or headers["fspiop-http-method"] != method:
        raise _invalid("FSPIOP-URI or FSPIOP-HTTP-Method does not match the request.")
    head = parts.protected_header
    if not any(_verifies(key, raw, f"{head}.{_encode(one)}".encode()) for one in _readings(body)):
        raise _invalid("The signature does not match the message.")


def _verifies(key: PublicKey, raw: bytes, signed: bytes) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if len(raw) != 2 * _HALF_BYTES:
                return False
            r, s = (int.from_bytes(half, "big") for half in (raw[:_HALF_BYTES], raw[_HALF_BYTES:]))
            key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(raw, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _readings(body: bytes) -> Iterator[bytes]:
    """Return the body as received, and then as JSON that was read and written again."""
    yield body
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        yield msgspec.json.encode(msgspec.json.decode(body))


def _algorithm(key: PrivateKey | PublicKey) -> str:
    return "RS256" if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else "ES256"


def _check_strength(key: object) -> None:
    strong_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN
    p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not (strong_rsa or p256):
        raise ValueError("neither an EC key of P-256 nor an RSA key of at least 2048 bits")


def _invalid(description: str) -> FspiopRefusalError:
    return FspiopRefusalError(INVALID_SIGNATURE, description)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
