"""What an integrator tells the test DFSP, for the loopback interface only."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from payhub_platform.http import decode_body
from payhub_sandbox.loopback import require_loopback
from payhub_sandbox.residents.bulk_payer import BulkOrder, BulkPayment
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.payer import Order, Payment, party_key
from payhub_sandbox.switch.api import json_response
from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import FspiopRefusalError

PREFIX: Final = "/testbank/admin"

AnyRequest = Request[Any, Any, Any]

_bulk_orders: Final = msgspec.json.Decoder(BulkOrder)
_orders: Final = msgspec.json.Decoder(Order)


def resident_handlers(dfsp: Counterparty, send: Callable[[Incoming], None]) -> list[HTTPRouteHandler]:
    """Return the handlers for payments and members of the test DFSP.

    Args:
        dfsp: the test DFSP.
        send: hands a message to the switch.
    """

    @post(PREFIX + "/payments", guards=[require_loopback], status_code=202)
    async def order(request: AnyRequest) -> Response[bytes]:
        payment, messages = dfsp.payer.order(decode_body(await request.body(), _orders.decode))
        _send_all(messages, dfsp, send)
        return json_response(payment_row(payment), 202)

    @post(PREFIX + "/payments/{payment_id:str}/ask", guards=[require_loopback], status_code=202)
    async def ask(request: AnyRequest) -> Response[bytes]:
        _send_all(dfsp.payer.ask(request.path_params["payment_id"]), dfsp, send)
        return json_response({}, 202)

    @get(PREFIX + "/payments", guards=[require_loopback])
    async def payments() -> Response[bytes]:
        return json_response([payment_row(one) for one in dfsp.payer.payments()])

    @get(PREFIX + "/credits", guards=[require_loopback])
    async def received() -> Response[bytes]:
        rows = [
            {
                "transferId": transfer_id,
                "member": one.member.key,
                "amount": one.amount.minor,
                "currency": one.amount.currency,
                "state": one.state,
            }
            for transfer_id, one in dfsp.payee.credits().items()
        ]
        return json_response(rows)

    @get(PREFIX + "/members", guards=[require_loopback])
    async def members() -> Response[bytes]:
        rows = [
            {"member": one.key, "name": one.name, "balances": one.balances, "held": one.held}
            for one in dfsp.members.values()
        ]
        return json_response(rows)

    return [order, ask, payments, received, members, *_bulk_handlers(dfsp, send)]


def _send_all(messages: list[Incoming], dfsp: Counterparty, send: Callable[[Incoming], None]) -> None:
    """Hand messages to the switch; one that it refuses ends its payment, as any DFSP's would."""
    for message in messages:
        try:
            send(message)
        except FspiopRefusalError as error:
            dfsp.refused(message, error.error_code)


def _bulk_handlers(dfsp: Counterparty, send: Callable[[Incoming], None]) -> list[HTTPRouteHandler]:
    @post(PREFIX + "/bulks", guards=[require_loopback], status_code=202)
    async def order_bulk(request: AnyRequest) -> Response[bytes]:
        bulk, messages = dfsp.bulk_payer.order(decode_body(await request.body(), _bulk_orders.decode))
        _send_all(messages, dfsp, send)
        return json_response(bulk_row(bulk), 202)

    @get(PREFIX + "/bulks", guards=[require_loopback])
    async def bulks() -> Response[bytes]:
        return json_response([bulk_row(one) for one in dfsp.bulk_payer.bulks()])

    return [order_bulk, bulks]


def bulk_row(bulk: BulkPayment) -> dict[str, Any]:
    """Return a bulk; the amount of each payment is minor units."""
    return {
        "bulkId": bulk.bulk_id,
        "state": bulk.state,
        "errorCode": bulk.error_code or None,
        "amount": bulk.amount.minor,
        "currency": bulk.amount.currency,
        "payments": [
            {
                "transferId": one.share_id,
                "msisdn": one.msisdn,
                "paid": one.paid,
                "errorCode": one.error_code or None,
            }
            for one in bulk.shares
        ],
    }


def payment_row(payment: Payment) -> dict[str, Any]:
    """Return a payment; the amount is minor units."""
    return {
        "paymentId": payment.payment_id,
        "kind": payment.kind,
        "state": payment.state,
        "errorCode": payment.error_code or None,
        "member": payment.member.key,
        "party": party_key(payment.party),
        "peer": payment.peer or None,
        "amount": payment.amount.minor,
        "currency": payment.amount.currency,
        "quoteId": payment.quote_id,
        "transferId": payment.transfer_id,
    }
