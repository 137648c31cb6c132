"""Authlib's OAuth2 server between what is fetched for it and what is written after it."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from authlib.oauth2 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidGrantError

from payhub_gateway.oauth2 import metadata, model, records, tenants
from payhub_gateway.oauth2.authorities import Authorities
from payhub_gateway.oauth2.certificates import Shown
from payhub_gateway.oauth2.clients import Client, ClientDirectory
from payhub_gateway.oauth2.dpop import Proofs
from payhub_gateway.oauth2.errors import RefusedAssertionError, RefusedError
from payhub_gateway.oauth2.grants import (
    S256,
    ClientGrant,
    CodeGrant,
    GrantRequest,
    Issuer,
    PrivateKeyJwt,
    RefreshGrant,
)
from payhub_gateway.oauth2.key_sets import KeySets
from payhub_gateway.oauth2.mutual_tls import MutualTls
from payhub_gateway.oauth2.records import Grant, IssuedCode
from payhub_gateway.oauth2.replay import ReplayStore, use_everywhere
from payhub_gateway.oauth2.shared import SharedState
from payhub_gateway.oauth2.store import CODES, GRANTS, StateStore, StoreUnavailableError
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_platform.clock import Clock

_DESCRIPTION_CHARS_MAX: Final = 200
_SEE_OTHER: Final = 303
_OK: Final = 200


class Asked(msgspec.Struct, frozen=True):
    """A request at an endpoint of OAuth2.

    Attributes:
        form: the decoded form, each parameter once.
        proofs: all values of the DPoP header.
        shown: the client's TLS certificate.
        named_tenants: where it names a tenant, and which.
    """

    form: dict[str, str]
    proofs: list[str] = []
    shown: Shown | None = None
    named_tenants: list[tuple[str, str]] = []


class Answer(msgspec.Struct):
    """What an endpoint of OAuth2 answers; Authlib's extensions change ``location``."""

    status: int
    body: Any
    headers: dict[str, str]
    location: str | None = None


class TokenServer(AuthorizationServer):  # type: ignore[misc] # Authlib ships no types
    """The OAuth2 server, apart from HTTP.

    Args:
        issuer: the issuer identifier.
        clients: all clients.
        tokens: issues access tokens.
        store: what the gateway's copies share.
        shared: what this copy knows of it.
        proofs: verifies DPoP proofs.
        clock: milliseconds since the Unix epoch.
        authorities: who vouches for certificates of clients.
        key_sets: fetches keys that clients publish themselves.
        bearer_tokens: whether tokens that are bound to nobody are issued; on one machine only.
    """

    def __init__(
        self,
        issuer: str,
        clients: ClientDirectory,
        tokens: AccessTokens,
        store: StateStore,
        shared: SharedState,
        proofs: Proofs,
        clock: Clock,
        *,
        authorities: Authorities,
        key_sets: KeySets,
        bearer_tokens: bool,
    ) -> None:
        super().__init__()
        self.issuer = issuer
        self.clock = clock
        self.shared = shared
        self.store = store
        self._clients = clients
        self._tokens = tokens
        self._proofs = proofs
        self._bearer_tokens = bearer_tokens
        self.register_client_auth_method(model.AUTH_METHOD, PrivateKeyJwt(issuer, ReplayStore(), clock))
        for method in (model.TLS_CLIENT_AUTH, model.SELF_SIGNED):
            self.register_client_auth_method(method, MutualTls(method, authorities))
        self._authorities = authorities
        self._key_sets = key_sets
        self.register_grant(CodeGrant, [S256(required=True)])
        self.register_grant(ClientGrant)
        self.register_grant(RefreshGrant)
        self.register_extension(Issuer(issuer))

    async def token(self, asked: Asked) -> Answer:
        """Answer a token request (RFC 6749 section 3.2).

        With the shared store down, only client_credentials go on: see ``_use_up``.

        Raises:
            OAuth2Error: the assertion, proof or code was used before.
            PayhubError: the proof does not hold, or the shared store does not answer.
        """
        request = self.request(metadata.PATH_TOKEN, asked)
        await self._fetch_keys(request)
        code_key, code_revision = await self._fetch(request)
        answer: Answer = self.create_token_response(request)
        await self._use_up(request, alone=asked.form.get("grant_type") == model.CLIENT_CREDENTIALS)
        if request.reused is not None:
            await self._revoke_reused(request.reused)
        elif answer.status == _OK:
            await self._write(request, code_key, code_revision)
        return self.with_nonce(answer)

    def request(self, path: str, asked: Asked) -> GrantRequest:
        """Return a request for Authlib, with its proof checked.

        Raises:
            InvalidProofError: its DPoP proof does not hold.
        """
        uri = self.issuer + path
        proof = self._proofs.verify(asked.proofs, "POST", uri) if asked.proofs else None
        return GrantRequest(uri, asked.form, proof, asked.shown, asked.named_tenants)

    async def authenticate(self, request: GrantRequest) -> Client:
        """Return the client of a request at an endpoint that has no grant; its assertion is used up.

        Raises:
            OAuth2Error: ``invalid_client``.
            StoreUnavailableError: whether the assertion was used elsewhere is not known.
        """
        await self._fetch_keys(request)
        client: Client = self.authenticate_client(request, model.AUTH_METHODS)
        request.client = client
        await self._use_up(request, alone=False)
        return client

    def issue(
        self,
        request: GrantRequest,
        scope: str,
        subject: str | None = None,
        grant_id: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Issue what a token response says (RFC 6749 section 5.1), bound to who asks."""
        client: Client = request.client
        bound = request.confirmation(client, self._authorities, bearer_tokens=self._bearer_tokens)
        token: dict[str, Any] = {
            "access_token": self._tokens.issue(
                client.client_id,
                client.tenant.tenant_id,
                scope,
                subject=subject,
                confirmation=bound,
                grant_id=grant_id,
                details=details,
            ),
            "token_type": "DPoP" if bound is not None and bound.jkt is not None else "Bearer",
            "expires_in": model.TOKEN_LIFETIME_S,
            "scope": scope,
        }
        if request.issued_refresh is not None:
            token["refresh_token"] = request.issued_refresh[0]
        if details:
            token["authorization_details"] = details
        return token

    def with_nonce(self, answer: Answer) -> Answer:
        """Tell the nonce that the next proof needs (RFC 9449 section 8.2)."""
        if self._proofs.nonces is not None:
            answer.headers["DPoP-Nonce"] = self._proofs.nonces.current()
        return answer

    def query_client(self, client_id: str) -> Client | None:
        """Find a client."""
        return self._clients.find(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Nothing here: ``_write`` keeps what must be kept."""

    def create_oauth2_request(self, request: GrantRequest) -> GrantRequest:
        """Take our own request as it is."""
        return request

    def handle_response(self, status: int, body: Any, headers: Iterable[tuple[str, str]]) -> Answer:
        """Turn Authlib's answer into ours."""
        return answer_of(status, body, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens to Authlib's signals."""

    async def _fetch_keys(self, request: GrantRequest) -> None:
        """Fetch the keys of a client that publishes them itself, where one such is named.

        Raises:
            UnavailableError: 503 ``client-keys-unavailable``.
        """
        try:
            header, claims = model.read_assertion(request.form.get("client_assertion", ""))
        except RefusedAssertionError:
            return  # it is told when the assertion is verified
        client = self._clients.find(claims.sub)
        if client is not None and client.metadata.jwks_uri is not None:
            request.keys = await self._key_sets.keys(client.metadata.jwks_uri, header.kid)

    async def _fetch(self, request: GrantRequest) -> tuple[str, int]:
        """Fetch what the request's grant is about; return a code's key and revision."""
        form = request.form
        if form.get("grant_type") == model.AUTHORIZATION_CODE and form.get("code"):
            key = records.key_of(form["code"])
            entry = await self.store.get(CODES, key)
            request.code = records.decode(entry, IssuedCode)
            return key, entry.revision if entry is not None else 0
        if form.get("grant_type") == model.REFRESH_TOKEN and form.get("refresh_token"):
            found = await self.store.get(GRANTS, records.key_of(form["refresh_token"]))
            request.grant = records.decode(found, Grant)
        return "", 0

    async def _use_up(self, request: GrantRequest, *, alone: bool) -> None:
        """Note at all copies that the request's assertion and proof are used.

        While the shared store is down, a copy that may act alone does, on what it knows itself, for an
        assertion that is a minute old at most: nobody can wait that minute out at another copy.

        Raises:
            InvalidClientError: another copy saw one of them before.
            InvalidProofError: this copy saw the proof before.
            RefusedError: the request names another tenant.
            StoreUnavailableError: that is not known, and matters.
        """
        claims = request.assertion
        client = request.client if claims is None else self._clients.find(claims.sub)
        if claims is None and client is None:
            return
        if request.proof is not None:
            self._proofs.use(request.proof)
        if client and tenants.mismatch(request.named_tenants, client.tenant.tenant_id, client.client_id):
            raise RefusedError("invalid_request", "The request names another tenant than the client's.")
        used = []
        if claims is not None:
            used.append(use_everywhere(self.store, f"assertion:{claims.sub}", claims.jti))
        if request.proof is not None:
            used.append(use_everywhere(self.store, f"proof:{request.proof.thumbprint}", request.proof.jti))
        try:
            fresh = await asyncio.gather(*used)
        except StoreUnavailableError:
            oldest_s = self.clock() / 1000 - model.ALONE_AGE_MAX_S
            if alone and (claims is None or claims.iat > oldest_s):
                return
            raise
        if not all(fresh):
            raise InvalidClientError(description="The client assertion or DPoP proof was used before.")

    async def _write(self, request: GrantRequest, code_key: str, code_revision: int) -> None:
        """Keep the refresh token, then mark the code as used; the one that marks it wins."""
        code = request.code
        if code is None:
            return
        refresh_key = ""
        if request.issued_refresh is not None:
            secret, grant = request.issued_refresh
            refresh_key = records.key_of(secret)
            await self.store.create(GRANTS, refresh_key, records.encode(grant))
        used = msgspec.structs.replace(code, used=True, refresh_key=refresh_key)
        if not await self.store.update(CODES, code_key, records.encode(used), code_revision):
            # Two exchanges at once: none of them may keep what it got.
            await self._revoke_reused(used)
            won = records.decode(await self.store.get(CODES, code_key), IssuedCode)
            await self._revoke_reused(won or used)
            raise InvalidGrantError("The code was used before.")

    async def _revoke_reused(self, code: IssuedCode) -> None:
        """End everything that came of a code that is used again (RFC 6749 section 4.1.2)."""
        await self.shared.revoke(code.grant_id)
        if code.refresh_key:
            await self.store.delete(GRANTS, code.refresh_key)


def answer_of(status: int, body: Any, headers: Iterable[tuple[str, str]]) -> Answer:
    """Turn what Authlib answers into ours; redirects are 303 (FAPI 2.0 section 5.3.2.2)."""
    told_headers = dict(headers)
    location = told_headers.pop("Location", None)
    if isinstance(body, dict) and "error_description" in body:
        # RFC 6749 section 5.2 allows no quotes, backslashes or other than ASCII here.
        clean = "".join(c for c in body["error_description"] if " " <= c <= "~" and c not in '"\\')
        body = {**body, "error_description": clean[:_DESCRIPTION_CHARS_MAX]}
    return Answer(_SEE_OTHER if location else status, body, told_headers, location)


def refusal(error: OAuth2Error) -> Answer:
    """Tell an error as JSON, never by a redirect."""
    error.redirect_uri = error.state = None
    return answer_of(*error())
