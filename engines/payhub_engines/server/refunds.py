"""Refunds: what is left of a payment is looked at and taken so that two at once never pay back too much."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from payhub_engines.connectors import refund
from payhub_engines.connectors.payment import PAYER_PROCESS
from payhub_engines.connectors.refund import Earlier
from payhub_engines.core.commands import StartInstance
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.core.state import State
from payhub_engines.processes import PAYEE_QUOTE_TRANSFER
from payhub_engines.server.requests import refusal_of
from payhub_platform.contracts.engine import StartRefund
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError

LOOKS_MAX: Final = 8  # others that pay back the same payment at the same moment
_KEY_REUSED: Final = "key-reused"
ReadT = TypeVar("ReadT")


class Reading(Protocol):
    """How the state is read."""

    def __call__(self, function: Callable[[State], ReadT], /) -> Awaitable[ReadT]:
        """Return what a function makes of the state."""


Submit = Callable[[StartInstance], Awaitable[Reply]]


async def start_refund(
    read: Reading, submit: Submit, start: StartRefund, original: str, tenant: TenantConfig, now_ms: int
) -> str:
    """Start a refund and return its transaction id, once it is committed.

    Each refund of a payment has a number, and only one can be started under a number: who comes second finds
    it taken and looks again at what is left.

    Raises:
        UnprocessableError: ``not-refundable``, ``refund-exceeds-payment``, ``too-many-refunds`` or
            ``key-reused``.
        UnavailableError: ``refund-contended``.
    """
    for _ in range(LOOKS_MAX):
        incoming, outgoing, earlier = await read(lambda state: _look(state, tenant.tenant_id, original))
        before = refund.known(start, earlier)
        if before:
            return before
        found = refund.original_of(incoming, outgoing)
        amount = refund.amount_of(start, found, earlier)
        transaction_id = refund.refund_id(tenant.tenant_id, original, len(earlier) + 1)
        command = StartInstance(
            process=PAYER_PROCESS,
            tenant=tenant.tenant_id,
            payment=transaction_id,
            fingerprint=f"{start.payment_id}/{start.fingerprint}",
            variables=refund.refund_variables(start, found, transaction_id, amount, tenant, now_ms),
        )
        reply = await submit(command)
        if not isinstance(reply, Rejected):
            return transaction_id
        if reply.code != _KEY_REUSED:
            raise refusal_of(reply, now_ms)
    raise UnavailableError("refund-contended", "Others pay back the same payment; send the same again.")


def paid_by(state: State, tenant: str, request_id: str, told: dict[str, Any] | None) -> str | None:
    """Return the payment that answers a member's request to be paid, None where none is known.

    Args:
        state: the engine's.
        tenant: the payee's institution.
        request_id: the transactionRequestId.
        told: what was last said of the request; believed only where a payment here names the request.
    """
    claimed = str((told or {}).get("transactionId"))
    found = state.find_instance(tenant, PAYEE_QUOTE_TRANSFER, claimed)
    quote = {} if found is None else found.variables.get("quote") or {}
    return claimed if quote.get("transactionRequestId") == request_id else None


def _look(
    state: State, tenant: str, original: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[Earlier]]:
    incoming = state.find_instance(tenant, PAYEE_QUOTE_TRANSFER, original)
    outgoing = state.find_instance(tenant, PAYER_PROCESS, original)
    earlier: list[Earlier] = []
    while len(earlier) < refund.REFUNDS_MAX:
        number = len(earlier) + 1
        found = state.find_instance(tenant, PAYER_PROCESS, refund.refund_id(tenant, original, number))
        if found is None:
            break
        earlier.append(msgspec.convert(found.variables, Earlier))
    return (
        None if incoming is None else incoming.variables,
        None if outgoing is None else outgoing.variables,
        earlier,
    )
