"""The OAuth2 server put together."""

from pathlib import Path
from typing import Any

import msgspec

from payhub_gateway.oauth2.authorities import Authorities
from payhub_gateway.oauth2.authorization import Authorizations
from payhub_gateway.oauth2.certificates import Certificates
from payhub_gateway.oauth2.clients import ClientDirectory
from payhub_gateway.oauth2.dpop import Nonces, Proofs
from payhub_gateway.oauth2.guard import TokenGuard
from payhub_gateway.oauth2.identity import ChannelIdentity
from payhub_gateway.oauth2.inspection import TokenInspection
from payhub_gateway.oauth2.key_sets import KeyFetcher, KeySets
from payhub_gateway.oauth2.registration import Registrations
from payhub_gateway.oauth2.service import TokenServer
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.oauth2.store import StateStore
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import Clock


class OAuth2Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose.

    Attributes:
        bearer_tokens: issue and take tokens that are bound to nobody; on one machine only.
        dpop_nonces: proofs must carry a nonce of this process.
        certificate_header: where a proxy that ends TLS passes the client's certificate on.
        trusted_proxies: networks of such proxies.
        statement_issuers: issuer -> key set of those whose software statements are believed.
        client_authorities: PEM of who may issue certificates to clients of tenants without authorities of
            their own.
    """

    bearer_tokens: bool = False
    dpop_nonces: bool = False
    certificate_header: str = ""
    trusted_proxies: list[str] = []
    statement_issuers: dict[str, dict[str, Any]] = {}
    client_authorities: str = ""


class OAuth2Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the handlers need."""

    shared: SharedState
    clients: ClientDirectory
    tokens: AccessTokens
    server: TokenServer
    authorizations: Authorizations
    inspection: TokenInspection
    registrations: Registrations
    certificates: Certificates
    guard: TokenGuard
    key_sets: KeySets


def assemble(
    issuer: str,
    directory: TenantDirectory,
    keys: SigningKeys,
    store: StateStore,
    cache_file: Path,
    clock: Clock,
    options: OAuth2Options,
    fetcher: KeyFetcher,
) -> OAuth2Parts:
    """Put the OAuth2 server together."""
    shared = SharedState(store, keys, clock, cache_file)
    clients = ClientDirectory(directory, shared)
    tokens = AccessTokens(issuer, keys, shared, clock)
    proofs = Proofs(clock, Nonces(clock) if options.dpop_nonces else None)
    certificates = Certificates(options.certificate_header, options.trusted_proxies)
    bearer = options.bearer_tokens
    key_sets = KeySets(fetcher, clock)
    authorities = Authorities(options.client_authorities, clock)
    server = TokenServer(
        issuer,
        clients,
        tokens,
        store,
        shared,
        proofs,
        clock,
        authorities=authorities,
        key_sets=key_sets,
        bearer_tokens=bearer,
    )
    return OAuth2Parts(
        key_sets=key_sets,
        shared=shared,
        clients=clients,
        tokens=tokens,
        server=server,
        authorizations=Authorizations(server, ChannelIdentity(issuer, clients, clock)),
        inspection=TokenInspection(server, tokens),
        registrations=Registrations(store, shared, clock, options.statement_issuers),
        certificates=certificates,
        guard=TokenGuard(issuer, tokens, proofs, certificates, bearer_tokens=bearer),
    )
