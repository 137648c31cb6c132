"""Access tokens: signed JWTs that carry the tenant (RFC 9068)."""

import uuid
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.errors import ExpiredTokenError, InvalidTokenError
from payhub_gateway.oauth2.keys import TOKEN_ALGORITHM, TOKEN_REGISTRY
from payhub_platform.clock import Clock

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068 section 2.1
_CLAIMS: Final = msgspec.json.Decoder(model.AccessClaims)


class AccessTokens:
    """Issues access tokens and verifies those it issued."""

    def __init__(self, issuer: str, key: ECKey, clock: Clock) -> None:
        key.ensure_kid()
        self._issuer = issuer
        self._audience = issuer + "/channel"
        self._key = key
        self._clock = clock

    def issue(self, client_id: str, tenant_id: str, scope: str) -> str:
        """Issue a token that lasts ``TOKEN_LIFETIME_S`` for a client of a tenant."""
        now_s = self._clock() // 1000
        claims = model.AccessClaims(
            iss=self._issuer,
            aud=self._audience,
            sub=client_id,
            client_id=client_id,
            tenant=tenant_id,
            scope=scope,
            iat=now_s,
            exp=now_s + model.TOKEN_LIFETIME_S,
            jti=str(uuid.uuid4()),
        )
        header = {"alg": TOKEN_ALGORITHM, "typ": TOKEN_TYPE, "kid": self._key.kid}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, registry=TOKEN_REGISTRY)

    def verify(self, token: str) -> model.AccessClaims:
        """Return the claims of a token that this server issued, for this API, and that still lasts.

        Raises:
            InvalidTokenError: code ``invalid-token``.
            ExpiredTokenError: code ``token-expired``.
        """
        claims = self._authentic(token)
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise InvalidTokenError("The access token was not issued for this API.")
        if claims.exp * 1000 <= self._clock():
            raise ExpiredTokenError
        return claims

    def public_keys(self) -> dict[str, Any]:
        """Return the JWKS (RFC 7517) that verifies the tokens."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "use": "sig", "alg": TOKEN_ALGORITHM}]}

    def _authentic(self, token: str) -> model.AccessClaims:
        try:
            header, _ = model.split_jwt(token)
            if header.typ != TOKEN_TYPE or header.kid != self._key.kid:
                raise InvalidTokenError("This is no access token of this server.")
            verified = jws.deserialize_compact(token, self._key, registry=TOKEN_REGISTRY)
            return _CLAIMS.decode(verified.payload)
        except (JoseError, ValueError) as error:
            # msgspec's errors are ValueErrors too.
            raise InvalidTokenError("The access token cannot be verified.") from error
