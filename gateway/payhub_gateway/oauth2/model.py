"""What client assertions and access tokens must say. Pure: no keys, no clock, no I/O."""

import base64
import binascii
from typing import Annotated, Any, Final

import msgspec

from payhub_gateway.oauth2.errors import RefusedAssertionError

SCOPE_READ: Final = "payments:read"
SCOPE_WRITE: Final = "payments:write"
SCOPES: Final = (SCOPE_WRITE, SCOPE_READ)

# FAPI 2.0 section 5.4: never RS256, HS256 or none. EdDSA is the old name of Ed25519 (RFC 9864).
ASSERTION_ALGORITHMS: Final = ("ES256", "PS256", "EdDSA", "Ed25519")
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE: Final = "client_credentials"
AUTH_METHOD: Final = "private_key_jwt"

TOKEN_LIFETIME_S: Final = 300
ASSERTION_AGE_MAX_S: Final = 300
CLOCK_LEEWAY_S: Final = 10  # FAPI 2.0 section 5.3.2.1 item 13
JWT_CHARS_MAX: Final = 8 * 1024
_SEGMENTS: Final = 3

NumericDate = int | float
"""Seconds since the Unix epoch (RFC 7519 section 2)."""


class JwtHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a JOSE header that is read before the signature is checked."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: list[str] | None = None
    b64: bool | None = None


class AssertionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """Claims of a client assertion (RFC 7523 section 3); ``aud`` must be one string, never an array."""

    iss: str
    sub: str
    aud: str
    exp: NumericDate
    iat: NumericDate
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    nbf: NumericDate | None = None


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """Claims of an access token (RFC 9068 section 2.2), with the tenant it speaks for."""

    iss: str
    aud: str
    sub: str
    client_id: str
    tenant: str
    scope: str
    iat: int
    exp: int
    jti: str


_HEADER: Final = msgspec.json.Decoder(JwtHeader)
_ASSERTION: Final = msgspec.json.Decoder(AssertionClaims)


def split_jwt(token: str) -> tuple[JwtHeader, bytes]:
    """Take a compact JWS apart without trusting it; return its header and its payload.

    Raises:
        ValueError: it is none, is too long, or asks for extensions (``crit``, ``b64``).
    """
    segments = token.split(".")
    if len(token) > JWT_CHARS_MAX or len(segments) != _SEGMENTS:
        raise ValueError("not a compact JWS of reasonable length")
    try:
        header = _HEADER.decode(_unbase64url(segments[0]))
        payload = _unbase64url(segments[1])
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, RecursionError) as error:
        raise ValueError("the JWS is malformed") from error
    if header.crit is not None or header.b64 is not None:
        raise ValueError("the JWS uses extensions")
    return header, payload


def read_assertion(assertion: str) -> AssertionClaims:
    """Read the claims of an assertion; nothing of it is verified yet.

    Raises:
        RefusedAssertionError: it is no JWT, its algorithm is not accepted, or claims are missing or wrong.
    """
    try:
        header, payload = split_jwt(assertion)
    except ValueError as error:
        raise RefusedAssertionError("The client assertion is not a JWT.") from error
    if header.alg not in ASSERTION_ALGORITHMS:
        raise RefusedAssertionError(
            f"The client assertion must be signed with one of {', '.join(ASSERTION_ALGORITHMS)}."
        )
    try:
        return _ASSERTION.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RefusedAssertionError(
            "The client assertion needs iss, sub, aud (one string), exp, iat and jti."
        ) from error


def check_assertion(claims: AssertionClaims, issuer: str, now_s: float) -> None:
    """Check what a verified assertion says (RFC 7523 section 3, FAPI 2.0 section 5.3.2.1 items 8 and 13).

    Comparisons are written so that NaN, which some JSON parsers let through, is refused.

    Raises:
        RefusedAssertionError: what does not hold.
    """
    if claims.iss != claims.sub:
        raise RefusedAssertionError("iss and sub of the client assertion must both be the client id.")
    if claims.aud != issuer:
        raise RefusedAssertionError("aud of the client assertion must be the issuer identifier.")
    if not claims.exp > now_s - CLOCK_LEEWAY_S:
        raise RefusedAssertionError("The client assertion has expired.")
    if not claims.iat <= now_s + CLOCK_LEEWAY_S:
        raise RefusedAssertionError("The client assertion was issued in the future.")
    if not claims.iat > now_s - ASSERTION_AGE_MAX_S - CLOCK_LEEWAY_S:
        raise RefusedAssertionError(f"The client assertion is older than {ASSERTION_AGE_MAX_S} s.")
    if claims.nbf is not None and not claims.nbf <= now_s + CLOCK_LEEWAY_S:
        raise RefusedAssertionError("The client assertion is not valid yet.")


def granted_scopes(asked: str | None, allowed: list[str]) -> list[str]:
    """Return the scopes a client gets: what it asks for, or all it may have when it asks for none.

    An empty list means that it asked for something it may not have, or that nothing is left.
    """
    offered: list[str] = [scope for scope in SCOPES if scope in allowed]
    if not asked:
        return offered
    wanted = set(asked.split(" "))
    return [scope for scope in offered if scope in wanted] if wanted.issubset(offered) else []


def metadata(issuer: str) -> dict[str, Any]:
    """Describe the server to clients (RFC 8414 section 2)."""
    return {
        "issuer": issuer,
        "token_endpoint": issuer + "/oauth2/token",
        "jwks_uri": issuer + "/oauth2/jwks",
        "response_types_supported": [],
        "grant_types_supported": [GRANT_TYPE],
        "scopes_supported": list(SCOPES),
        "token_endpoint_auth_methods_supported": [AUTH_METHOD],
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
    }


def _unbase64url(segment: str) -> bytes:
    # RFC 7515 section 2: URL-safe alphabet, no padding; Python's decoder would skip foreign characters.
    if "=" in segment or "+" in segment or "/" in segment:
        raise binascii.Error("not base64url")
    padded = segment + "=" * (-len(segment) % 4)
    return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
