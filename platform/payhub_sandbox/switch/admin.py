"""The scheme operator's side of the switch, for the loopback interface only."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from payhub_platform.http import decode_body
from payhub_sandbox.loopback import require_loopback
from payhub_sandbox.switch.api import json_response
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.service import SwitchService
from payhub_sandbox.switch.weather import Rule

PREFIX: Final = "/switch/admin"

_registrations: Final = msgspec.json.Decoder(Registration)
_rules: Final = msgspec.json.Decoder(Rule)


def admin_handlers(service: SwitchService) -> list[HTTPRouteHandler]:
    """Return the handlers for participants, positions, transfers, conversations and weather rules."""
    context, book = service.hub.context, service.hub.settlement.book

    @post(PREFIX + "/participants", guards=[require_loopback], status_code=200)
    async def register(request: Request[Any, Any, Any]) -> Response[bytes]:
        registration = decode_body(await request.body(), _registrations.decode)
        participant = context.participants.register(registration)
        return json_response({"fspId": participant.fsp_id, "currency": participant.currency})

    @get(PREFIX + "/positions", guards=[require_loopback])
    async def positions() -> Response[bytes]:
        rows = [
            {
                "fspId": one.fsp_id,
                "currency": one.currency,
                "position": one.position,
                "reserved": one.reserved,
                "netDebitCap": one.net_debit_cap,
            }
            for one in context.participants.all()
        ]
        return json_response(rows)

    @get(PREFIX + "/transfers", guards=[require_loopback])
    async def transfers() -> Response[bytes]:
        rows = [
            {
                "transferId": one.transfer_id,
                "payerFsp": one.payer_fsp,
                "payeeFsp": one.payee_fsp,
                "amount": one.amount.minor,
                "currency": one.amount.currency,
                "state": one.state,
                "conversationIndex": one.lane,
            }
            for one in book.all()
        ]
        return json_response(rows)

    @get(PREFIX + "/conversations", guards=[require_loopback])
    async def conversations() -> Response[bytes]:
        known = context.conversations
        return json_response({"total": known.total, "perIndex": known.per_lane()})

    @post(PREFIX + "/rules", guards=[require_loopback], status_code=200)
    async def set_rule(request: Request[Any, Any, Any]) -> Response[bytes]:
        rule = decode_body(await request.body(), _rules.decode)
        context.weather.set_rule(rule)
        return json_response(rule)

    @get(PREFIX + "/rules", guards=[require_loopback])
    async def rules() -> Response[bytes]:
        return json_response(context.weather.rules())

    return [register, positions, transfers, conversations, set_rule, rules]
