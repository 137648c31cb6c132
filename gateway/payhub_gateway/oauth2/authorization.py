"""A member consents: pushed requests (RFC 9126), the decision, and the code that it gives."""

from typing import Any, Final

import msgspec
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError

from payhub_gateway.oauth2 import details, metadata, model, records
from payhub_gateway.oauth2.clients import Client
from payhub_gateway.oauth2.errors import ConsentPageError, RefusedError
from payhub_gateway.oauth2.grants import GrantRequest
from payhub_gateway.oauth2.identity import IdentityProvider, Member
from payhub_gateway.oauth2.records import PushedRequest
from payhub_gateway.oauth2.replay import ReplayStore
from payhub_gateway.oauth2.service import Answer, Asked, TokenServer
from payhub_gateway.oauth2.store import CODES, PUSHED

REQUEST_URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
LOGINS_MAX: Final = 5
PUSHED_PER_CLIENT_MAX: Final = 500  # that wait for a member, at one copy
PUSHED_MAX: Final = 20_000
STATE_CHARS_MAX: Final = 4096
SCOPE_CHARS_MAX: Final = 1000
_KEPT: Final = tuple("response_type redirect_uri scope state code_challenge code_challenge_method".split())
_CREATED: Final = 201


class Pending(msgspec.Struct, frozen=True):
    """A pushed request that waits for a member."""

    request_uri: str
    pushed: PushedRequest
    revision: int
    client: Client
    scope: str
    request: GrantRequest
    grant: Any  # Authlib's, which checked the request


class Authorizations:
    """Takes pushed requests and members' decisions.

    Attributes:
        identity: recognizes the members.
    """

    def __init__(self, server: TokenServer, identity: IdentityProvider) -> None:
        self.identity = identity
        self._server = server
        self._pushed = ReplayStore(PUSHED_PER_CLIENT_MAX, PUSHED_MAX, model.PUSHED_LIFETIME_S * 1000)

    async def push(self, asked: Asked) -> Answer:
        """Keep a checked authorization request of an authenticated client (RFC 9126 section 2).

        Raises:
            OAuth2Error: what does not hold.
            PayhubError: the proof does not hold, or the shared store does not answer.
        """
        request = self._server.request(metadata.PATH_PAR, asked)
        client = await self._server.authenticate(request)
        pushed = self._checked(request, client)
        request_uri = REQUEST_URI_PREFIX + records.new_secret()
        # The store has room for all clients together; no single one may use it up.
        self._pushed.use(client.client_id, request_uri, self._server.clock())
        await self._server.store.create(PUSHED, records.key_of(request_uri), records.encode(pushed))
        body = {"request_uri": request_uri, "expires_in": model.PUSHED_LIFETIME_S}
        return self._server.with_nonce(Answer(_CREATED, body, {"Cache-Control": "no-store"}))

    async def pending(self, client_id: str, request_uri: str) -> Pending:
        """Return a pushed request of a client that nobody has decided about.

        Raises:
            ConsentPageError: there is none, or its time is over. The user is sent nowhere: what cannot be
                traced to a pushed request names no address that is safe.
        """
        entry = await self._server.store.get(PUSHED, records.key_of(request_uri))
        pushed = records.decode(entry, PushedRequest)
        client = self._server.query_client(client_id)
        known = (
            pushed is not None
            and pushed.client_id == client_id
            and request_uri.startswith(REQUEST_URI_PREFIX)
        )
        if entry is None or pushed is None or client is None or not known or not client.active:
            raise ConsentPageError("unknown-request", "This request is not known here. Start again.")
        if pushed.decided or pushed.expires_at_ms <= self._server.clock():
            raise ConsentPageError("request-over", "This request is over. Start again.")
        if pushed.logins_failed >= LOGINS_MAX:
            raise ConsentPageError("too-many-logins", "Too many attempts to log in. Start again.")
        request = GrantRequest(
            self._server.issuer + metadata.PATH_AUTHORIZE, {"client_id": client_id, **pushed.parameters}
        )
        request.details = pushed.details
        try:
            grant = self._server.get_consent_grant(request)
        except OAuth2Error as error:
            # The registration changed since: neither the old address nor the old scope is believed any more.
            raise ConsentPageError("request-over", "This request is over. Start again.") from error
        scope = "" if pushed.details and not pushed.parameters.get("scope") else request.scope
        return Pending(request_uri, pushed, entry.revision, client, scope, request, grant)

    async def login_failed(self, pending: Pending) -> None:
        """Count an attempt to log in; guessing ends after ``LOGINS_MAX``."""
        failed = msgspec.structs.replace(pending.pushed, logins_failed=pending.pushed.logins_failed + 1)
        await self._keep(pending, failed)

    async def decide(self, pending: Pending, member: Member | None) -> Answer:
        """Answer the client with a code for the member, or with ``access_denied`` for None.

        Raises:
            ConsentPageError: somebody decided at the same time.
        """
        # Only here, not when the page is loaded: browsers and mail scanners load pages twice.
        await self._keep(pending, msgspec.structs.replace(pending.pushed, decided=True))
        request, subject = pending.request, None if member is None else member.subject
        answer: Answer = self._server.create_authorization_response(
            request, grant_user=subject, grant=pending.grant
        )
        if request.issued_code is not None:
            code, issued = request.issued_code
            await self._server.store.create(CODES, records.key_of(code), records.encode(issued))
        return answer

    async def _keep(self, pending: Pending, pushed: PushedRequest) -> None:
        key = records.key_of(pending.request_uri)
        if not await self._server.store.update(PUSHED, key, records.encode(pushed), pending.revision):
            raise ConsentPageError("request-over", "This request was decided elsewhere. Start again.")

    def _checked(self, request: GrantRequest, client: Client) -> PushedRequest:
        form = request.form
        _refuse_unsupported(form, client)
        if not client.active:
            raise UnauthorizedClientError("The tenant is suspended.")
        if not client.check_grant_type(model.AUTHORIZATION_CODE):
            raise UnauthorizedClientError("The client is not registered for the code flow.")
        parameters: dict[str, str] = {name: form[name] for name in _KEPT if name in form}
        thumbprint = self._bound_to(request)
        if thumbprint is not None:
            parameters["dpop_jkt"] = thumbprint
        asked = GrantRequest(request.uri, {"client_id": client.client_id, **parameters})
        self._server.get_consent_grant(asked)
        return PushedRequest(
            client_id=client.client_id,
            parameters=parameters,
            details=details.parse(form.get("authorization_details"), self._server.issuer),
            thumbprint=thumbprint,
            expires_at_ms=self._server.clock() + model.PUSHED_LIFETIME_S * 1000,
        )

    @staticmethod
    def _bound_to(request: GrantRequest) -> str | None:
        """Return the key that the code will be bound to (RFC 9449 section 10.1)."""
        named: Any = request.form.get("dpop_jkt")
        shown = request.proof.thumbprint if request.proof is not None else named
        if named not in (None, shown):
            raise InvalidRequestError("dpop_jkt is another key than the DPoP proof's.")
        return shown


def _refuse_unsupported(form: dict[str, str], client: Client) -> None:
    if "request_uri" in form:
        raise InvalidRequestError("request_uri cannot be pushed.")
    if "request" in form:
        raise RefusedError("request_not_supported", "Push the parameters themselves.")
    if form.get("response_type") != "code":
        raise RefusedError("unsupported_response_type", "response_type must be code.")
    if form.get("response_mode", "query") != "query":
        raise InvalidRequestError("response_mode must be query.")
    # Authlib would write what was sent into its own sentence, and stumble over it.
    if not client.check_redirect_uri(form.get("redirect_uri", "")):
        raise InvalidRequestError("redirect_uri is missing or not registered.")
    if len(form.get("state", "")) > STATE_CHARS_MAX:
        raise InvalidRequestError(f"state has {STATE_CHARS_MAX} characters at most.")
    if len(form.get("scope", "")) > SCOPE_CHARS_MAX:
        raise RefusedError("invalid_scope", f"scope has {SCOPE_CHARS_MAX} characters at most.")
