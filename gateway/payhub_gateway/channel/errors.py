"""Why a channel's request is refused."""

from payhub_platform.errors import ForbiddenError


class InsufficientScopeError(ForbiddenError):
    """The token, or the client's present registration, does not cover the operation."""

    def __init__(self, scope: str) -> None:
        super().__init__("insufficient-scope", f"This needs the scope {scope}.", "header:Authorization")
        self._scope = scope

    def headers(self) -> dict[str, str]:
        """Add the challenge of RFC 6750 section 3.1."""
        challenge = f'Bearer error="insufficient_scope", scope="{self._scope}"'
        return {**super().headers(), "WWW-Authenticate": challenge}


class TenantMismatchError(ForbiddenError):
    """The request names a tenant other than the credential's; the credential decides."""

    def __init__(self, where: str) -> None:
        super().__init__("tenant-mismatch", "The credential belongs to another tenant.", where)
