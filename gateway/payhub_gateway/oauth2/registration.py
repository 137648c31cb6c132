"""Dynamic client registration and its management (RFC 7591, RFC 7592).

A client registers with an access token of the tenant that vouches for it, so it belongs to that tenant and
never gets more scopes than the token's own client has.
"""

import base64
import hmac
import re
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from payhub_gateway.oauth2 import model, records
from payhub_gateway.oauth2.authorities import check_tls_name
from payhub_gateway.oauth2.errors import RefusedError, RegistrationChangedError, UnknownClientError
from payhub_gateway.oauth2.key_sets import check_key_address
from payhub_gateway.oauth2.records import RegisteredClient
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.signatures import read_keys, unbase64url, verify_with_any
from payhub_gateway.oauth2.store import CLIENTS, StateStore
from payhub_platform import ids
from payhub_platform.clock import Clock

CLIENTS_PER_TENANT_MAX: Final = 200
REDIRECT_URIS_MAX: Final = 10
_URI_CHARS_MAX: Final = 512
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}", re.ASCII)  # a name, IPv4 or IPv6
JWKS_BYTES_MAX: Final = 16 * 1024
TLS_NAMES: Final = ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")

_Method = Literal["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"]  # RFC 8705 section 2
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=_URI_CHARS_MAX)]


class ClientMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client says of itself (RFC 7591 section 2). What it does not define is ignored, as it wants."""

    client_name: _Text = "client"
    redirect_uris: Annotated[list[_Uri], msgspec.Meta(max_length=REDIRECT_URIS_MAX)] = []
    token_endpoint_auth_method: _Method = "private_key_jwt"  # noqa: S105 - a method
    tls_client_auth_subject_dn: _Text | None = None
    tls_client_auth_san_dns: _Text | None = None
    tls_client_auth_san_uri: _Text | None = None
    tls_client_auth_san_ip: _Text | None = None
    tls_client_auth_san_email: _Text | None = None
    grant_types: Annotated[
        list[Literal["authorization_code", "client_credentials", "refresh_token"]],
        msgspec.Meta(min_length=1, max_length=3),
    ] = msgspec.field(default_factory=lambda: [model.AUTHORIZATION_CODE])
    response_types: Annotated[list[Literal["code"]], msgspec.Meta(max_length=1)] = msgspec.field(
        default_factory=lambda: ["code"]
    )
    scope: _Text | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: _Uri | None = None
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    software_id: _Text | None = None
    software_version: _Text | None = None

    def tls_name(self) -> tuple[str, str]:
        """Return what kind of name the client's certificate has (RFC 8705 section 2.1.2), and the name.

        Raises:
            ValueError: there is none, or more than one.
        """
        said = {kind: getattr(self, f"tls_client_auth_{kind}") for kind in TLS_NAMES}
        named = [(kind, str(name)) for kind, name in said.items() if name is not None]
        if len(named) != 1:
            raise ValueError("a client certificate has one name that is registered")
        return named[0]


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    """Claims of a software statement that are looked at; the others are client metadata."""

    iss: str
    exp: model.NumericDate | None = None


def read_metadata(sent: Any) -> ClientMetadata:
    """Read client metadata and hold it against FAPI 2.0.

    Raises:
        RefusedError: ``invalid_redirect_uri`` or ``invalid_client_metadata``.
    """
    try:
        metadata = msgspec.convert(sent, ClientMetadata)
        if len(msgspec.json.encode(metadata.jwks)) > JWKS_BYTES_MAX:
            raise _refused(f"jwks has {JWKS_BYTES_MAX} bytes at most.")
        _check_credential(metadata)
    except ValueError as error:
        raise _refused("The client metadata does not fit, or has no usable key.") from error
    if model.AUTHORIZATION_CODE in metadata.grant_types and not metadata.redirect_uris:
        raise RefusedError("invalid_redirect_uri", "The code flow needs redirect_uris.")
    if model.REFRESH_TOKEN in metadata.grant_types and model.AUTHORIZATION_CODE not in metadata.grant_types:
        raise _refused("refresh_token comes with authorization_code.")
    for uri in metadata.redirect_uris:
        if not _is_redirect_uri(uri):
            raise RefusedError(
                "invalid_redirect_uri", "A redirect URI is https without fragment, or http on loopback."
            )
    return metadata


def read_certificates(jwks: dict[str, Any]) -> list[bytes]:
    """Return the certificates (DER) of a key set: the first of each key's ``x5c`` (RFC 7517 section 4.7).

    Raises:
        ValueError: it holds something else.
    """
    listed = jwks.get("keys", [])
    keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    found = []
    for chain in (key["x5c"] for key in keys if "x5c" in key):
        if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
            raise ValueError("x5c is a list of certificates")
        der = base64.b64decode(chain[0], validate=True)
        x509.load_der_x509_certificate(der)
        found.append(der)
    return found


def _check_credential(metadata: ClientMetadata) -> None:
    """Check that a client has just what its way to prove itself needs.

    Raises:
        ValueError: something is missing, or malformed.
        RefusedError: a key is of no use.
    """
    method = metadata.token_endpoint_auth_method
    names = [getattr(metadata, f"tls_client_auth_{kind}") for kind in TLS_NAMES]
    if any(name is not None for name in names) != (method == model.TLS_CLIENT_AUTH):
        raise ValueError("names of a certificate come with tls_client_auth")
    if method == model.TLS_CLIENT_AUTH:
        check_tls_name(*metadata.tls_name())
    if method == model.SELF_SIGNED and not read_certificates(metadata.jwks or {}):
        raise ValueError("a self-signed certificate is registered as x5c")
    if metadata.jwks_uri is not None:
        if method != model.AUTH_METHOD or metadata.jwks is not None:
            raise ValueError("jwks_uri is for private_key_jwt, and in place of jwks")
        check_key_address(metadata.jwks_uri)
    elif method != model.TLS_CLIENT_AUTH or metadata.jwks is not None:
        keys = read_keys(metadata.jwks or {})
        if len(keys) != len((metadata.jwks or {}).get("keys", [])):
            raise _refused("A key of jwks is private, too weak or of no accepted kind.")


class Registrations:
    """Registers clients and manages their registrations.

    Args:
        store: what the gateway's copies share.
        shared: what this copy knows of it.
        clock: milliseconds since the Unix epoch.
        statement_issuers: issuer -> key set, of those whose software statements are believed.
    """

    def __init__(
        self,
        store: StateStore,
        shared: SharedState,
        clock: Clock,
        statement_issuers: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._store = store
        self._shared = shared
        self._clock = clock
        self._statement_issuers = {
            issuer: read_keys(jwks) for issuer, jwks in (statement_issuers or {}).items()
        }

    async def register(
        self, sent: dict[str, Any], vouching: model.AccessClaims, may_have: list[str]
    ) -> tuple[RegisteredClient, str]:
        """Register a client; return it and the token that manages it.

        Args:
            sent: the client metadata, perhaps with a ``software_statement``.
            vouching: the access token that allows it.
            may_have: the scopes of the vouching client.

        Raises:
            RefusedError: ``invalid_software_statement``, ``unapproved_software_statement``,
                ``invalid_redirect_uri`` or ``invalid_client_metadata``.
            StoreUnavailableError: 503.
        """
        metadata = self._checked(sent, may_have)
        if self._shared.count_clients(vouching.tenant) >= CLIENTS_PER_TENANT_MAX:
            raise _refused(f"A tenant has {CLIENTS_PER_TENANT_MAX} registered clients at most.")
        token = records.new_secret()
        # Derived from a secret, so that nobody chooses an id that somebody else trusts.
        client = RegisteredClient(
            client_id=ids.derive("oauth-client", vouching.tenant, records.new_secret()),
            tenant_id=vouching.tenant,
            registered_by=vouching.client_id,
            registration_token_hash=records.key_of(token),
            issued_at_s=self._clock() // 1000,
            metadata=msgspec.to_builtins(metadata),
        )
        await self._store.create(CLIENTS, client.client_id, records.encode(client))
        self._shared.take_client(client.client_id, client)
        return client, token

    async def read(self, client_id: str, token: str) -> RegisteredClient:
        """Return a registration to the holder of its token.

        Raises:
            UnknownClientError: there is none, or the token is another's; which of both is not told.
        """
        return (await self._managed(client_id, token))[0]

    async def replace(self, client_id: str, token: str, sent: dict[str, Any]) -> RegisteredClient:
        """Replace the metadata of a registration (RFC 7592 section 2.2); scopes never grow.

        Raises:
            UnknownClientError: see ``read``.
            RegistrationChangedError: somebody else changed it meanwhile.
            RefusedError: see ``register``.
        """
        client, revision = await self._managed(client_id, token)
        if sent.get("client_id") != client_id:
            raise _refused("client_id must be the registered one.")
        had = client.metadata.get("scope") or ""
        changed = msgspec.structs.replace(
            client, metadata=msgspec.to_builtins(self._checked(sent, had.split()))
        )
        if not await self._store.update(CLIENTS, client_id, records.encode(changed), revision):
            raise RegistrationChangedError
        self._shared.take_client(client_id, changed)
        return changed

    async def remove(self, client_id: str, token: str) -> None:
        """Remove a registration; its tokens and grants end with it.

        Raises:
            UnknownClientError: see ``read``.
        """
        await self._managed(client_id, token)
        await self._store.delete(CLIENTS, client_id)
        self._shared.take_client(client_id, None)

    async def _managed(self, client_id: str, token: str) -> tuple[RegisteredClient, int]:
        entry = await self._store.get(CLIENTS, client_id) if ids.is_uuid(client_id) else None
        client = records.decode(entry, RegisteredClient)
        held = client.registration_token_hash if client else records.key_of("")
        fits = hmac.compare_digest(held, records.key_of(token))
        if client is None or entry is None or not fits:
            raise UnknownClientError
        return client, entry.revision

    def _checked(self, sent: dict[str, Any], may_have: list[str]) -> ClientMetadata:
        said = dict(sent)
        statement = said.pop("software_statement", None)
        if statement is not None:
            said.update(self._stated(statement))  # RFC 7591 section 2.3: what is signed wins
        metadata = read_metadata(said)
        asked = (metadata.scope or "").split() or [
            scope for scope in model.PAYMENT_SCOPES if scope in may_have
        ]
        # A registration cannot pass on the right to register or to identify members.
        offered = set(may_have) & {*model.PAYMENT_SCOPES, *model.MEMBER_SCOPES, model.SCOPE_INTROSPECT}
        if not asked or not offered.issuperset(asked):
            raise _refused("The scope is more than the registering client has.")
        return msgspec.structs.replace(metadata, scope=" ".join(asked))

    def _stated(self, statement: Any) -> dict[str, Any]:
        try:
            header, payload = model.split_jwt(statement if isinstance(statement, str) else "")
            claims = msgspec.json.decode(payload, type=_Statement)
            said = msgspec.json.decode(payload, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise RefusedError("invalid_software_statement", "The software statement is no JWT.") from error
        keys = self._statement_issuers.get(claims.iss)
        if keys is None:
            raise RefusedError("unapproved_software_statement", "Its issuer is not known here.")
        signed, _, signature = statement.rpartition(".")
        try:
            verify_with_any(keys, header.alg, header.kid, unbase64url(signature), signed.encode())
        except ValueError as error:
            raise RefusedError("invalid_software_statement", "Its signature does not hold.") from error
        if claims.exp is not None and not claims.exp > self._clock() / 1000 - model.CLOCK_LEEWAY_S:
            raise RefusedError("invalid_software_statement", "It has expired.")
        return {
            name: value for name, value in said.items() if name not in ("iss", "exp", "iat", "jti", "nbf")
        }


def _is_redirect_uri(uri: str) -> bool:
    """Tell whether codes may be sent there (FAPI 2.0 section 5.3.2.2; RFC 8252 section 7.3 for loopback)."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port  # raises where it is none
    except ValueError:
        return False
    if not _VISIBLE.fullmatch(uri) or "#" in uri or "\\" in uri or parts.username is not None:
        return False
    # The page's own policy names the host, so it must not hold anything that a policy would understand.
    if not _HOST.fullmatch(host):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(description: str) -> RefusedError:
    return RefusedError("invalid_client_metadata", description)
