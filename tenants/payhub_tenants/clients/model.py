"""An OAuth client and its public keys. Pure."""

import base64
from typing import Annotated, Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct, field, to_builtins
from msgspec.structs import replace

from payhub_platform.errors import InvalidInputError
from payhub_tenants.clients.errors import PrivateKeySentError, UnsuitableJwkError
from payhub_tenants.fields import Body, ClientId, DisplayName, View

CLIENTS_MAX: Final = 50  # with KEYS_MAX keys each, a configuration stays far below NATS's 1 MiB
KEYS_MAX: Final = 5
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
P256_BYTES: Final = 32

Scope = Literal[
    "payments:write",
    "payments:read",
    "accounts:read",
    "parties:write",
    "clients:register",
    "tokens:introspect",
    "members:identify",
]
Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=7)]
Base64Url = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,2048}\Z")]
KeyId = Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z")]


class Jwk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON Web Key (RFC 7517); members of private keys are named so that they can be refused."""

    kty: Literal["EC", "OKP", "RSA", "oct"]
    kid: KeyId | None = None
    use: str | None = None
    alg: str | None = None
    key_ops: list[str] | None = None
    crv: str | None = None
    x: Base64Url | None = None
    y: Base64Url | None = None
    n: Base64Url | None = None
    e: Base64Url | None = None
    x5c: list[str] | None = None
    x5t: str | None = None
    x5t_s256: str | None = field(name="x5t#S256", default=None)
    d: str | None = None
    p: str | None = None
    q: str | None = None
    dp: str | None = None
    dq: str | None = None
    qi: str | None = None
    oth: list[Any] | None = None
    k: str | None = None


_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_ALGORITHMS: Final = {"EC": ("ES256",), "OKP": ("EdDSA", "Ed25519"), "RSA": ("PS256",)}


class JwkSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of public keys (RFC 7517 section 5)."""

    keys: Annotated[list[Jwk], Meta(min_length=1, max_length=KEYS_MAX)]


class RegisterClient(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/clients``.

    A client without keys shows a certificate of the institution's own authority to its name instead.
    """

    client_id: ClientId
    name: DisplayName
    scopes: Scopes
    jwks: JwkSet | None = None


class Client(Struct, frozen=True, kw_only=True):
    """A client as it is kept."""

    client_id: str
    tenant_id: str
    name: str
    jwks: dict[str, Any]
    scopes: list[str]
    request_fingerprint: str
    created_at_ms: int


class ClientView(View, frozen=True, kw_only=True):
    """A client as the aggregator sees it; its keys are public."""

    client_id: str
    name: str
    scopes: list[str]
    jwks: dict[str, Any]


def client_view(client: Client) -> ClientView:
    """Return what the aggregator sees of a client."""
    return ClientView(client_id=client.client_id, name=client.name, scopes=client.scopes, jwks=client.jwks)


def checked_request(request: RegisterClient) -> RegisterClient:
    """Check what the types of the fields cannot say; return the request with scopes in order.

    Raises:
        InvalidInputError: ``private-key-sent``, ``unsuitable-key`` or ``duplicate-scope``.
    """
    if len(set(request.scopes)) != len(request.scopes):
        raise InvalidInputError("duplicate-scope", "Each scope is named once.", "/scopes")
    check_keys([] if request.jwks is None else request.jwks.keys)
    return replace(request, scopes=sorted(request.scopes))


def check_keys(keys: list[Jwk]) -> None:
    """Refuse private keys, keys that cannot sign assertions, and keys that cannot be told apart."""
    names = [key.kid for key in keys]
    for index, key in enumerate(keys):
        where = f"/jwks/keys/{index}"
        _check_public(key, where)
        _check_purpose(key, where)
        if not _is_usable(key):
            raise UnsuitableJwkError("Keys are EC P-256, OKP Ed25519 or RSA of 2048 to 8192 bits.", where)
        if len(keys) > 1 and (key.kid is None or names.count(key.kid) > 1):
            raise UnsuitableJwkError("Several keys are told apart by their kid.", f"{where}/kid")


def public_jwks(sent: JwkSet | None) -> dict[str, Any]:
    """Return the keys as they are kept and published: without certificates, which nobody checks."""
    if sent is None:
        return {}
    bare = [replace(key, x5c=None, x5t=None, x5t_s256=None) for key in sent.keys]
    return {"keys": to_builtins(bare)}


def _check_public(key: Jwk, where: str) -> None:
    for member in _PRIVATE_MEMBERS:
        if getattr(key, member) is not None:
            raise PrivateKeySentError(f"{where}/{member}")
    if key.kty == "oct":
        raise PrivateKeySentError(f"{where}/kty")


def _check_purpose(key: Jwk, where: str) -> None:
    if key.use not in (None, "sig"):
        raise UnsuitableJwkError("The key must be for signatures.", f"{where}/use")
    if key.key_ops not in (None, ["verify"]):
        raise UnsuitableJwkError("A public key's operation is to verify.", f"{where}/key_ops")
    if key.alg is not None and key.alg not in _ALGORITHMS[key.kty]:
        raise UnsuitableJwkError("Assertions are signed with ES256, PS256 or EdDSA.", f"{where}/alg")


def _is_usable(key: Jwk) -> bool:
    try:
        match key.kty, key.crv:
            case "EC", "P-256":
                x, y = _bytes(key.x), _bytes(key.y)
                numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
                numbers.public_key()  # refuses what is no point of the curve
                return len(x) == len(y) == P256_BYTES
            case "OKP", "Ed25519":
                Ed25519PublicKey.from_public_bytes(_bytes(key.x))
                return True
            case "RSA", None:
                modulus = int.from_bytes(_bytes(key.n))
                rsa.RSAPublicNumbers(int.from_bytes(_bytes(key.e)), modulus).public_key()
                return RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX
            case _:
                return False
    except ValueError:
        return False


def _bytes(text: str | None) -> bytes:
    if text is None:
        raise ValueError("a member of the key is missing")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
