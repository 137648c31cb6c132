"""What the shared store holds. Secrets are keys there only as their SHA-256: the store gives none away."""

import hashlib
import secrets
from typing import Any, TypeVar

import msgspec

from payhub_gateway.oauth2.store import Entry

RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class PushedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization request that a client pushed (RFC 9126), until a user decided about it."""

    client_id: str
    parameters: dict[str, str]
    details: list[dict[str, Any]]
    thumbprint: str | None  # of the DPoP key that the code will be bound to
    expires_at_ms: int
    logins_failed: int = 0
    decided: bool = False


class IssuedCode(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization code: what the user consented to, for whom, and whether it was exchanged."""

    client_id: str
    subject: str
    redirect_uri: str
    scope: str
    code_challenge: str
    details: list[dict[str, Any]]
    thumbprint: str | None
    expires_at_ms: int
    grant_id: str
    used: bool = False
    refresh_key: str = ""  # of the grant that the exchange made


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh token stands for."""

    grant_id: str
    client_id: str
    subject: str
    scope: str
    details: list[dict[str, Any]]
    issued_at_ms: int
    expires_at_ms: int


class RegisteredClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client that registered itself (RFC 7591), in the name of a tenant."""

    client_id: str
    tenant_id: str
    registered_by: str  # the client whose token allowed it
    registration_token_hash: str
    issued_at_s: int
    metadata: dict[str, Any]  # as ``registration.ClientMetadata`` writes it


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """The id of a token (``jti``) or of a grant, and when the last token of it has expired anyway."""

    revoked: str
    forget_at_ms: int


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that some copy of the gateway signs with, will soon, or did not long ago."""

    jwk: dict[str, Any]
    forget_at_ms: int


def new_secret() -> str:
    """Make a code or token that nobody guesses: 256 bits, base64url."""
    return secrets.token_urlsafe(32)


def key_of(secret: str) -> str:
    """Return the key under which the store holds what a secret stands for."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def encode(record: msgspec.Struct) -> bytes:
    """Write a record."""
    return msgspec.msgpack.encode(record)


def decode(entry: Entry | None, kind: type[RecordT]) -> RecordT | None:
    """Read a record."""
    return None if entry is None else msgspec.msgpack.decode(entry.value, type=kind)
