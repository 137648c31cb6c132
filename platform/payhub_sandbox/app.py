"""The sandbox's HTTP application: the switch, the banks, health, and the guide for newcomers."""

from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from payhub_platform.clock import Clock
from payhub_platform.http import exception_handlers
from payhub_sandbox.bank import admin as bank_admin
from payhub_sandbox.bank import api as bank_api
from payhub_sandbox.bank.refusal import BankRefusalError
from payhub_sandbox.bank.service import BankService
from payhub_sandbox.guide import guide
from payhub_sandbox.seed import BANKS
from payhub_sandbox.settings import SandboxSettings
from payhub_sandbox.switch import admin as switch_admin
from payhub_sandbox.switch import api as switch_api
from payhub_sandbox.switch.headers import BODY_BYTES_MAX
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.service import SwitchService

_READY: Final = 200
_NOT_READY: Final = 503


def create_app(settings: SandboxSettings, clock: Clock) -> Litestar:
    """Build the application with fresh books."""
    switch = SwitchService(
        clock,
        algorithm=settings.algorithm,
        forced_cases=settings.forced_cases,
        climate=settings.climate,
    )
    switch.hub.context.voice.manner = settings.manner
    banks = {
        seed.fsp_id: BankService(
            seed,
            clock,
            quirks=settings.quirks,
            version=settings.fineract,
            forced_cases=settings.forced_cases,
        )
        for seed in BANKS
    }
    handlers = exception_handlers()
    handlers = {
        **handlers,
        FspiopRefusalError: switch_api.on_refusal,
        BankRefusalError: bank_api.on_refusal,
    }
    return Litestar(
        route_handlers=[
            *switch_api.switch_handlers(switch),
            *switch_admin.admin_handlers(switch),
            *bank_api.bank_handlers(banks),
            *bank_admin.bank_admin_handlers(banks),
            *_house_handlers(switch),
        ],
        exception_handlers=handlers,
        openapi_config=None,
        logging_config=None,
        # One byte more than FSPIOP allows reaches the switch, which refuses it in FSPIOP's words.
        request_max_body_size=BODY_BYTES_MAX + 1024,
        lifespan=[lambda _app: switch.running()],
    )


def _house_handlers(switch: SwitchService) -> list[HTTPRouteHandler]:
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
        base_url = str(request.base_url).rstrip("/")
        return _json(guide(base_url, switch.hub.context.voice.public_key_pem))

    return [live, ready, newcomers]


def _json(value: Any, status: int = _READY) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
