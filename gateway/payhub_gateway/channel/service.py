"""Transfers: checked, given an id that makes retries harmless, and handed to the tenant's engine."""

from payhub_gateway.channel import model
from payhub_gateway.channel.access import Caller
from payhub_gateway.channel.idempotency import AtWork
from payhub_gateway.engine_client import EngineClient
from payhub_gateway.limits import InFlight
from payhub_platform import ids
from payhub_platform.clock import Clock
from payhub_platform.contracts.channel import TransferAccepted, TransferRequest, TransferStatus
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.errors import NotFoundError, UnprocessableError


class TransferService:
    """Starts transfers and tells how they stand."""

    def __init__(self, engines: EngineClient, in_flight: InFlight, clock: Clock) -> None:
        self._engines = engines
        self._in_flight = in_flight
        self._clock = clock
        self._at_work = AtWork()

    async def start(
        self, caller: Caller, key: str, request: TransferRequest, traceparent: str
    ) -> TransferAccepted:
        """Have the tenant's engine commit a transfer; the same key and request again give the same answer.

        Raises:
            PayhubError: the request is refused (see ``model.start_payment``, 422 ``expired``), its key was
                used for another request (422 ``key-reused``), the same request is at work (409
                ``request-in-progress``), or the engine cannot take it now (503).
        """
        payment = model.start_payment(request, caller.tenant, caller.client_id, key)
        with (
            self._in_flight.slot(caller.tenant.tenant_id, caller.client_id, caller.tenant.api_limits),
            self._at_work.mark(payment.payment_id, payment.fingerprint),
        ):
            await self._refuse_expired(caller, payment, traceparent)
            return await self._engines.start(caller.tenant, payment, traceparent)

    async def status(self, caller: Caller, payment_id: str, traceparent: str) -> TransferStatus:
        """Return how one of the tenant's transfers stands.

        Raises:
            NotFoundError: code ``unknown-payment``; also for another tenant's.
            PayhubError: the engine cannot answer now (503).
        """
        if not ids.is_uuid(payment_id):
            raise NotFoundError("unknown-payment", "There is no such transfer.")
        with self._in_flight.slot(caller.tenant.tenant_id, caller.client_id, caller.tenant.api_limits):
            return await self._engines.status(caller.tenant, payment_id, traceparent)

    async def _refuse_expired(self, caller: Caller, payment: StartPayment, traceparent: str) -> None:
        """Refuse what came too late, unless it is a retry of what came in time.

        A client that never got its 202 repeats the request after the expiration. Telling it "expired" would
        make it believe that nothing was paid, so only a payment that the engine does not know is refused.
        """
        if payment.expires_at_ms is None or payment.expires_at_ms > self._clock():
            return
        try:
            await self._engines.status(caller.tenant, payment.payment_id, traceparent)
        except NotFoundError as error:
            raise UnprocessableError("expired", "The expiration has passed.", "/expiration") from error
