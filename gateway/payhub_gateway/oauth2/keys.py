"""The gateway's own token signing key, and the public keys of its clients."""

import os
import stat
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, KeySetSerialization, RSAKey
from joserfc.jws import JWSRegistry

from payhub_gateway.oauth2 import model
from payhub_platform.errors import PayhubError

TOKEN_ALGORITHM: Final = "ES256"  # noqa: S105 - an algorithm, not a secret
_OWNER_ONLY: Final = 0o600
_RSA_BITS_MIN: Final = 2048
_P256: Final = "P-256"


class SigningKeyError(PayhubError):
    """The token signing key on disk cannot be used."""


class AssertionRegistry(JWSRegistry):
    """The signatures accepted from clients, and no others.

    joserfc's own list allows HS256 and RS256 by default. ``EdDSA`` is served by Ed25519's implementation,
    which keeps Ed448 out and does not warn about the old name.
    """

    algorithms = {
        "ES256": JWSRegistry.algorithms["ES256"],
        "PS256": JWSRegistry.algorithms["PS256"],
        "EdDSA": JWSRegistry.algorithms["Ed25519"],
        "Ed25519": JWSRegistry.algorithms["Ed25519"],
    }


ASSERTION_REGISTRY: Final = AssertionRegistry(algorithms=model.ASSERTION_ALGORITHMS)
TOKEN_REGISTRY: Final = JWSRegistry(algorithms=[TOKEN_ALGORITHM])


def load_or_create_signing_key(path: Path) -> ECKey:
    """Return the token signing key (P-256, kid = RFC 7638 thumbprint); make it on the first start.

    The file appears whole and with mode 600 or not at all; of two processes that make it at the same
    time, both use the one that came first.

    Raises:
        SigningKeyError: others may read the file, or it holds no such key.
    """
    if not path.exists():
        _create(path)
    if stat.S_IMODE(path.stat().st_mode) & ~_OWNER_ONLY:
        raise SigningKeyError("signing-key-exposed", f"{path.name} must have mode 600.")
    try:
        key = ECKey.import_key(msgspec.json.decode(path.read_bytes(), type=dict[str, str | list[str]]))
        usable = key.is_private and key.curve_name == _P256
    except (JoseError, msgspec.MsgspecError, ValueError, KeyError) as error:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no signing key.") from error
    if not usable:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no private P-256 key.")
    return key


def client_keys(jwks: dict[str, Any]) -> KeySet:
    """Read a client's public keys; those that are too weak are left out.

    Raises:
        ValueError: no usable key is left.
    """
    try:
        keys = KeySet.import_key_set(cast("KeySetSerialization", jwks))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("the client's JWKS cannot be read") from error
    strong = [key for key in keys if not isinstance(key, RSAKey) or _bits(key) >= _RSA_BITS_MIN]
    if not strong:
        raise ValueError("the client's JWKS holds no key that is strong enough")
    return KeySet(strong)


def _bits(key: RSAKey) -> int:
    public = key.public_key
    return public.key_size if isinstance(public, RSAPublicKey) else 0


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = ECKey.generate_key(_P256, {"use": "sig", "alg": TOKEN_ALGORITHM}, auto_kid=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(key.as_dict(private=True)))
        file.flush()
        os.fsync(file.fileno())
    try:
        # link, unlike rename, never replaces a key that another process has just made.
        path.hardlink_to(unfinished)
    except FileExistsError:
        return
    finally:
        unfinished.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
