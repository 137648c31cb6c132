"""Login and logout, and the guards of pages and API."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import Body
from litestar.response import Redirect, Response, Template
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_403_FORBIDDEN

from payhub_operations.sessions.errors import LoginRequiredError
from payhub_operations.sessions.model import SESSION_MS, safe_next
from payhub_operations.sessions.service import SessionService

SESSION_COOKIE: Final = "payhub_session"


class LoginForm(msgspec.Struct, frozen=True):
    """What the login page sends."""

    token: str = ""
    wanted: str = ""  # where to go after it


def require_operator(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Guard of the API: the operator token as bearer token."""
    sessions: SessionService = connection.app.state.sessions
    sessions.require_bearer(connection.headers.get("authorization", ""), _address(connection))


def require_session(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Guard of the pages: a session's cookie."""
    sessions: SessionService = connection.app.state.sessions
    if not sessions.is_valid(connection.cookies.get(SESSION_COOKIE, "")):
        query = connection.url.query
        raise LoginRequiredError(f"{connection.url.path}?{query}" if query else connection.url.path)


class LoginPages(Controller):
    """The way in and out for people."""

    include_in_schema = False

    @get("/login")
    async def show(
        self,
        request: Request[Any, Any, Any],
        sessions: SessionService,
        code: str = "",
        wanted: str = "",
    ) -> Response[Any]:
        """Show the form; with the one-time code let in at once."""
        cookie = sessions.redeem(code, _address(request)) if code else None
        if cookie is not None:
            return _let_in(request, cookie, wanted)
        message = "This code has been used or is not valid." if code else ""
        return _form(wanted, message)

    @post("/login")
    async def login(
        self,
        request: Request[Any, Any, Any],
        sessions: SessionService,
        data: Annotated[LoginForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    ) -> Response[Any]:
        """Let in who knows the operator token."""
        cookie = sessions.login(data.token, _address(request))
        if cookie is not None:
            return _let_in(request, cookie, data.wanted)
        return _form(data.wanted, "This is not the operator token.", HTTP_403_FORBIDDEN)

    @post("/logout")
    async def logout(self) -> Redirect:
        """Forget the session in this browser."""
        answer = Redirect("/login", status_code=HTTP_303_SEE_OTHER)
        answer.delete_cookie(SESSION_COOKIE)
        return answer


def _address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return connection.client.host if connection.client else ""


def _form(wanted: str, message: str, status_code: int = 200) -> Template:
    context = {"wanted": safe_next(wanted), "message": message}
    return Template("login.html", context=context, status_code=status_code)


def _let_in(request: Request[Any, Any, Any], cookie: str, wanted: str) -> Redirect:
    answer = Redirect(safe_next(wanted), status_code=HTTP_303_SEE_OTHER)
    answer.set_cookie(
        Cookie(
            key=SESSION_COOKIE,
            value=cookie,
            max_age=SESSION_MS // 1000,
            httponly=True,
            samesite="strict",
            secure=bool(request.app.state.secure_cookies),
        )
    )
    return answer
