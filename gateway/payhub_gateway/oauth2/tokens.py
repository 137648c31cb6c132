"""Access tokens: signed JWTs that carry the tenant and whose they are (RFC 9068, RFC 7800)."""

import uuid
from collections import OrderedDict
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.jws import JWSRegistry

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.errors import ExpiredTokenError, InvalidTokenError
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.signatures import unbase64url
from payhub_gateway.oauth2.signing_keys import TOKEN_ALGORITHM, SigningKeys
from payhub_platform.clock import Clock

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068 section 2.1
VERIFIED_KEPT_MAX: Final = 10_000
_CLAIMS: Final = msgspec.json.Decoder(model.AccessClaims)
_REGISTRY: Final = JWSRegistry(algorithms=[TOKEN_ALGORITHM])


class AccessTokens:
    """Issues access tokens, and verifies those that any copy of this gateway issued.

    The signature of a token is verified once; then the token is known until it expires or is revoked.
    """

    def __init__(self, issuer: str, keys: SigningKeys, shared: SharedState, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = issuer + "/channel"
        self._keys = keys
        self._shared = shared
        self._clock = clock
        self._verified: OrderedDict[str, model.AccessClaims] = OrderedDict()
        self._signers_version = shared.signers_version

    def issue(
        self,
        client_id: str,
        tenant_id: str,
        scope: str,
        *,
        subject: str | None = None,
        confirmation: model.Confirmation | None = None,
        grant_id: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> str:
        """Issue a token that lasts ``TOKEN_LIFETIME_S`` for a client of a tenant."""
        now_s = self._clock() // 1000
        key = self._keys.signing()
        claims = model.AccessClaims(
            iss=self._issuer,
            aud=self._audience,
            sub=subject or client_id,
            client_id=client_id,
            tenant=tenant_id,
            scope=scope,
            iat=now_s,
            exp=now_s + model.TOKEN_LIFETIME_S,
            jti=str(uuid.uuid4()),
            cnf=confirmation,
            grant=grant_id,
            authorization_details=details or [],
        )
        header = {"alg": TOKEN_ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
        return jws.serialize_compact(header, msgspec.json.encode(claims), key, registry=_REGISTRY)

    def verify(self, token: str) -> model.AccessClaims:
        """Return the claims of a token that was issued here, for this API, that lasts and is not revoked.

        Whether the caller is who it was issued to is asked by ``guard``.

        Raises:
            InvalidTokenError: code ``invalid-token``.
            ExpiredTokenError: code ``token-expired``.
        """
        if self._signers_version != self._shared.signers_version:
            self._verified.clear()
            self._signers_version = self._shared.signers_version
        claims = self._verified.get(token)
        if claims is None:
            claims = self._authentic(token)
            if claims.iss != self._issuer or claims.aud != self._audience:
                raise InvalidTokenError("The access token was not issued for this API.")
            self._verified[token] = claims
            if len(self._verified) > VERIFIED_KEPT_MAX:
                self._verified.popitem(last=False)
        if claims.exp * 1000 <= self._clock():
            raise ExpiredTokenError
        if self._shared.is_revoked(claims):
            raise InvalidTokenError("The access token was revoked.")
        return claims

    def public_keys(self) -> dict[str, Any]:
        """Return the JWKS (RFC 7517) that verifies the tokens of all copies."""
        return {"keys": self._shared.public_jwks()}

    def _authentic(self, token: str) -> model.AccessClaims:
        try:
            header, payload = model.split_jwt(token)
            key = self._shared.verifier(header.kid or "")
            if header.typ != TOKEN_TYPE or header.alg != TOKEN_ALGORITHM or key is None:
                raise InvalidTokenError("This is no access token of this server.")
            signed, _, signature = token.rpartition(".")
            key.verify(unbase64url(signature), signed.encode())
            return _CLAIMS.decode(payload)
        except (ValueError, RecursionError) as error:
            # msgspec's errors are ValueErrors too.
            raise InvalidTokenError("The access token cannot be verified.") from error
