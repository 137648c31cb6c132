"""The gateway's settings, read once from ``PAYHUB_*`` variables."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from payhub_gateway.oauth2.assembly import OAuth2Options
from payhub_gateway.oauth2.authorities import read_authorities
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.errors import InvalidInputError
from payhub_platform.tls import Tls

_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one gateway process needs to know.

    Attributes:
        host: address to listen on.
        port: port to listen on.
        data_dir: folder of this process alone: its token signing key and its configuration cache.
        nats_url: where the tenants' configuration is published.
        internal_token: the credential between payhub's own processes.
        engines: engine id -> base URL.
        issuer: the public address that clients know this gateway by, without a trailing slash. Clients
            sign their assertions for it. Empty means ``http(s)://<host>:<port>``.
        bearer_tokens: issue access tokens that are bound to no key, for channels that cannot prove one; only
            where the issuer is on loopback.
        dpop_nonces: DPoP proofs must carry a nonce of the process that they are sent to.
        tls_cert: PEM file of the gateway's certificate where it ends TLS itself; empty behind a proxy.
        tls_key: PEM file of its private key.
        client_ca: PEM file of the authorities of clients' certificates (mutual TLS), for tenants without
            authorities of their own; may be empty.
        client_cert_header: the header in which a proxy that ends TLS passes the client's certificate on.
        trusted_proxies: networks of those proxies, such as ``10.0.0.0/8``.
        statement_issuers: issuer -> JWK set of those whose software statements are believed.
        workers: how many processes serve the port together; SIGHUP replaces them one after the other.
        copies: how many copies of the gateway run, until they have heard of one another.
        rate_per_s: requests a second that one client of a tenant may send, to all copies together.
        burst: how many of them at once.
        quota_per_day: how many in a day of UTC; a tenant's own ``api_limits`` go before these three.
        in_flight_max: how many of one client may be at work at once, in all copies together; a tenant's own
            ``api_limits`` may say otherwise.
        trace_file: where spans are written; empty records none.
        trace_ratio: how much of the traces that begin here is written, 0 to 1; everywhere or nowhere.
        log_level: name of a level of the standard library.
    """

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    data_dir: Annotated[str, msgspec.Meta(min_length=1)]
    nats_url: Annotated[str, msgspec.Meta(min_length=1)]
    internal_token: Annotated[str, msgspec.Meta(min_length=1)]
    engines: Annotated[dict[str, str], msgspec.Meta(min_length=1)]
    host: str = "127.0.0.1"
    issuer: str = ""
    bearer_tokens: bool = False
    dpop_nonces: bool = False
    tls_cert: str = ""
    tls_key: str = ""
    client_ca: str = ""
    client_cert_header: str = ""
    trusted_proxies: list[str] = []
    statement_issuers: dict[str, dict[str, Any]] = {}
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    copies: _Count = 1
    rate_per_s: _Count = 500
    burst: _Count = 1000
    quota_per_day: _Count = 10_000_000
    in_flight_max: _Count = 128
    trace_file: str = ""
    trace_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    log_level: str = "INFO"

    def api_limits(self) -> ApiLimits:
        """Return what a client may ask for whose tenant has no limits of its own."""
        return ApiLimits(rate_per_s=self.rate_per_s, burst=self.burst, quota_per_day=self.quota_per_day)

    def issuer_url(self) -> str:
        """Return the issuer identifier (RFC 8414 section 2).

        Raises:
            InvalidInputError: code ``invalid-settings``; OAuth2 needs https, except on this machine alone.
        """
        scheme = "https" if self.tls_cert else "http"
        issuer = self.issuer or f"{scheme}://{self.host}:{self.port}"
        parts = urlsplit(issuer)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS)
        if not secure or not parts.hostname or parts.query or parts.fragment or issuer.endswith("/"):
            raise InvalidInputError(
                "invalid-settings",
                f"The issuer {issuer!r} must be an https address without a trailing slash, query or fragment "
                "(http is allowed on loopback).",
                "PAYHUB_ISSUER",
            )
        return issuer

    def tls(self) -> Tls | None:
        """Return the files for TLS; None where a proxy ends it.

        Raises:
            InvalidInputError: code ``invalid-settings``.
        """
        if not self.tls_cert and not self.tls_key:
            return None
        tls = Tls(self.tls_cert, self.tls_key, self.client_ca)
        try:
            tls.server_options()
        except OSError as error:
            raise InvalidInputError(
                "invalid-settings", f"The PEM files for TLS cannot be used: {error}.", "PAYHUB_TLS_CERT"
            ) from error
        return tls

    def oauth2_options(self) -> OAuth2Options:
        """Return how the OAuth2 server behaves.

        Raises:
            InvalidInputError: code ``invalid-settings``.
        """
        if self.bearer_tokens and urlsplit(self.issuer_url()).hostname not in _LOOPBACK_HOSTS:
            raise InvalidInputError(
                "invalid-settings",
                "Unbound bearer tokens are for one machine; channels elsewhere use DPoP or mutual TLS.",
                "PAYHUB_BEARER_TOKENS",
            )
        try:
            for network in self.trusted_proxies:
                ip_network(network)
        except ValueError as error:
            raise InvalidInputError("invalid-settings", f"{error}.", "PAYHUB_TRUSTED_PROXIES") from error
        return OAuth2Options(
            bearer_tokens=self.bearer_tokens,
            dpop_nonces=self.dpop_nonces,
            certificate_header=self.client_cert_header,
            trusted_proxies=self.trusted_proxies,
            statement_issuers=self.statement_issuers,
            client_authorities=self._client_authorities(),
        )

    def _client_authorities(self) -> str:
        if not self.client_ca:
            return ""
        try:
            pem = Path(self.client_ca).read_text()
            read_authorities([pem])
        except (OSError, ValueError) as error:
            raise InvalidInputError("invalid-settings", f"{error}.", "PAYHUB_CLIENT_CA") from error
        return pem
