"""How a tenant's core bank and switch are spoken to: addresses, and credentials opened for the moment."""

from msgspec.structs import replace

from payhub_platform.contracts.tenant import AmsOAuth, AmsTls, SchemeOAuth, SchemeTls
from payhub_platform.security import jws
from payhub_tenants.calls import Login
from payhub_tenants.identifiers.remote import AmsAccess, SchemeAccess
from payhub_tenants.tenants.model import Tenant, ams_connection, scheme_connection
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
        connection, tenant_id = ams_connection(tenant), tenant.tenant_id
        login = await self._login(tenant_id, "ams", connection.tls, connection.oauth)
        if connection.password_sealed and connection.oauth is None:
            password = await self._vault.open(tenant_id, connection.password_sealed, "ams")
            login = replace(login, username=connection.username, password=password)
        return AmsAccess(
            kind=connection.kind,
            base_url=connection.base_url,
            platform_tenant=connection.platform_tenant,
            login=login,
        )

    async def scheme(self, tenant: Tenant) -> SchemeAccess:
        """Return how the switch is called.

        Raises:
            KeyDestroyedError: the signing key can no longer be read.
        """
        connection = scheme_connection(tenant)
        private_pem = await self._vault.open(tenant.tenant_id, tenant.private_key_sealed, "jws")
        return SchemeAccess(
            base_url=connection.base_url,
            fsp_id=tenant.fsp_id,
            currency=tenant.currency,
            key=jws.load_private_key(private_pem),
            login=await self._login(tenant.tenant_id, "scheme", connection.tls, connection.oauth),
        )

    async def _login(
        self,
        tenant_id: str,
        side: str,
        tls: AmsTls | SchemeTls | None,
        oauth: AmsOAuth | SchemeOAuth | None,
    ) -> Login:
        login = Login()
        if tls is not None:
            key = tls.private_key_sealed
            login = replace(
                login,
                ca_pem=tls.ca_pem,
                certificate_pem=tls.certificate_pem,
                private_key_pem=await self._vault.open(tenant_id, key, f"{side}-tls") if key else "",
            )
        if oauth is not None:
            login = replace(
                login,
                token_url=oauth.token_url,
                client_id=oauth.client_id,
                client_secret=await self._vault.open(tenant_id, oauth.client_secret_sealed, f"{side}-oauth"),
                scope=oauth.scope,
            )
        return login
