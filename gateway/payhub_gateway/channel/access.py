"""Who calls: the bearer token of a request, held against the tenants' present configuration."""

from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection

from payhub_gateway.access_log import CALLER
from payhub_gateway.channel.errors import InsufficientScopeError, TenantMismatchError
from payhub_gateway.oauth2.errors import InvalidTokenError
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_gateway.rates.headers import STATE as RATE_STATE
from payhub_gateway.rates.service import RateLimits, require
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import ApiLimits, TenantConfig
from payhub_platform.errors import ForbiddenError

HEADER_TENANT: Final = "Platform-TenantId"


class Caller(msgspec.Struct, frozen=True):
    """A client that may do what it asks, and its tenant as configured now."""

    tenant: TenantConfig
    client_id: str


class Access:
    """Decides who may call. The tenant comes from the token, and from nowhere else.

    Every handler asks here, so that limits hold whatever the route is.
    """

    def __init__(
        self, tokens: AccessTokens, directory: TenantDirectory, rates: RateLimits, limits: ApiLimits
    ) -> None:
        self._tokens = tokens
        self._directory = directory
        self._rates = rates
        self._limits = limits

    def require(self, request: ASGIConnection[Any, Any, Any, Any], scope: str) -> Caller:
        """Return the caller when its token covers the scope, and count its request.

        Raises:
            InvalidTokenError: 401 ``missing-token``, ``invalid-token`` or ``token-expired``.
            ForbiddenError: 403 ``unknown-tenant``, ``tenant-suspended``, ``unknown-client``,
                ``insufficient-scope`` or ``tenant-mismatch``.
            LimitExceededError: 429 ``rate-exceeded`` or ``quota-exceeded``.
        """
        headers = request.headers
        claims = self._tokens.verify(_bearer(headers.getall("authorization", [])))
        tenant = self._directory.get(claims.tenant)
        if tenant is None:
            raise ForbiddenError("unknown-tenant", "The tenant is not known here.", "header:Authorization")
        if tenant.status != "active":
            raise ForbiddenError("tenant-suspended", "The tenant is suspended.", "header:Authorization")
        registered = next((c for c in tenant.clients if c.client_id == claims.client_id), None)
        if registered is None:
            raise ForbiddenError("unknown-client", "The client was removed.", "header:Authorization")
        self._count(request, tenant, claims.client_id)
        if scope not in claims.scope.split(" ") or scope not in registered.scopes:
            raise InsufficientScopeError(scope)
        # Payment Hub EE's channels send this header; it is a hint that may agree, never a choice.
        if any(named != tenant.tenant_id for named in headers.getall(HEADER_TENANT, [])):
            raise TenantMismatchError(f"header:{HEADER_TENANT}")
        return Caller(tenant, claims.client_id)

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


def _bearer(values: list[str]) -> str:
    if not values:
        raise InvalidTokenError("Send an access token: Authorization: Bearer <token>.", "missing-token")
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise InvalidTokenError("The Authorization header must be one Bearer token.")
    return token.strip(" ")
