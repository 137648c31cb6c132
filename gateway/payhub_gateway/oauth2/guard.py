"""Who calls an API: the access token of a request, and the proof that it is the caller's."""

import hmac
from typing import Any

from litestar.connection import ASGIConnection

from payhub_gateway.oauth2.certificates import Certificates
from payhub_gateway.oauth2.dpop import Proof, Proofs
from payhub_gateway.oauth2.errors import InvalidTokenError
from payhub_gateway.oauth2.model import AccessClaims
from payhub_gateway.oauth2.tokens import AccessTokens

_SCHEMES = frozenset({"bearer", "dpop"})


class TokenGuard:
    """Checks the token of a request (FAPI 2.0 section 5.3.4).

    Args:
        issuer: the public address of this gateway, which proofs name.
        tokens: verifies tokens.
        proofs: verifies DPoP proofs.
        certificates: finds the client's certificate.
        bearer_tokens: whether a token that is bound to nothing is good; on one machine only.
    """

    def __init__(
        self,
        issuer: str,
        tokens: AccessTokens,
        proofs: Proofs,
        certificates: Certificates,
        *,
        bearer_tokens: bool,
    ) -> None:
        self._issuer = issuer
        self._tokens = tokens
        self._proofs = proofs
        self._certificates = certificates
        self._bearer_tokens = bearer_tokens

    def check(self, request: ASGIConnection[Any, Any, Any, Any]) -> tuple[AccessClaims, Proof | None]:
        """Return what the token of a request says, and the proof it came with; ``use`` that.

        The token comes from the Authorization header alone: what a query or a form carries is not looked at.

        Raises:
            InvalidTokenError: 401 ``missing-token``, ``invalid-token`` or ``token-expired``.
            InvalidProofError: 401 ``invalid-dpop-proof`` or ``dpop-nonce-wanted``.
        """
        headers = request.headers
        scheme, token = _credential(headers.getall("authorization", []))
        claims = self._tokens.verify(token)
        bound = claims.cnf
        if bound is not None and bound.jkt is not None:
            if scheme != "dpop":
                raise InvalidTokenError("The access token is bound to a key; send it as DPoP with a proof.")
            uri = self._issuer + request.scope["path"]
            proof = self._proofs.verify(
                headers.getall("dpop", []), str(request.scope.get("method", "")), uri, token
            )
            if not hmac.compare_digest(proof.thumbprint, bound.jkt):
                raise InvalidTokenError("The access token is bound to another key.")
            return claims, proof
        if scheme != "bearer":
            raise InvalidTokenError("The access token is not bound to a key; send it as Bearer.")
        if bound is not None and bound.x5t is not None:
            shown = self._certificates.thumbprint(request.scope)
            if shown is None or not hmac.compare_digest(shown, bound.x5t):
                raise InvalidTokenError("The access token is bound to another certificate.")
        elif not self._bearer_tokens:
            raise InvalidTokenError("The access token is bound to nobody.")
        return claims, None

    def use(self, proof: Proof | None) -> None:
        """Use the proof of a request up, once its client is known to be within its limits.

        What is refused before fills no memory, however many keys a client has.

        Raises:
            InvalidProofError: 401 ``invalid-dpop-proof``; it was used before.
            UnavailableError: 503 ``overloaded``.
        """
        if proof is not None:
            self._proofs.use(proof)


def _credential(values: list[str]) -> tuple[str, str]:
    if not values:
        raise InvalidTokenError("Send an access token: Authorization: DPoP <token>.", "missing-token")
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() not in _SCHEMES or not token:
        raise InvalidTokenError("The Authorization header must be one DPoP or Bearer token.")
    return scheme.lower(), token.strip(" ")
