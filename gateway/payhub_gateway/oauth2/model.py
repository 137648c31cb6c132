"""What client assertions and access tokens must say. Pure: no keys, no clock, no I/O."""

from typing import Annotated, Any, Final

import msgspec

from payhub_gateway.oauth2.errors import RefusedAssertionError
from payhub_gateway.oauth2.signatures import ALGORITHMS, unbase64url

SCOPE_READ: Final = "payments:read"
SCOPE_WRITE: Final = "payments:write"
SCOPE_ACCOUNTS: Final = "accounts:read"
SCOPE_PARTIES: Final = "parties:write"
SCOPE_REGISTER: Final = "clients:register"
SCOPE_INTROSPECT: Final = "tokens:introspect"
SCOPE_IDENTIFY: Final = "members:identify"
PAYMENT_SCOPES: Final = (SCOPE_WRITE, SCOPE_READ)
"""What a client gets that asks for nothing in particular (least privilege: the others are asked for)."""
MEMBER_SCOPES: Final = (SCOPE_ACCOUNTS, SCOPE_PARTIES)
SCOPES: Final = (*PAYMENT_SCOPES, *MEMBER_SCOPES, SCOPE_REGISTER, SCOPE_INTROSPECT, SCOPE_IDENTIFY)

ASSERTION_ALGORITHMS: Final = ALGORITHMS
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT_CREDENTIALS: Final = "client_credentials"
AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant
GRANT_TYPES: Final = (AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN)
AUTH_METHOD: Final = "private_key_jwt"
TLS_CLIENT_AUTH: Final = "tls_client_auth"
SELF_SIGNED: Final = "self_signed_tls_client_auth"
AUTH_METHODS: Final = (AUTH_METHOD, TLS_CLIENT_AUTH, SELF_SIGNED)

TOKEN_LIFETIME_S: Final = 300
CODE_LIFETIME_S: Final = 60  # FAPI 2.0 section 5.3.2.1 item 11
PUSHED_LIFETIME_S: Final = 300  # FAPI 2.0 section 5.3.2.2: less than 600
GRANT_LIFETIME_S: Final = 90 * 86_400
# What two copies of the gateway cannot ask each other about must at least be this young.
ALONE_AGE_MAX_S: Final = 60
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


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose token it is (RFC 7800): the holder of a key (RFC 9449) or of a certificate (RFC 8705)."""

    jkt: str | None = None
    x5t: str | None = msgspec.field(default=None, name="x5t#S256")


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Claims of an access token (RFC 9068 section 2.2), with the tenant it speaks for.

    ``sub`` is the client itself, or the member who consented; then ``grant`` names the consent.
    """

    iss: str
    aud: str
    sub: str
    client_id: str
    tenant: str
    scope: str
    iat: int
    exp: int
    jti: str
    cnf: Confirmation | None = None
    grant: str | None = None
    authorization_details: list[dict[str, Any]] = []


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
        header = _HEADER.decode(unbase64url(segments[0]))
        payload = unbase64url(segments[1])
    except (ValueError, RecursionError) as error:
        raise ValueError("the JWS is malformed") from error
    if header.crit is not None or header.b64 is not None:
        raise ValueError("the JWS uses extensions")
    return header, payload


def read_assertion(assertion: str) -> tuple[JwtHeader, AssertionClaims]:
    """Read header and claims of an assertion; nothing of it is verified yet.

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
        return header, _ASSERTION.decode(payload)
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
    """Return the scopes a client gets: what it asks for, or those of payments when it asks for none.

    An empty list means that it asked for something it may not have, or that nothing is left.
    """
    if not asked:
        return [scope for scope in PAYMENT_SCOPES if scope in allowed]
    offered: list[str] = [scope for scope in SCOPES if scope in allowed]
    wanted = set(asked.split(" "))
    return [scope for scope in offered if scope in wanted] if wanted.issubset(offered) else []
