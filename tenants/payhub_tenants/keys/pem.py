"""Keys in PEM form: checked, written as they are kept, and named."""

import hashlib
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from payhub_platform.errors import InvalidInputError
from payhub_platform.security import jws
from payhub_tenants.tenants.errors import UnsuitableKeyError

KEY_ID_CHARS: Final = 16


def checked_public_key(pem: str, where: str) -> str:
    """Return a public key's PEM as it is kept; refuse what is no P-256 or RSA public key."""
    try:
        key = jws.load_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnsuitableKeyError("This is no public key in PEM form.", where) from error
    except InvalidInputError as error:
        raise UnsuitableKeyError(error.detail, where) from error
    # Written anew, because whatever stands beside the key, such as its private half, would be kept and shown.
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def checked_private_key(pem: str, where: str) -> str:
    """Return a private key's PEM as it is kept; refuse what is no P-256 or RSA key without a password."""
    try:
        jws.load_private_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's words may quote the key, so they are not passed on.
        raise UnsuitableKeyError("This is no unencrypted private key in PEM form.", where) from error
    except InvalidInputError as error:
        raise UnsuitableKeyError(error.detail, where) from error
    return pem.strip() + "\n"


def key_id_of(public_key_pem: str) -> str:
    """Name a key by the SHA-256 of its SubjectPublicKeyInfo, shortened."""
    der = jws.load_public_key(public_key_pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:KEY_ID_CHARS]
