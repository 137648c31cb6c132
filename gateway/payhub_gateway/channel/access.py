"""Who calls: the token of a request, held against the tenants' present configuration."""

from typing import Any

import msgspec
from litestar.connection import ASGIConnection

from payhub_gateway.access_log import CALLER
from payhub_gateway.channel.errors import InsufficientScopeError, TenantMismatchError
from payhub_gateway.oauth2 import tenants
from payhub_gateway.oauth2.clients import ClientDirectory
from payhub_gateway.oauth2.guard import TokenGuard
from payhub_gateway.oauth2.model import SCOPE_READ, AccessClaims
from payhub_gateway.rates.headers import STATE as RATE_STATE
from payhub_gateway.rates.service import RateLimits, require
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import ApiLimits, TenantConfig
from payhub_platform.errors import ForbiddenError


class Caller(msgspec.Struct, frozen=True):
    """A client that may do what it asks, and its tenant as configured now."""

    tenant: TenantConfig
    claims: AccessClaims
    scopes: list[str]  # that the client is registered for

    @property
    def client_id(self) -> str:
        """The OAuth2 client."""
        return self.claims.client_id

    def may(self, scope: str) -> bool:
        """Tell whether token and registration cover a scope beside the one that was required."""
        return scope in self.claims.scope.split(" ") and scope in self.scopes


class Access:
    """Decides who may call. The tenant comes from the token, and from nowhere else.

    Every handler asks here, so that limits hold whatever the route is.
    """

    def __init__(
        self,
        guard: TokenGuard,
        clients: ClientDirectory,
        directory: TenantDirectory,
        rates: RateLimits,
        limits: ApiLimits,
    ) -> None:
        self._guard = guard
        self._clients = clients
        self._directory = directory
        self._rates = rates
        self._limits = limits

    def require(self, request: ASGIConnection[Any, Any, Any, Any], scope: str) -> Caller:
        """Return the caller when its token is its own and covers the scope, and count its request.

        Raises:
            InvalidTokenError: 401 ``missing-token``, ``invalid-token`` or ``token-expired``.
            InvalidProofError: 401 ``invalid-dpop-proof`` or ``dpop-nonce-wanted``.
            ForbiddenError: 403 ``unknown-tenant``, ``tenant-suspended``, ``unknown-client``,
                ``insufficient-scope`` or ``tenant-mismatch``.
            LimitExceededError: 429 ``rate-exceeded`` or ``quota-exceeded``.
            UnavailableError: 503 ``overloaded``.
        """
        claims, proof = self._guard.check(request)
        tenant = self._directory.get(claims.tenant)
        if tenant is None:
            raise ForbiddenError("unknown-tenant", "The tenant is not known here.", "header:Authorization")
        if tenant.status != "active" and scope != SCOPE_READ:  # what was begun may still be asked for
            raise ForbiddenError("tenant-suspended", "The tenant is suspended.", "header:Authorization")
        client = self._clients.find(claims.client_id)
        if client is None or client.tenant.tenant_id != tenant.tenant_id:
            raise ForbiddenError("unknown-client", "The client was removed.", "header:Authorization")
        self._count(request, tenant, claims.client_id)
        self._guard.use(proof)
        elsewhere = tenants.mismatch(tenants.named_tenants(request), claims.tenant, claims.client_id)
        if elsewhere is not None:
            raise TenantMismatchError(elsewhere)
        # A member's consent (a grant) is about that member's account; these APIs act for the whole tenant.
        caller = Caller(tenant, claims, client.scopes)
        if claims.grant is not None or not caller.may(scope):
            raise InsufficientScopeError(scope)
        return caller

    def limits_of(self, tenant: TenantConfig) -> ApiLimits:
        """Return what each client of a tenant may ask for."""
        return tenant.api_limits or self._limits

    def _count(
        self, request: ASGIConnection[Any, Any, Any, Any], tenant: TenantConfig, client_id: str
    ) -> None:
        verdict, admitted = self._rates.admit(tenant.tenant_id, client_id, self.limits_of(tenant))
        request.scope["state"][RATE_STATE] = verdict
        request.scope["state"][CALLER] = (tenant.tenant_id, client_id)
        require(verdict, admitted)
