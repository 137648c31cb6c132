"""Public keys of clients and the signatures accepted from them (FAPI 2.0 section 5.4).

Straight on ``cryptography``: a proof of possession is verified with every request, so what can be prepared
once per key is, and nothing but the signature itself is computed per message.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ALGORITHMS: Final = ("ES256", "PS256", "EdDSA", "Ed25519")
"""Never RS256, HS256 or none. EdDSA is the old name of Ed25519 (RFC 9864)."""

KEYS_MAX: Final = 10  # of one client
_RSA_BITS_MIN: Final = 2048
_RSA_BITS_MAX: Final = 4096  # a larger one costs more than it protects
_EXPONENT_BITS_MAX: Final = 32
_COORDINATE_BYTES: Final = 32
_ED25519: Final = frozenset({"EdDSA", "Ed25519"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
_ECDSA: Final = ec.ECDSA(hashes.SHA256())

_Text = Annotated[str, msgspec.Meta(max_length=1024)]


class _Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a public JWK that matter here (RFC 7517); others are ignored, as it wants."""

    kty: str
    crv: str | None = None
    x: _Text | None = None
    y: _Text | None = None
    n: _Text | None = None
    e: _Text | None = None
    kid: str | None = None
    use: str | None = None
    alg: str | None = None


class PublicKey(msgspec.Struct, frozen=True):
    """A usable public key.

    Attributes:
        algorithms: what signatures by it may be called.
        thumbprint: RFC 7638, SHA-256, base64url.
        verify: takes the signature and what was signed; raises ``ValueError`` where they do not fit.
        kid: as its owner calls it.
    """

    algorithms: frozenset[str]
    thumbprint: str
    verify: Callable[[bytes, bytes], None]
    kid: str | None


def read_key(jwk: dict[str, Any]) -> PublicKey:
    """Read a public key.

    Raises:
        ValueError: it is private, too weak, for encryption, malformed, or of a kind that is not accepted.
    """
    if not _PRIVATE.isdisjoint(jwk):
        raise ValueError("the key is private")
    try:
        key = msgspec.convert(jwk, _Jwk)
    except msgspec.ValidationError as error:
        raise ValueError("the key is malformed") from error
    if key.use not in (None, "sig"):
        raise ValueError("the key is not for signatures")
    kinds: dict[tuple[str, str | None], tuple[frozenset[str], Callable[[_Jwk], Any]]] = {
        ("EC", "P-256"): (frozenset({"ES256"}), _ec_verify),
        ("OKP", "Ed25519"): (_ED25519, _ed25519_verify),
        ("RSA", None): (frozenset({"PS256"}), _rsa_verify),
    }
    known = kinds.get((key.kty, key.crv))
    if known is None or key.alg not in (None, *known[0]):
        raise ValueError("the key is of no accepted kind")
    return PublicKey(known[0], _thumbprint(key), known[1](key), key.kid)


def read_keys(jwks: dict[str, Any]) -> list[PublicKey]:
    """Read a client's key set; keys that are not for us are left out, several may share a ``kid``.

    Raises:
        ValueError: it is no key set, is too long, or holds no usable key.
    """
    listed = jwks.get("keys")
    if not isinstance(listed, list) or not 0 < len(listed) <= KEYS_MAX:
        raise ValueError(f"a key set holds 1 to {KEYS_MAX} keys")
    keys = []
    for jwk in listed:
        try:
            keys.append(read_key(jwk if isinstance(jwk, dict) else {}))
        except ValueError:
            continue
    if not keys:
        raise ValueError("the key set holds no usable key")
    return keys


def verify_with_any(
    keys: list[PublicKey], alg: str, kid: str | None, signature: bytes, signed: bytes
) -> None:
    """Verify with the one of several keys that made the signature.

    Raises:
        ValueError: none of them did.
    """
    for key in keys:
        if alg in key.algorithms and kid in (None, key.kid):
            try:
                key.verify(signature, signed)
            except ValueError:
                continue
            return
    raise ValueError("no key made this signature")


def unbase64url(segment: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), and nothing that only resembles it.

    Raises:
        ValueError: it is something else.
    """
    # Python's decoder takes the standard alphabet and padding too, and bits beyond the last byte.
    if "=" in segment or "+" in segment or "/" in segment:
        raise binascii.Error("not base64url")
    return base64.b64decode(segment.encode("ascii") + b"=" * (-len(segment) % 4), b"-_", validate=True)


def base64url(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _ec_verify(key: _Jwk) -> Callable[[bytes, bytes], None]:
    x, y = unbase64url(key.x or ""), unbase64url(key.y or "")
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        raise ValueError("a coordinate has another length")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    public = numbers.public_key()  # refuses a point that is not on the curve

    def verify(signature: bytes, signed: bytes) -> None:
        if len(signature) != 2 * _COORDINATE_BYTES:
            raise ValueError("an ES256 signature has 64 bytes")
        r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
        try:
            public.verify(encode_dss_signature(int.from_bytes(r), int.from_bytes(s)), signed, _ECDSA)
        except InvalidSignature as error:
            raise ValueError("the signature does not fit") from error

    return verify


def _ed25519_verify(key: _Jwk) -> Callable[[bytes, bytes], None]:
    public = ed25519.Ed25519PublicKey.from_public_bytes(unbase64url(key.x or ""))

    def verify(signature: bytes, signed: bytes) -> None:
        try:
            public.verify(signature, signed)
        except InvalidSignature as error:
            raise ValueError("the signature does not fit") from error

    return verify


def _rsa_verify(key: _Jwk) -> Callable[[bytes, bytes], None]:
    modulus, exponent = (int.from_bytes(unbase64url(text or "")) for text in (key.n, key.e))
    if (
        not _RSA_BITS_MIN <= modulus.bit_length() <= _RSA_BITS_MAX
        or exponent.bit_length() > _EXPONENT_BITS_MAX
    ):
        raise ValueError("an RSA key has 2048 to 4096 bits")
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()

    def verify(signature: bytes, signed: bytes) -> None:
        try:
            public.verify(signature, signed, _PSS, hashes.SHA256())
        except InvalidSignature as error:
            raise ValueError("the signature does not fit") from error

    return verify


def _thumbprint(key: _Jwk) -> str:
    names = {"EC": "crv kty x y", "OKP": "crv kty x", "RSA": "e kty n"}[key.kty].split()
    canonical = msgspec.json.encode({name: getattr(key, name) for name in names})
    return base64url(hashlib.sha256(canonical).digest())
