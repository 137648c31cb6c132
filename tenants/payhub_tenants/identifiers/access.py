"""How a tenant's core bank and switch are spoken to: addresses, and credentials opened for the moment."""

from payhub_platform.security import jws
from payhub_tenants.identifiers.remote import AmsAccess, SchemeAccess
from payhub_tenants.tenants.model import Tenant
from payhub_tenants.vault import Vault


class Access:
    """Opens a tenant's credentials."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def ams(self, tenant: Tenant) -> AmsAccess:
        """Return how the core bank is called.

        Raises:
            KeyDestroyedError: the credentials can no longer be read.
        """
        return AmsAccess(
            base_url=tenant.ams_base_url,
            platform_tenant=tenant.ams_platform_tenant,
            username=tenant.ams_username,
            password=await self._vault.open(tenant.tenant_id, tenant.ams_password_sealed, "ams"),
        )

    async def scheme(self, tenant: Tenant) -> SchemeAccess:
        """Return how the switch is called.

        Raises:
            KeyDestroyedError: the signing key can no longer be read.
        """
        private_pem = await self._vault.open(tenant.tenant_id, tenant.private_key_sealed, "jws")
        return SchemeAccess(
            base_url=tenant.scheme_base_url,
            fsp_id=tenant.fsp_id,
            currency=tenant.currency,
            key=jws.load_private_key(private_pem),
        )
