"""Who calls: the token of a request, held against the tenants' present configuration."""

from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection

from payhub_gateway.channel.errors import InsufficientScopeError, TenantMismatchError
from payhub_gateway.oauth2 import audit
from payhub_gateway.oauth2.clients import ClientDirectory
from payhub_gateway.oauth2.guard import TokenGuard
from payhub_gateway.oauth2.model import AccessClaims
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.engine import HEADER_TENANT as HEADER_ENGINE_TENANT
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import ForbiddenError

HEADER_TENANT: Final = "Platform-TenantId"
HEADERS_NAMING_A_TENANT: Final = (HEADER_TENANT, "Fineract-Platform-TenantId", HEADER_ENGINE_TENANT)
PATH_TENANT: Final = "tenant_id"
"""The path parameter that names a tenant, wherever a path has one."""


class Caller(msgspec.Struct, frozen=True):
    """A client that may do what it asks, and its tenant as configured now."""

    tenant: TenantConfig
    claims: AccessClaims
    scopes: list[str]  # that the client is registered for

    @property
    def client_id(self) -> str:
        """The OAuth2 client."""
        return self.claims.client_id


class Access:
    """Decides who may call. The tenant comes from the token, and from nowhere else."""

    def __init__(self, guard: TokenGuard, clients: ClientDirectory, directory: TenantDirectory) -> None:
        self._guard = guard
        self._clients = clients
        self._directory = directory

    def require(self, request: ASGIConnection[Any, Any, Any, Any], scope: str) -> Caller:
        """Return the caller when its token is its own and covers the scope.

        Raises:
            InvalidTokenError: 401 ``missing-token``, ``invalid-token`` or ``token-expired``.
            InvalidProofError: 401 ``invalid-dpop-proof`` or ``dpop-nonce-wanted``.
            ForbiddenError: 403 ``unknown-tenant``, ``tenant-suspended``, ``unknown-client``,
                ``insufficient-scope`` or ``tenant-mismatch``.
        """
        claims = self._guard.check(request)
        tenant = self._directory.get(claims.tenant)
        if tenant is None:
            raise ForbiddenError("unknown-tenant", "The tenant is not known here.", "header:Authorization")
        if tenant.status != "active":
            raise ForbiddenError("tenant-suspended", "The tenant is suspended.", "header:Authorization")
        client = self._clients.find(claims.client_id)
        if client is None or client.tenant.tenant_id != tenant.tenant_id:
            raise ForbiddenError("unknown-client", "The client was removed.", "header:Authorization")
        _refuse_other_tenant(request, claims)
        # A member's consent (a grant) is about that member's account; these APIs act for the whole tenant.
        if claims.grant is not None or scope not in claims.scope.split(" ") or scope not in client.scopes:
            raise InsufficientScopeError(scope)
        return Caller(tenant, claims, client.scopes)


def _refuse_other_tenant(request: ASGIConnection[Any, Any, Any, Any], claims: AccessClaims) -> None:
    """Refuse a request that names another tenant; a name is a hint that may agree, never a choice.

    Payment Hub EE's channels send a header; paths may name a tenant too.
    """
    named = [
        (f"header:{header}", value)
        for header in HEADERS_NAMING_A_TENANT
        for value in request.headers.getall(header, [])
    ]
    in_path = request.path_params.get(PATH_TENANT)
    if in_path is not None:
        named.append((f"path:{PATH_TENANT}", str(in_path)))
    for where, value in named:
        if value != claims.tenant:
            audit.tenant_mismatch(claims.tenant, claims.client_id, where, value)
            raise TenantMismatchError(where)
