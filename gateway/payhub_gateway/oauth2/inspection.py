"""Asking about tokens and ending them: introspection (RFC 7662) and revocation (RFC 7009)."""

from typing import Any, Final

import msgspec
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError

from payhub_gateway.oauth2 import metadata, model, records
from payhub_gateway.oauth2.clients import Client
from payhub_gateway.oauth2.errors import InvalidTokenError
from payhub_gateway.oauth2.records import Grant
from payhub_gateway.oauth2.service import Answer, Asked, TokenServer
from payhub_gateway.oauth2.store import GRANTS
from payhub_gateway.oauth2.tokens import AccessTokens

_OK: Final = 200
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_INACTIVE: Final[dict[str, Any]] = {"active": False}


class TokenInspection:
    """Tells clients about tokens, and ends tokens for them."""

    def __init__(self, server: TokenServer, tokens: AccessTokens) -> None:
        self._server = server
        self._tokens = tokens

    async def introspect(self, asked: Asked) -> Answer:
        """Say what a token means (RFC 7662 section 2.2).

        A client hears of its own tokens, and with the scope ``tokens:introspect`` of its tenant's; all other
        tokens are as inactive as one that never was.

        Raises:
            OAuth2Error: the client is not who it says, or names no token.
            PayhubError: the shared store does not answer.
        """
        client = await self._client(metadata.PATH_INTROSPECT, asked)
        return Answer(_OK, await self._said(client, asked.form["token"]), dict(_NO_STORE))

    async def revoke(self, asked: Asked) -> Answer:
        """End a token (RFC 7009): an access token alone, a refresh token with all that came of its grant.

        It is 200 also for a token that is none.

        Raises:
            OAuth2Error: the client is not who it says, or the token is another's.
            PayhubError: the other copies could not be told (503): ask again.
        """
        client = await self._client(metadata.PATH_REVOKE, asked)
        token = asked.form["token"]
        claims, grant = self._access(token), await self._grant(token)
        owner = claims.client_id if claims else grant.client_id if grant else client.client_id
        if owner != client.client_id:
            raise InvalidGrantError("The token was issued to another client.")
        if claims is not None:
            await self._server.shared.revoke(claims.jti)
        if grant is not None:
            await self._server.shared.revoke(grant.grant_id)
            await self._server.store.delete(GRANTS, records.key_of(token))
        return Answer(_OK, {}, dict(_NO_STORE))

    async def _client(self, path: str, asked: Asked) -> Client:
        request = self._server.request(path, asked)
        client = await self._server.authenticate(request)
        if not asked.form.get("token"):
            raise InvalidRequestError("token is missing.")
        return client

    async def _said(self, client: Client, token: str) -> dict[str, Any]:
        claims = self._access(token)
        if claims is not None:
            if not _may_know(client, claims.client_id, claims.tenant):
                return _INACTIVE
            kind = "DPoP" if claims.cnf is not None and claims.cnf.jkt else "Bearer"
            return {"active": True, "token_type": kind, **msgspec.to_builtins(claims)}
        grant = await self._grant(token)
        if grant is None or grant.expires_at_ms <= self._server.clock():
            return _INACTIVE
        holder = self._server.query_client(grant.client_id)
        revoked = self._server.shared.is_revoked_grant(grant.grant_id)
        if revoked or holder is None or not _may_know(client, grant.client_id, holder.tenant.tenant_id):
            return _INACTIVE
        return {
            "active": True,
            "client_id": grant.client_id,
            "sub": grant.subject,
            "scope": grant.scope,
            "iat": grant.issued_at_ms // 1000,
            "exp": grant.expires_at_ms // 1000,
            "iss": self._server.issuer,
            **({"authorization_details": grant.details} if grant.details else {}),
        }

    def _access(self, token: str) -> model.AccessClaims | None:
        try:
            return self._tokens.verify(token)
        except InvalidTokenError:
            return None

    async def _grant(self, token: str) -> Grant | None:
        return records.decode(await self._server.store.get(GRANTS, records.key_of(token)), Grant)


def _may_know(client: Client, owner_id: str, tenant_id: str) -> bool:
    if client.client_id == owner_id:
        return True
    return client.tenant.tenant_id == tenant_id and model.SCOPE_INTROSPECT in client.scopes
