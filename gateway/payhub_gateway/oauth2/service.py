"""Authlib's OAuth2 server, fed from the tenants' configuration in memory.

Authlib is synchronous and only computes here: everything it asks for is already in memory, so it runs
inside the event loop. Its classes ship without types, hence the ``type: ignore[misc]`` on subclasses.
What it lacks against FAPI 2.0 (pinned algorithms, ``aud`` as one string) is put in by overriding.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.errors import RefusedAssertionError
from payhub_gateway.oauth2.keys import ASSERTION_REGISTRY, client_keys
from payhub_gateway.oauth2.replay import ReplayStore
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import OAuthClient, TenantConfig

_logger = logging.getLogger(__name__)

_DESCRIPTION_CHARS_MAX: Final = 200


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint answers: RFC 6749 section 5.1 or 5.2."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class _Client:
    """A client with its tenant, as Authlib asks for it (``authlib.oauth2.rfc6749.ClientMixin``)."""

    def __init__(self, tenant: TenantConfig, client: OAuthClient) -> None:
        self.tenant = tenant
        self.client_id = client.client_id
        self.scopes = client.scopes
        self.jwks = client.jwks

    def get_client_id(self) -> str:
        return self.client_id

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == model.AUTH_METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == model.GRANT_TYPE


class _FormRequest(OAuth2Request):  # type: ignore[misc] # Authlib ships no types
    """A token request whose form was read before."""

    def __init__(self, uri: str, form: dict[str, str]) -> None:
        super().__init__("POST", uri)
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> dict[str, str]:
        fields: dict[str, str] = self.payload.data
        return fields


class _PrivateKeyJwt(JWTBearerClientAssertion):  # type: ignore[misc] # Authlib ships no types
    """private_key_jwt as FAPI 2.0 wants it."""

    CLIENT_AUTH_METHOD = model.AUTH_METHOD

    def __init__(self, issuer: str, replays: ReplayStore, clock: Clock) -> None:
        super().__init__(leeway=model.CLOCK_LEEWAY_S)
        self._issuer = issuer
        self._replays = replays
        self._clock = clock

    def __call__(self, query_client: Any, request: Any) -> Any:
        """Authenticate; a ``client_id`` beside the assertion must be the same (RFC 7521 section 4.2)."""
        client = super().__call__(query_client, request)
        if client and request.payload.client_id not in (None, client.client_id):
            raise InvalidClientError(description="client_id and client_assertion name different clients.")
        return client

    def extract_assertion(self, assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tell Authlib whose assertion this claims to be."""
        return {}, {"sub": _readable(assertion).sub}

    def resolve_client_public_key(self, client: _Client) -> KeySet:
        """Return the keys the tenant registered for the client."""
        try:
            return client_keys(client.jwks)
        except ValueError as error:
            _logger.warning("client %s of %s: %s", client.client_id, client.tenant.tenant_id, error)
            raise InvalidClientError(description="The client has no usable key.") from error

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> None:
        """Verify signature and claims, and use the assertion up."""
        try:
            jws.deserialize_compact(assertion, resolve_key, registry=ASSERTION_REGISTRY)
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidClientError(description="The client assertion cannot be verified.") from error
        claims = _readable(assertion)
        now_ms = self._clock()
        try:
            model.check_assertion(claims, self._issuer, now_ms / 1000)
        except RefusedAssertionError as error:
            raise InvalidClientError(description=error.detail) from error
        if not self._replays.use(claims.sub, claims.jti, now_ms):
            raise InvalidClientError(description="The client assertion was used before.")


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc] # Authlib ships no types
    """client_credentials for active tenants, with scopes the client is registered for."""

    TOKEN_ENDPOINT_AUTH_METHODS = [model.AUTH_METHOD]

    def validate_token_request(self) -> None:
        super().validate_token_request()
        if self.client.tenant.status != "active":
            raise UnauthorizedClientError("The tenant is suspended.")

    def validate_requested_scope(self) -> None:
        if not model.granted_scopes(self.request.payload.scope, self.client.scopes):
            raise InvalidScopeError("The client is not registered for the scope.")


class TokenServer(AuthorizationServer):  # type: ignore[misc] # Authlib ships no types
    """The token endpoint, apart from HTTP."""

    def __init__(
        self,
        issuer: str,
        directory: TenantDirectory,
        tokens: AccessTokens,
        replays: ReplayStore,
        clock: Clock,
    ) -> None:
        super().__init__()
        self.issuer = issuer
        self._directory = directory
        self._tokens = tokens
        self.register_client_auth_method(model.AUTH_METHOD, _PrivateKeyJwt(issuer, replays, clock))
        self.register_grant(_ClientCredentials)
        self.register_token_generator("default", self._generate)

    def answer(self, form: dict[str, str]) -> TokenAnswer:
        """Answer a token request.

        Args:
            form: the decoded form, each parameter once.

        Raises:
            UnavailableError: code ``overloaded``; too many assertions are remembered.
        """
        answered: TokenAnswer = self.create_token_response(_FormRequest(self.issuer + "/oauth2/token", form))
        return answered

    def query_client(self, client_id: str) -> _Client | None:
        """Find a client in the tenants' configuration."""
        found = self._directory.by_client(client_id)
        return None if found is None else _Client(*found)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Keep nothing: the token carries what it grants, and lasts five minutes."""

    def create_oauth2_request(self, request: _FormRequest) -> _FormRequest:
        """Take our own request as it is."""
        return request

    def handle_response(
        self, status: int, body: dict[str, Any], headers: Iterable[tuple[str, str]]
    ) -> TokenAnswer:
        """Turn Authlib's answer into ours."""
        if "error_description" in body:
            # RFC 6749 section 5.2 allows no quotes, backslashes or other than ASCII here.
            clean = "".join(c for c in body["error_description"] if " " <= c <= "~" and c not in '"\\')
            body = {**body, "error_description": clean[:_DESCRIPTION_CHARS_MAX]}
        return TokenAnswer(status, body, dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens to Authlib's signals."""

    def _generate(self, *, client: _Client, scope: str | None, **_: Any) -> dict[str, Any]:
        granted = " ".join(model.granted_scopes(scope, client.scopes))
        return {
            "access_token": self._tokens.issue(client.client_id, client.tenant.tenant_id, granted),
            "token_type": "Bearer",
            "expires_in": model.TOKEN_LIFETIME_S,
            "scope": granted,
        }


def _readable(assertion: str) -> model.AssertionClaims:
    try:
        return model.read_assertion(assertion)
    except RefusedAssertionError as error:
        raise InvalidClientError(description=error.detail) from error
