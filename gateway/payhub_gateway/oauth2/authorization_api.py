"""The authorization endpoint: the one place of the gateway that a browser visits.

It answers with pages, sends no CORS headers, and redirects with 303 to the registered address alone.
"""

import hashlib
import hmac
import re
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency

from payhub_gateway.oauth2 import metadata, page
from payhub_gateway.oauth2.api import read_form
from payhub_gateway.oauth2.authorization import Authorizations, Pending
from payhub_gateway.oauth2.errors import ConsentPageError, RefusedError
from payhub_gateway.oauth2.identity import IdentityProvider, LoginRefusedError, Member, challenge_of
from payhub_gateway.oauth2.service import TokenServer
from payhub_platform.errors import PayhubError

_HTML: Final = "text/html"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BAD_REQUEST: Final = 400
_OK: Final = 200


@get(metadata.PATH_AUTHORIZE)
async def ask_consent(
    request: Request[Any, Any, Any],
    token_server: NamedDependency[TokenServer],
    authorizations: NamedDependency[Authorizations],
) -> Response[str]:
    """Show a pushed request to the member; anything else in the query is ignored (RFC 9126 section 4)."""
    query = request.query_params
    browser = _Browser(request, token_server.issuer)
    try:
        pending = await authorizations.pending(query.get("client_id", ""), query.get("request_uri", ""))
    except PayhubError as error:
        return browser.failed(error)
    return browser.page(pending, authorizations.identity, _OK)


@post(metadata.PATH_AUTHORIZE, status_code=303)
async def take_decision(
    request: Request[Any, Any, Any],
    token_server: NamedDependency[TokenServer],
    authorizations: NamedDependency[Authorizations],
) -> Response[str]:
    """Take what the member decided, and send them back to the client."""
    browser = _Browser(request, token_server.issuer)
    try:
        form = await read_form(request)
        pending = await authorizations.pending(form.get("client_id", ""), form.get("request_uri", ""))
        browser.require_own_form(form.get("csrf", ""), pending.request_uri)
        member: Member | None = None
        if form.get("decision") == "approve":
            tenant, challenge = pending.client.tenant, challenge_of(pending.request_uri)
            try:
                member = await authorizations.identity.identify(tenant, challenge, form)
            except LoginRefusedError as error:
                await authorizations.login_failed(pending)
                return browser.page(pending, authorizations.identity, _BAD_REQUEST, error.detail)
        elif form.get("decision") != "deny":
            raise ConsentPageError("no-decision", "Choose to allow or to refuse.")
        answer = await authorizations.decide(pending, member)
    except RefusedError as error:
        return browser.failed(ConsentPageError("invalid-consent-form", error.description))
    except PayhubError as error:
        return browser.failed(error)
    headers = {**page.headers(None, secure=browser.secure), "Location": answer.location or ""}
    return Response("", status_code=answer.status, headers=headers, media_type=_HTML)


class _Browser:
    """The member's browser: known by a cookie from the page to the form that it sends."""

    def __init__(self, request: Request[Any, Any, Any], issuer: str) -> None:
        self._request = request
        parts = urlsplit(issuer)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.secure = parts.scheme == "https"
        # The prefix has browsers refuse the cookie from any other host, sub-domains included.
        self._cookie = "__Host-payhub-consent" if self.secure else "payhub-consent"

    def page(
        self, pending: Pending, identity: IdentityProvider, status: int, error: str = ""
    ) -> Response[str]:
        known = self._request.cookies.get(self._cookie, "")
        secret = known if _SECRET.fullmatch(known) else secrets.token_urlsafe(32)
        questions = identity.questions(pending.client.tenant, challenge_of(pending.request_uri))
        body = page.consent(pending, questions, _csrf(secret, pending.request_uri), error)
        headers = page.headers(pending.pushed.parameters["redirect_uri"], secure=self.secure)
        cookie = Cookie(
            key=self._cookie, value=secret, path="/", httponly=True, secure=self.secure, samesite="strict"
        )
        return Response(body, status_code=status, headers=headers, cookies=[cookie], media_type=_HTML)

    def failed(self, error: PayhubError) -> Response[str]:
        headers = {**page.headers(None, secure=self.secure), **error.headers()}
        return Response(
            page.failure(error.detail), status_code=error.status, headers=headers, media_type=_HTML
        )

    def require_own_form(self, csrf: str, request_uri: str) -> None:
        """Refuse a form that another site made this browser send.

        Raises:
            ConsentPageError: code ``foreign-form``.
        """
        secret = self._request.cookies.get(self._cookie, "")
        origins = self._request.headers.getall("origin", [])
        fits = hmac.compare_digest(csrf.encode(), _csrf(secret, request_uri).encode())
        # A page without referrer sends the origin "null" in some browsers; the token decides then.
        if not secret or not fits or any(origin not in (self._origin, "null") for origin in origins):
            raise ConsentPageError("foreign-form", "This form does not come from this page. Start again.")


def _csrf(secret: str, request_uri: str) -> str:
    return hashlib.sha256(f"{secret}:{request_uri}".encode()).hexdigest()
