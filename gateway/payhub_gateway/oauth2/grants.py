"""Authlib's grants as FAPI 2.0 wants them.

Authlib is synchronous and only computes here: what it asks for was fetched before, and what it decides is
written afterwards, both by ``service``. Its classes ship without types, hence the ``type: ignore[misc]``.
"""

import logging
from typing import Any, ClassVar, Final

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter

from payhub_gateway.oauth2 import details, model, records
from payhub_gateway.oauth2.authorities import Authorities
from payhub_gateway.oauth2.certificates import Shown
from payhub_gateway.oauth2.clients import Client
from payhub_gateway.oauth2.dpop import Proof
from payhub_gateway.oauth2.errors import RefusedAssertionError, RefusedError
from payhub_gateway.oauth2.records import Grant, IssuedCode
from payhub_gateway.oauth2.replay import ReplayStore
from payhub_gateway.oauth2.signatures import PublicKey, unbase64url, verify_with_any
from payhub_platform.clock import Clock

_logger = logging.getLogger(__name__)

CHALLENGE_CHARS: Final = 43  # base64url of a SHA-256


class GrantRequest(OAuth2Request):  # type: ignore[misc] # Authlib ships no types
    """A request at an endpoint of OAuth2, with what was fetched for it and what is to be written.

    Attributes:
        proof: the DPoP proof that came with it.
        shown: the TLS certificate that it came with.
        named_tenants: where it names a tenant, and which.
        details: the rich authorization details that it is about.
        assertion: claims of the verified client assertion.
        code: the authorization code that it names, as stored.
        grant: the grant of the refresh token that it names, as stored.
        reused: a code that was exchanged before.
        keys: of a client that publishes them itself.
        issued_code: a new code and what it stands for.
        issued_refresh: a new refresh token and what it stands for.
    """

    def __init__(
        self,
        uri: str,
        form: dict[str, str],
        proof: Proof | None = None,
        shown: Shown | None = None,
        named_tenants: list[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__("POST", uri)
        self.payload = BasicOAuth2Payload(form)
        self.proof = proof
        self.shown = shown
        self.named_tenants = named_tenants or []
        self.details: list[dict[str, Any]] = []
        self.assertion: model.AssertionClaims | None = None
        self.code: IssuedCode | None = None
        self.grant: Grant | None = None
        self.reused: IssuedCode | None = None
        self.keys: list[PublicKey] = []
        self.issued_code: tuple[str, IssuedCode] | None = None
        self.issued_refresh: tuple[str, Grant] | None = None

    @property
    def form(self) -> dict[str, str]:
        """The decoded form, each parameter once."""
        fields: dict[str, str] = self.payload.data
        return fields

    def confirmation(
        self, client: Client, authorities: Authorities, *, bearer_tokens: bool
    ) -> model.Confirmation | None:
        """Return whose the token will be (FAPI 2.0 section 5.3.2.1 items 4 and 5).

        Raises:
            RefusedError: the request shows neither key nor certificate, or not the one it must, or one that
                the client's tenant does not trust.
        """
        if self.proof is not None:
            return model.Confirmation(jkt=self.proof.thumbprint)
        if client.metadata.dpop_bound_access_tokens:
            raise RefusedError("invalid_dpop_proof", "The client is registered for tokens bound by DPoP.")
        if self.shown is not None:
            is_own = client.metadata.token_endpoint_auth_method == model.SELF_SIGNED
            if not is_own and authorities.vouch(self.shown.certificate, client.tenant) is False:
                raise RefusedError("invalid_request", "The certificate is not of an authority of the tenant.")
            return model.Confirmation(x5t=self.shown.thumbprint)
        if bearer_tokens and not client.metadata.tls_client_certificate_bound_access_tokens:
            return None
        raise RefusedError("invalid_request", "Send a DPoP proof, or a client certificate in TLS.")


class PrivateKeyJwt:
    """private_key_jwt (RFC 7523 section 2.2) as FAPI 2.0 wants it; Authlib asks for clients through it.

    Authlib's own checks the signature with algorithms that FAPI forbids, and takes an array as ``aud``.
    """

    def __init__(self, issuer: str, replays: ReplayStore, clock: Clock) -> None:
        self._issuer = issuer
        self._replays = replays
        self._clock = clock

    def __call__(self, query_client: Any, request: GrantRequest) -> Client | None:
        """Authenticate the client and use its assertion up in this process.

        Raises:
            InvalidClientError: what does not hold.
        """
        form = request.form
        assertion = form.get("client_assertion")
        if form.get("client_assertion_type") != model.ASSERTION_TYPE or not assertion:
            return None
        try:
            header, claims = model.read_assertion(assertion)
            client: Client | None = query_client(claims.sub)
            if client is None:
                raise InvalidClientError(description="The client does not exist on this server.")
            signed, _, signature = assertion.rpartition(".")
            keys = _keys_of(client) if client.metadata.jwks_uri is None else request.keys
            verify_with_any(keys, header.alg, header.kid, unbase64url(signature), signed.encode())
            now_ms = self._clock()
            model.check_assertion(claims, self._issuer, now_ms / 1000)
        except RefusedAssertionError as error:
            raise InvalidClientError(description=error.detail) from error
        except ValueError as error:
            raise InvalidClientError(description="The client assertion cannot be verified.") from error
        # RFC 7521 section 4.2: a client_id beside the assertion must be the same.
        if form.get("client_id") not in (None, client.client_id):
            raise InvalidClientError(description="client_id and client_assertion name different clients.")
        if not self._replays.use(claims.sub, claims.jti, now_ms):
            raise InvalidClientError(description="The client assertion was used before.")
        request.assertion = claims
        return client


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib ships no types
    """The code flow, from a pushed request to the exchange of its code."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(model.AUTH_METHODS)

    def validate_token_request(self) -> None:
        """Check an exchange; only for active tenants."""
        super().validate_token_request()
        _require_active(self.request.client)

    def generate_authorization_code(self) -> str:
        """Make a code of 256 bits."""
        return records.new_secret()

    def save_authorization_code(self, code: str, request: GrantRequest) -> None:
        """Have the code stored."""
        form = request.form
        # Details say exactly what is wanted; then a scope that nobody asked for would be more than that.
        scope = "" if request.details and not form.get("scope") else request.scope
        request.issued_code = (
            code,
            IssuedCode(
                client_id=request.client.client_id,
                subject=request.user,
                redirect_uri=form["redirect_uri"],
                scope=scope,
                code_challenge=form["code_challenge"],
                details=request.details,
                thumbprint=form.get("dpop_jkt"),
                expires_at_ms=self.server.clock() + model.CODE_LIFETIME_S * 1000,
                grant_id=records.new_secret(),
            ),
        )

    def query_authorization_code(self, _code: str, client: Client) -> "_Held | None":
        """Return the code of the request, if it is this client's, still lasts and was not used."""
        held: IssuedCode | None = self.request.code
        if held is None or held.client_id != client.client_id:
            return None
        if held.used:
            self.request.reused = held
            return None
        if held.expires_at_ms <= self.server.clock():
            return None
        proof = self.request.proof
        if held.thumbprint is not None and (proof is None or proof.thumbprint != held.thumbprint):
            raise InvalidGrantError("The code is bound to another DPoP key.")
        return _Held(held)

    def delete_authorization_code(self, _code: Any) -> None:
        """Nothing here: the code is marked as used when all is written."""

    def authenticate_user(self, code: "_Held") -> str:
        """Return the member who consented."""
        return code.record.subject

    def generate_token(
        self, user: str, scope: str, *, include_refresh_token: bool, **_: Any
    ) -> dict[str, Any]:
        """Issue an access token, and a refresh token where the client is registered for it."""
        held: IssuedCode = self.request.code
        granted = details.narrowed(
            self.request.form.get("authorization_details"), held.details, self.server.issuer
        )
        if include_refresh_token:
            now_ms = self.server.clock()
            self.request.issued_refresh = (
                records.new_secret(),
                Grant(
                    grant_id=held.grant_id,
                    client_id=held.client_id,
                    subject=user,
                    scope=scope,
                    details=held.details,
                    issued_at_ms=now_ms,
                    expires_at_ms=now_ms + model.GRANT_LIFETIME_S * 1000,
                ),
            )
        return self.server.issue(self.request, scope, user, held.grant_id, granted)  # type: ignore[no-any-return]


class ClientGrant(ClientCredentialsGrant):  # type: ignore[misc] # Authlib ships no types
    """client_credentials: a client for itself, with scopes that it is registered for."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(model.AUTH_METHODS)

    def validate_requested_scope(self) -> None:
        """Refuse a scope, or details, that the client cannot have by itself."""
        if "authorization_details" in self.request.form:
            raise RefusedError("invalid_authorization_details", "Details need the consent of a member.")
        if not model.granted_scopes(self.request.payload.scope, self.client.scopes):
            _require_active(self.client)  # while its tenant is suspended it may read alone
            raise InvalidScopeError("The client is not registered for the scope.")

    def generate_token(self, scope: str | None, **_: Any) -> dict[str, Any]:
        """Issue an access token."""
        granted = " ".join(model.granted_scopes(scope, self.client.scopes))
        return self.server.issue(self.request, granted)  # type: ignore[no-any-return]


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc] # Authlib ships no types
    """Refreshing: the token stays the same (FAPI 2.0 section 5.3.2.1 item 9), the client proves itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(model.AUTH_METHODS)
    INCLUDE_NEW_REFRESH_TOKEN = False

    def validate_token_request(self) -> None:
        """Check the refresh token; only for active tenants."""
        super().validate_token_request()
        _require_active(self.request.client)

    def authenticate_refresh_token(self, _refresh_token: str) -> "_HeldGrant | None":
        """Return the grant of the request, if it still lasts."""
        held: Grant | None = self.request.grant
        if held is None or held.expires_at_ms <= self.server.clock():
            return None
        return None if self.server.shared.is_revoked_grant(held.grant_id) else _HeldGrant(held)

    def authenticate_user(self, held: "_HeldGrant") -> str:
        """Return the member who consented."""
        return held.record.subject

    def revoke_old_credential(self, _held: Any) -> None:
        """Nothing: it goes on being the client's."""

    def issue_token(self, user: str, held: "_HeldGrant") -> dict[str, Any]:
        """Issue an access token with no more than was granted and the client may still have."""
        record = held.record
        may = set(self.request.client.scopes)
        asked = (self.request.payload.scope or record.scope).split()
        granted = details.narrowed(
            self.request.form.get("authorization_details"), record.details, self.server.issuer
        )
        scope = " ".join(name for name in asked if name in may)
        return self.server.issue(self.request, scope, user, record.grant_id, granted)  # type: ignore[no-any-return]


class _Held:
    """A stored code, as Authlib asks for it."""

    def __init__(self, record: IssuedCode) -> None:
        self.record = record
        self.code_challenge = record.code_challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        return self.record.redirect_uri

    def get_scope(self) -> str:
        return self.record.scope


class _HeldGrant:
    """A stored grant, as Authlib asks for it."""

    def __init__(self, record: Grant) -> None:
        self.record = record

    def check_client(self, client: Client) -> bool:
        return self.record.client_id == client.client_id

    def get_scope(self) -> str:
        return self.record.scope


class S256(CodeChallenge):  # type: ignore[misc] # Authlib ships no types
    """PKCE with S256, required of every client (Authlib's requires it of public ones)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without a challenge."""
        form = grant.request.form
        if (
            form.get("code_challenge_method") != "S256"
            or len(form.get("code_challenge", "")) != CHALLENGE_CHARS
        ):
            raise InvalidRequestError("code_challenge with the method S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Refuse an exchange without the verifier, as ``invalid_grant``."""
        try:
            super().validate_code_verifier(grant, result)
        except InvalidRequestError as error:
            raise InvalidGrantError("code_verifier is missing or malformed.") from error


class Issuer(IssuerParameter):  # type: ignore[misc] # Authlib ships no types
    """``iss`` in every authorization response (RFC 9207)."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        """Return the issuer identifier."""
        return self._issuer


def _keys_of(client: Client) -> list[PublicKey]:
    try:
        return client.keys
    except ValueError as error:
        _logger.warning("client %s of %s: %s", client.client_id, client.tenant.tenant_id, error)
        raise


def _require_active(client: Client) -> None:
    if not client.active:
        raise UnauthorizedClientError("The tenant is suspended.")
