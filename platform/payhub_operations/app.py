"""The web application: pages for people, API for programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Litestar, Request, Response
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_303_SEE_OTHER
from litestar.template.config import TemplateConfig
from litestar.types import ExceptionHandlersMap, Message, Scope

from payhub_operations.audit.api import AuditApi
from payhub_operations.database import Database
from payhub_operations.health import Health, Readiness
from payhub_operations.keys import derived_key
from payhub_operations.payments.api import ExportApi, PaymentsApi
from payhub_operations.payments.export import PaymentExports
from payhub_operations.payments.pages import PaymentPages, home
from payhub_operations.payments.service import PaymentService
from payhub_operations.payments.views import elapsed_text
from payhub_operations.sessions.api import LoginPages
from payhub_operations.sessions.errors import LoginRequiredError
from payhub_operations.sessions.service import SessionService
from payhub_operations.settings import Settings
from payhub_operations.webhooks.api import WebhooksApi
from payhub_operations.webhooks.pages import WebhookPages
from payhub_operations.webhooks.service import WebhookService
from payhub_platform.errors import Problem
from payhub_platform.http import BODY_BYTES_MAX, exception_handlers

_Handler = Callable[[Request[Any, Any, Any], Any], Response[Any]]
_FOLDER: Final = Path(__file__).parent
_HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")


def create_app(
    settings: Settings,
    database: Database,
    payments: PaymentService,
    webhooks: WebhookService,
    sessions: SessionService,
    readiness: Readiness,
) -> Litestar:
    """Build the application over services that somebody else opens and closes."""
    parts: dict[str, Any] = {
        "database": database,
        "payments": payments,
        "exports": PaymentExports(database),
        "webhooks": webhooks,
        "sessions": sessions,
        "readiness": readiness,
    }
    return Litestar(
        route_handlers=[
            home,
            LoginPages,
            PaymentPages,
            PaymentsApi,
            ExportApi,
            AuditApi,
            WebhookPages,
            WebhooksApi,
            Health,
            create_static_files_router(path="/static", directories=[_FOLDER / "static"]),
        ],
        dependencies={name: _provide(part) for name, part in parts.items()},
        exception_handlers=_exception_handlers(),
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(_templates())),
        csrf_config=CSRFConfig(
            secret=derived_key(settings.secrets_key, "csrf").hex(),
            cookie_name="payhub_csrf",
            cookie_httponly=True,
            cookie_samesite="strict",
            cookie_secure=settings.secure_cookies,
            exclude=["^/api/"],  # programs show a token of their own, which no browser sends by itself
        ),
        state=State({"sessions": sessions, "secure_cookies": settings.secure_cookies}),
        before_send=[_harden],
        logging_config=None,  # the process has set logging up
        openapi_config=OpenAPIConfig(
            title="payhub operations",
            version="1",
            path="/api/openapi",
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"bearer": []}],
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=BODY_BYTES_MAX,
    )


def _provide(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["elapsed"] = elapsed_text
    return environment


def _exception_handlers() -> ExceptionHandlersMap:
    """Return the platform's handlers; browsers get the same problem as a page."""
    handlers = {kind: _for_people(handler) for kind, handler in exception_handlers().items()}
    return {**handlers, LoginRequiredError: _to_login}


def _for_people(handler: _Handler) -> _Handler:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        answer: Response[bytes] = handler(request, error)
        if not _is_browser(request):
            return answer
        problem = msgspec.json.decode(answer.content, type=Problem)
        return Template(
            "error.html",
            context={"problem": problem},
            status_code=problem.status,
            headers=answer.headers,
        )

    return handle


def _to_login(_request: Request[Any, Any, Any], error: LoginRequiredError) -> Response[Any]:
    return Redirect("/login", query_params={"wanted": error.wanted}, status_code=HTTP_303_SEE_OTHER)


def _is_browser(request: Request[Any, Any, Any]) -> bool:
    programs = request.url.path.startswith(("/api/", "/health/"))
    return not programs and "text/html" in request.headers.get("accept", "")


async def _harden(message: Message, scope: Scope) -> None:
    """Add the headers that keep pages to themselves; only the style sheet may be cached."""
    if message["type"] != "http.response.start":
        return
    headers = list(message.get("headers", ()))
    headers += _HEADERS
    if not scope["path"].startswith("/static/"):
        headers.append(_NO_STORE)
    message["headers"] = headers
