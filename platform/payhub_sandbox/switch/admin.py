"""The scheme operator's side of the switch, for the loopback interface only."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post, put
from litestar.handlers import HTTPRouteHandler

from payhub_platform.errors import InvalidInputError
from payhub_platform.http import decode_body
from payhub_sandbox.loopback import require_loopback
from payhub_sandbox.switch.api import json_response
from payhub_sandbox.switch.climate import Climate
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.participants import Limit, Position, Registration
from payhub_sandbox.switch.service import SwitchService
from payhub_sandbox.switch.transfers import Transfer
from payhub_sandbox.switch.voice import Manner
from payhub_sandbox.switch.weather import Rule
from payhub_sandbox.switch.windows import Window

PREFIX: Final = "/switch/admin"
WINDOWS: Final = PREFIX + "/settlement-windows"

AnyRequest = Request[Any, Any, Any]

_registrations: Final = msgspec.json.Decoder(Registration)
_limits: Final = msgspec.json.Decoder(Limit)
_rules: Final = msgspec.json.Decoder(Rule)
_climates: Final = msgspec.json.Decoder(Climate)
_manners: Final = msgspec.json.Decoder(Manner)


def admin_handlers(service: SwitchService) -> list[HTTPRouteHandler]:
    """Return the handlers of the scheme's operator."""
    context = service.hub.context
    return [
        *_participant_handlers(context),
        *_book_handlers(service.hub),
        *_window_handlers(service.hub),
        *_weather_handlers(service, context),
    ]


def _participant_handlers(context: SwitchContext) -> list[HTTPRouteHandler]:
    @post(PREFIX + "/participants", guards=[require_loopback], status_code=200)
    async def register(request: AnyRequest) -> Response[bytes]:
        registration = decode_body(await request.body(), _registrations.decode)
        participant = context.participants.register(registration)
        return json_response({"fspId": participant.fsp_id, "currency": registration.currency})

    @post(PREFIX + "/limits", guards=[require_loopback], status_code=200)
    async def limit(request: AnyRequest) -> Response[bytes]:
        change = decode_body(await request.body(), _limits.decode)
        return json_response(position_row(change.fsp_id, context.participants.limit(change)))

    @get(PREFIX + "/positions", guards=[require_loopback])
    async def positions() -> Response[bytes]:
        rows = [
            position_row(one.fsp_id, position)
            for one in context.participants.all()
            for position in one.positions.values()
        ]
        return json_response(rows)

    return [register, limit, positions]


def _book_handlers(hub: Hub) -> list[HTTPRouteHandler]:
    @get(PREFIX + "/transfers", guards=[require_loopback])
    async def transfers() -> Response[bytes]:
        return json_response([transfer_row(one) for one in hub.clearing.book.all()])

    @get(PREFIX + "/conversions", guards=[require_loopback])
    async def conversions() -> Response[bytes]:
        return json_response([transfer_row(one) for one in hub.conversions.book.all()])

    @get(PREFIX + "/conversations", guards=[require_loopback])
    async def conversations() -> Response[bytes]:
        known = hub.context.conversations
        return json_response({"total": known.total, "perIndex": known.per_lane()})

    return [transfers, conversions, conversations]


def _window_handlers(hub: Hub) -> list[HTTPRouteHandler]:
    def number_of(request: AnyRequest) -> int:
        text = request.path_params["number"]
        if not text.isascii() or not text.isdigit():
            raise InvalidInputError("invalid-window", "A settlement window is named by its number.")
        return int(text)

    @get(WINDOWS, guards=[require_loopback])
    async def windows() -> Response[bytes]:
        return json_response([window_row(one) for one in hub.windows.all()])

    @post(WINDOWS + "/{number:str}/close", guards=[require_loopback], status_code=200)
    async def close(request: AnyRequest) -> Response[bytes]:
        return json_response(window_row(hub.windows.close(number_of(request), hub.context.clock())))

    @post(WINDOWS + "/{number:str}/settle", guards=[require_loopback], status_code=200)
    async def settle(request: AnyRequest) -> Response[bytes]:
        return json_response(window_row(hub.windows.settle(number_of(request), hub.context.clock())))

    return [windows, close, settle]


def _weather_handlers(service: SwitchService, context: SwitchContext) -> list[HTTPRouteHandler]:
    @post(PREFIX + "/rules", guards=[require_loopback], status_code=200)
    async def set_rule(request: AnyRequest) -> Response[bytes]:
        rule = decode_body(await request.body(), _rules.decode)
        context.weather.set_rule(rule)
        return json_response(rule)

    @get(PREFIX + "/rules", guards=[require_loopback])
    async def rules() -> Response[bytes]:
        return json_response(context.weather.rules())

    @put(PREFIX + "/climate", guards=[require_loopback], status_code=200)
    async def set_climate(request: AnyRequest) -> Response[bytes]:
        service.forecast.climate = decode_body(await request.body(), _climates.decode)
        return json_response(service.forecast.climate)

    @get(PREFIX + "/climate", guards=[require_loopback])
    async def climate() -> Response[bytes]:
        return json_response(service.forecast.climate)

    @put(PREFIX + "/manner", guards=[require_loopback], status_code=200)
    async def set_manner(request: AnyRequest) -> Response[bytes]:
        context.voice.manner = decode_body(await request.body(), _manners.decode)
        return json_response(context.voice.manner)

    @get(PREFIX + "/manner", guards=[require_loopback])
    async def manner() -> Response[bytes]:
        return json_response(context.voice.manner)

    return [set_rule, rules, set_climate, climate, set_manner, manner]


def position_row(fsp_id: str, position: Position) -> dict[str, Any]:
    """Return a position; amounts are minor units."""
    return {
        "fspId": fsp_id,
        "currency": position.currency,
        "position": position.position,
        "reserved": position.reserved,
        "settled": position.settled,
        "netDebitCap": position.net_debit_cap,
    }


def transfer_row(transfer: Transfer) -> dict[str, Any]:
    """Return a transfer or the source side of a conversion; the amount is minor units."""
    return {
        "transferId": transfer.transfer_id,
        "payerFsp": transfer.payer_fsp,
        "payeeFsp": transfer.payee_fsp,
        "amount": transfer.amount.minor,
        "currency": transfer.amount.currency,
        "state": transfer.state,
        "conversationIndex": transfer.lane,
    }


def window_row(window: Window) -> dict[str, Any]:
    """Return a settlement window; net amounts are minor units, positive owes the scheme."""
    return {
        "number": window.number,
        "state": window.state,
        "openedAtMs": window.opened_at_ms,
        "closedAtMs": window.closed_at_ms,
        "settledAtMs": window.settled_at_ms,
        "transfers": window.transfers,
        "net": [
            {"fspId": fsp_id, "currency": currency, "amount": amount}
            for (fsp_id, currency), amount in window.net.items()
        ],
    }
