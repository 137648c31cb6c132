"""The tenants' signing keys, opened once for each version of their configuration."""

import msgspec

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox


class TenantKey(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's opened signing key, and the ILP secret derived from it; never logged or stored."""

    sealed: str
    private_key: jws.PrivateKey
    ilp_secret: str


class KeyRing:
    """Opened keys by tenant; as many as the engine has tenants."""

    def __init__(self) -> None:
        self._opened: dict[str, TenantKey] = {}

    def of(self, tenant: TenantConfig, secrets: SecretBox) -> TenantKey:
        """Return a tenant's key, opening it where it is new or was replaced.

        Raises:
            SealError: it was sealed with another installation's key.
        """
        sealed = tenant.signing_key.private_key_sealed
        known = self._opened.get(tenant.tenant_id)
        if known is not None and known.sealed == sealed:
            return known
        pem = secrets.open(sealed, f"jws:{tenant.tenant_id}")
        opened = TenantKey(
            sealed=sealed, private_key=jws.load_private_key(pem), ilp_secret=ilp.secret_of(pem)
        )
        self._opened[tenant.tenant_id] = opened
        return opened
