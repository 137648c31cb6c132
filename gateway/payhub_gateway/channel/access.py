"""Who calls: the bearer token of a request, held against the tenants' present configuration."""

from typing import Final

import msgspec
from litestar.datastructures import Headers

from payhub_gateway.channel.errors import InsufficientScopeError, TenantMismatchError
from payhub_gateway.oauth2.errors import InvalidTokenError
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import ForbiddenError

HEADER_TENANT: Final = "Platform-TenantId"


class Caller(msgspec.Struct, frozen=True):
    """A client that may do what it asks, and its tenant as configured now."""

    tenant: TenantConfig
    client_id: str


class Access:
    """Decides who may call. The tenant comes from the token, and from nowhere else."""

    def __init__(self, tokens: AccessTokens, directory: TenantDirectory) -> None:
        self._tokens = tokens
        self._directory = directory

    def require(self, headers: Headers, scope: str) -> Caller:
        """Return the caller when its token covers the scope.

        Raises:
            InvalidTokenError: 401 ``missing-token``, ``invalid-token`` or ``token-expired``.
            ForbiddenError: 403 ``unknown-tenant``, ``tenant-suspended``, ``unknown-client``,
                ``insufficient-scope`` or ``tenant-mismatch``.
        """
        claims = self._tokens.verify(_bearer(headers.getall("authorization", [])))
        tenant = self._directory.get(claims.tenant)
        if tenant is None:
            raise ForbiddenError("unknown-tenant", "The tenant is not known here.", "header:Authorization")
        if tenant.status != "active":
            raise ForbiddenError("tenant-suspended", "The tenant is suspended.", "header:Authorization")
        registered = next((c for c in tenant.clients if c.client_id == claims.client_id), None)
        if registered is None:
            raise ForbiddenError("unknown-client", "The client was removed.", "header:Authorization")
        if scope not in claims.scope.split(" ") or scope not in registered.scopes:
            raise InsufficientScopeError(scope)
        # Payment Hub EE's channels send this header; it is a hint that may agree, never a choice.
        if any(named != tenant.tenant_id for named in headers.getall(HEADER_TENANT, [])):
            raise TenantMismatchError(f"header:{HEADER_TENANT}")
        return Caller(tenant, claims.client_id)


def _bearer(values: list[str]) -> str:
    if not values:
        raise InvalidTokenError("Send an access token: Authorization: Bearer <token>.", "missing-token")
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise InvalidTokenError("The Authorization header must be one Bearer token.")
    return token.strip(" ")
