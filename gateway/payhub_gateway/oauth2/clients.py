"""OAuth2 clients: those that a tenant's configuration names, and those that registered themselves."""

import functools
from typing import Final

import msgspec

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.records import RegisteredClient
from payhub_gateway.oauth2.registration import ClientMetadata, read_certificates, read_metadata
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.signatures import PublicKey, read_keys
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.tenant import OAuthClient, TenantConfig

_ACTIVE: Final = "active"


class Client:
    """A client with its tenant, as Authlib asks for it (``authlib.oauth2.rfc6749.ClientMixin``)."""

    def __init__(self, tenant: TenantConfig, client_id: str, metadata: ClientMetadata) -> None:
        self.tenant = tenant
        self.client_id = client_id
        self.metadata = metadata
        registered = (metadata.scope or "").split()
        # While its tenant is suspended it may read, and start nothing.
        self.scopes = registered if self.active else [one for one in registered if one == model.SCOPE_READ]

    @property
    def active(self) -> bool:
        """Tell whether the client's tenant may start anything."""
        return self.tenant.status == _ACTIVE

    @functools.cached_property
    def keys(self) -> list[PublicKey]:
        """The public keys that it signs with; raises ``ValueError`` where none can be used."""
        return read_keys(self.metadata.jwks or {})

    @functools.cached_property
    def certificates(self) -> list[bytes]:
        """The certificates (DER) that it has registered as its own, for ``self_signed_tls_client_auth``."""
        return read_certificates(self.metadata.jwks or {})

    def get_client_id(self) -> str:
        """See Authlib."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """There is none: FAPI 2.0 section 5.3.2.2 wants it in every request."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what is granted of a scope; None where nothing is."""
        return " ".join(model.granted_scopes(scope, self.scopes)) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare exactly (RFC 9700 section 4.1.3)."""
        return redirect_uri in self.metadata.redirect_uris

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Allow the one method that the client is registered with."""
        return method == self.metadata.token_endpoint_auth_method

    def check_response_type(self, response_type: str) -> bool:
        """Allow the code flow alone."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for a grant."""
        return grant_type in self.metadata.grant_types


class ClientDirectory:
    """All clients, by client id; a configured one wins over a registered one of the same id."""

    def __init__(self, tenants: TenantDirectory, shared: SharedState) -> None:
        self._tenants = tenants
        self._shared = shared
        self._known: dict[str, tuple[TenantConfig, OAuthClient | RegisteredClient, Client]] = {}

    def find(self, client_id: str) -> Client | None:
        """Return a client as it is configured now."""
        found = self._source(client_id)
        if found is None:
            self._known.pop(client_id, None)
            return None
        tenant, source = found
        known = self._known.get(client_id)
        if known is None or known[0] is not tenant or known[1] is not source:
            known = (tenant, source, Client(tenant, client_id, _metadata(tenant.tenant_id, source)))
            self._known[client_id] = known
        return known[2]

    def _source(self, client_id: str) -> tuple[TenantConfig, OAuthClient | RegisteredClient] | None:
        configured = self._tenants.by_client(client_id)
        if configured is not None:
            return configured
        registered = self._shared.client(client_id)
        tenant = None if registered is None else self._tenants.get(registered.tenant_id)
        return None if registered is None or tenant is None else (tenant, registered)


def _metadata(tenant_id: str, source: OAuthClient | RegisteredClient) -> ClientMetadata:
    if isinstance(source, RegisteredClient):
        return read_metadata(source.metadata)
    # Who may act for a member registers; what a tenant configures acts for itself.
    configured = ClientMetadata(
        client_name=source.name,
        jwks=source.jwks,
        scope=" ".join(source.scopes),
        grant_types=[model.CLIENT_CREDENTIALS],
        response_types=[],
    )
    if source.jwks:
        return configured
    return msgspec.structs.replace(
        configured,
        token_endpoint_auth_method=model.TLS_CLIENT_AUTH,
        tls_client_auth_subject_dn=f"CN={source.client_id},O={tenant_id}",
    )
