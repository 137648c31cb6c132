"""Payments and health: the engine's API for the gateway and whoever watches a replica."""

from typing import Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_engines.connectors.payment import (
    DEVICE_AUTHORIZATION,
    PAYER_CONFIRMATION,
    PAYER_PROCESS,
    REQUEST_PROCESS,
    REQUESTED_PROCESS,
    authorization_variables,
    charge_of,
    confirmation_variables,
    request_status,
    request_variables,
    start_variables,
    transfer_status,
)
from payhub_engines.core.records import InstanceRecord
from payhub_engines.core.state import State
from payhub_engines.server.engine import Engine
from payhub_engines.server.leadership import health
from payhub_engines.server.received_requests import password_for_payer
from payhub_engines.server.refunds import paid_by, start_refund
from payhub_engines.server.requests import (
    AnyRequest,
    active_tenant,
    answer,
    epoch_of,
    known_tenant,
    paying_tenant,
    recall_instance,
    start_instance,
    tell,
)
from payhub_platform.contracts.channel import (
    Confirmation,
    DeviceAuthorization,
    TransactionRequestStatus,
    TransferAccepted,
)
from payhub_platform.contracts.engine import (
    HEADER_TENANT,
    PATH_AUTHORIZATION,
    PATH_CONFIRMATION,
    PATH_PAYMENTS,
    PATH_RECALL,
    PATH_REFUNDS,
    PATH_REQUESTS,
    StartPayment,
    StartRefund,
    StartRequest,
)
from payhub_platform.errors import NotFoundError
from payhub_platform.http import decode_body
from payhub_platform.security.internal import require_internal

_START: Final = msgspec.json.Decoder(StartPayment)
_START_REQUEST: Final = msgspec.json.Decoder(StartRequest)
_START_REFUND: Final = msgspec.json.Decoder(StartRefund)
_AUTHORIZATION: Final = msgspec.json.Decoder(DeviceAuthorization)
_CONFIRMATION: Final = msgspec.json.Decoder(Confirmation)


class PaymentsController(Controller):
    """``/engine/v1/payments``."""

    path = PATH_PAYMENTS

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Start a payment; 202 once it is committed to disk.

        Raises:
            UnavailableError: ``engine-overloaded`` and others of ``StreamProcessor.submit``.
            UnprocessableError: ``key-reused``, the idempotency key was used with another body;
                ``payment-limit-exceeded`` or ``day-limit-reached``.
        """
        tenant = active_tenant(request, engine)
        start: StartPayment = decode_body(await request.body(), _START.decode)
        variables = start_variables(start, tenant, engine.clock())
        charge = charge_of(start, tenant)
        return await start_instance(request, engine, tenant, PAYER_PROCESS, start, variables, charge)

    @post(PATH_RECALL.removeprefix(PATH_PAYMENTS), status_code=202)
    async def recall(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Answer as the start did, where this engine has begun the payment; begin nothing."""
        require_internal(request.headers, engine.settings.internal_token)
        start: StartPayment = decode_body(await request.body(), _START.decode)
        return await recall_instance(request, engine, PAYER_PROCESS, start)

    @post("/{payment_id:str}/" + PATH_CONFIRMATION)
    async def confirm(
        self, request: AnyRequest, engine: NamedDependency[Engine], payment_id: FromPath[str]
    ) -> Response[bytes]:
        """Take the payer's answer to what the payment costs; 202 once it is committed to disk.

        Raises:
            UnprocessableError: ``nothing-to-confirm``, the payment does not wait for it, or no more.
        """
        tenant = known_tenant(request, engine)
        confirmation: Confirmation = decode_body(await request.body(), _CONFIRMATION.decode)
        transaction_id = await engine.stream.read(
            lambda state: _transaction(state, tenant.tenant_id, payment_id), tenant.tenant_id
        )
        variables = confirmation_variables(confirmation)
        await tell(request, engine, tenant, PAYER_CONFIRMATION, transaction_id, variables)
        return answer(TransferAccepted(transaction_id=payment_id), status=202)

    @post("/{payment_id:str}/" + PATH_REFUNDS)
    async def refund(
        self, request: AnyRequest, engine: NamedDependency[Engine], payment_id: FromPath[str]
    ) -> Response[bytes]:
        """Pay back a payment that a member has received; 202 once it is committed to disk.

        That is done at the engine that knows the payment, also after the tenant has moved.
        """
        tenant = paying_tenant(request, engine)
        start: StartRefund = decode_body(await request.body(), _START_REFUND.decode)
        tenant_id, trace = tenant.tenant_id, request.headers.get("traceparent", "")
        transaction_id = await start_refund(
            lambda function: engine.stream.read(function, tenant_id),
            lambda command: engine.stream.submit(
                msgspec.structs.replace(command, trace=trace, epoch=epoch_of(request)), tenant_id
            ),
            start,
            payment_id,
            tenant,
            engine.clock(),
        )
        return answer(TransferAccepted(transaction_id=transaction_id), status=202)

    @get("/{payment_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], payment_id: FromPath[str]
    ) -> Response[bytes]:
        """Return a payment's TransferStatus; 404 where this tenant has no such payment."""
        require_internal(request.headers, engine.settings.internal_token)
        tenant_id = request.headers.get(HEADER_TENANT, "")
        instance = await engine.stream.read(lambda state: _payment(state, tenant_id, payment_id), tenant_id)
        if instance is None:
            raise NotFoundError("payment-not-found", "There is no payment with this id.", "/transactionId")
        status = transfer_status(
            payment_id,
            instance.variables,
            instance.started_at_ms,
            instance.ended_at_ms,
            handed_over=instance.handed_over,
        )
        password = password_for_payer(engine, instance)
        return answer(msgspec.structs.replace(status, one_time_password=password))


class RequestsController(Controller):
    """``/engine/v1/transaction-requests``: a member asks another institution's member to pay."""

    path = PATH_REQUESTS

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Start a request; 202 once it is committed to disk. Errors as for a payment."""
        tenant = active_tenant(request, engine)
        start: StartRequest = decode_body(await request.body(), _START_REQUEST.decode)
        variables = request_variables(start, tenant)
        return await start_instance(request, engine, tenant, REQUEST_PROCESS, start, variables)

    @get("/{request_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], request_id: FromPath[str]
    ) -> Response[bytes]:
        """Return a request's TransactionRequestStatus; 404 where this tenant has no such request."""
        require_internal(request.headers, engine.settings.internal_token)
        tenant_id = request.headers.get(HEADER_TENANT, "")
        status = await engine.stream.read(lambda state: _request(state, tenant_id, request_id), tenant_id)
        if status is None:
            raise NotFoundError("payment-not-found", "There is no request with this id.", "/transactionId")
        return answer(status)

    @post("/{request_id:str}/" + PATH_AUTHORIZATION)
    async def authorize(
        self, request: AnyRequest, engine: NamedDependency[Engine], request_id: FromPath[str]
    ) -> Response[bytes]:
        """Take what the payer did at the payee's device; 202 once it is committed to disk.

        Raises:
            UnprocessableError: ``nothing-to-confirm``, the device has nothing to ask, or no more.
        """
        tenant = known_tenant(request, engine)
        entered: DeviceAuthorization = decode_body(await request.body(), _AUTHORIZATION.decode)
        variables = authorization_variables(entered)
        await tell(request, engine, tenant, DEVICE_AUTHORIZATION, request_id, variables)
        return answer(TransferAccepted(transaction_id=request_id), status=202)


def _payment(state: State, tenant: str, payment_id: str) -> InstanceRecord | None:
    """Return a payment that a channel has started, or the one that answers another institution's request."""
    found = state.find_instance(tenant, PAYER_PROCESS, payment_id)
    if found is not None:
        return found
    key = state.find_key(tenant, REQUESTED_PROCESS, payment_id)
    request = None if key is None else state.document(key)
    if key is None or request is None or "transferId" not in request.variables:
        return None  # what was refused at once never was a payment
    called = next((element.called for element in request.elements.values() if element.called), key)
    return state.instance(called)


def _request(state: State, tenant: str, request_id: str) -> TransactionRequestStatus | None:
    """Return how a member's request to be paid stands."""
    found = state.find_instance(tenant, REQUEST_PROCESS, request_id)
    if found is None:
        return None
    return msgspec.structs.replace(
        request_status(found.variables, found.started_at_ms, found.ended_at_ms),
        awaits_password=state.has_subscription(tenant, DEVICE_AUTHORIZATION, request_id),
        transaction_id=paid_by(state, tenant, request_id, found.variables.get("transactionRequestResponse")),
    )


def _transaction(state: State, tenant: str, payment_id: str) -> str:
    """Return the transaction id of a payment; empty where there is none."""
    payment = _payment(state, tenant, payment_id)
    return "" if payment is None else str(payment.variables["transactionId"])


@get("/health/live")
async def live() -> Response[bytes]:
    """Answer as long as the event loop runs."""
    return answer({"status": "live"})


@get("/health/ready")
async def ready(engine: NamedDependency[Engine]) -> Response[bytes]:
    """Answer 200 where this replica takes requests: as the leader, or for the leader it knows."""
    told = health(engine, engine.settings.replica)
    return answer(told, status=200 if told.status == "ready" else 503)
