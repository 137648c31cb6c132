"""The sandbox's HTTP application: switch, banks, test DFSP, health, and the guide for newcomers."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from payhub_platform.clock import Clock
from payhub_platform.http import exception_handlers
from payhub_platform.serving import server
from payhub_sandbox.bank import admin as bank_admin
from payhub_sandbox.bank import api as bank_api
from payhub_sandbox.bank.refusal import BankRefusalError
from payhub_sandbox.bank.service import BankService
from payhub_sandbox.guide import guide
from payhub_sandbox.page import page
from payhub_sandbox.residents.admin import resident_handlers
from payhub_sandbox.residents.house import Residents, move_in
from payhub_sandbox.seed import BANKS
from payhub_sandbox.settings import SandboxSettings
from payhub_sandbox.switch import admin as switch_admin
from payhub_sandbox.switch import api as switch_api
from payhub_sandbox.switch.headers import BODY_BYTES_MAX
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.service import SwitchService

POLL_MS: Final = 50

_READY: Final = 200
_NOT_READY: Final = 503


class Sandbox:
    """Everything that the application serves, with fresh books."""

    def __init__(self, settings: SandboxSettings, clock: Clock) -> None:
        self.switch = SwitchService(
            clock,
            algorithm=settings.algorithm,
            forced_cases=settings.forced_cases,
            climate=settings.climate,
        )
        self.switch.hub.context.voice.manner = settings.manner
        self.banks = {
            seed.fsp_id: BankService(
                seed,
                clock,
                quirks=settings.quirks,
                version=settings.fineract,
                forced_cases=settings.forced_cases,
            )
            for seed in BANKS
        }
        self.residents: Residents | None = None
        if settings.residents:
            self.residents = move_in(self.switch, clock, settings.algorithm)

    def end_waits(self) -> None:
        """Let go what the banks hold back, because the sandbox ends."""
        for bank in self.banks.values():
            bank.patience.end()

    def guide(self, base_url: str) -> dict[str, Any]:
        """Return all that a newcomer needs."""
        return guide(base_url, self.switch, self.banks, self.residents)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Return the handlers of all parts."""
        residents = self.residents
        return [
            *switch_api.switch_handlers(self.switch),
            *switch_admin.admin_handlers(self.switch),
            *bank_api.bank_handlers(self.banks),
            *bank_admin.bank_admin_handlers(self.banks),
            *(resident_handlers(residents.dfsp, self.switch.receive) if residents is not None else []),
            *_house_handlers(self),
        ]


def create_app(settings: SandboxSettings, clock: Clock) -> Litestar:
    """Build the application with fresh books."""
    return app_of(Sandbox(settings, clock))


def app_of(sandbox: Sandbox) -> Litestar:
    """Build the application that serves a sandbox."""
    handlers = exception_handlers()
    handlers = {
        **handlers,
        FspiopRefusalError: switch_api.on_refusal,
        BankRefusalError: bank_api.on_refusal,
    }
    return Litestar(
        route_handlers=sandbox.handlers(),
        exception_handlers=handlers,
        openapi_config=None,
        logging_config=None,
        # One byte more than FSPIOP allows reaches the switch, which refuses it in FSPIOP's words.
        request_max_body_size=BODY_BYTES_MAX + 1024,
        lifespan=[lambda _app: sandbox.switch.running()],
    )


def _house_handlers(sandbox: Sandbox) -> list[HTTPRouteHandler]:
    switch = sandbox.switch

    @get("/health/live")
    async def live() -> Response[bytes]:
        return _json({"status": "live"})

    @get("/health/ready")
    async def ready() -> Response[bytes]:
        return _json(
            {"status": "ready" if switch.ready else "starting"}, _READY if switch.ready else _NOT_READY
        )

    @get("/sandbox")
    async def newcomers(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _json(sandbox.guide(_base_url(request)))

    @get("/")
    async def guide_page(request: Request[Any, Any, Any]) -> Response[str]:
        return Response(page(sandbox.guide(_base_url(request))), media_type="text/html")

    return [live, ready, newcomers, guide_page]


def _base_url(request: Request[Any, Any, Any]) -> str:
    return str(request.base_url).rstrip("/")


def _json(value: Any, status: int = _READY) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


async def serve(sandbox: Sandbox, host: str, port: int, on_start: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        sandbox: what is served.
        host: address to listen on.
        port: TCP port.
        on_start: is called once it listens.
    """
    running = server(app_of(sandbox), host, port)
    serving = asyncio.create_task(running.serve())
    while not running.should_exit and not serving.done():
        if running.started and on_start is not None:
            on_start()
            on_start = None
        await asyncio.sleep(POLL_MS / 1000)
    sandbox.end_waits()
    await serving
