"""Requests to pay that a tenant's members have received: the engine's API for the gateway."""

from typing import Final

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from payhub_engines.connectors.mojaloop.jobs_authorizations import OTP
from payhub_engines.connectors.mojaloop.received.names import TRANSACTION_REQUEST_QUERY
from payhub_engines.connectors.payment import REQUESTED_PROCESS, received_request, transfer_status
from payhub_engines.core.records import InstanceRecord
from payhub_engines.core.state import State
from payhub_engines.server.engine import Engine
from payhub_engines.server.requests import AnyRequest, answer
from payhub_platform.contracts.channel import ReceivedRequest, ReceivedRequests
from payhub_platform.contracts.engine import HEADER_TENANT, PATH_RECEIVED
from payhub_platform.security.internal import require_internal

REQUESTS_TOLD_MAX: Final = 100


class ReceivedRequestsController(Controller):
    """``/engine/v1/received-requests``."""

    path = PATH_RECEIVED

    @get()
    async def told(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Return the ReceivedRequests of a tenant, or of its member that the query names."""
        require_internal(request.headers, engine.settings.internal_token)
        tenant_id = request.headers.get(HEADER_TENANT, "")
        asked = request.query_params
        member = (asked.get("partyIdType"), asked.get("partyIdentifier"))
        found = await engine.stream.read(lambda state: undecided(state, tenant_id, member), tenant_id)
        requests = [_told(engine, *one) for one in found[:REQUESTS_TOLD_MAX]]
        return answer(ReceivedRequests(requests=requests, complete=len(found) <= REQUESTS_TOLD_MAX))


def password_for_payer(engine: Engine, payment: InstanceRecord) -> str | None:
    """Return what the payer enters at the payee's device, while the payment runs; for its channel alone."""
    if payment.ended_at_ms is not None or payment.variables.get("authentication") != OTP:
        return None
    return engine.one_time_password(payment.tenant, str(payment.variables["transactionId"]))


def undecided(
    state: State, tenant: str, member: tuple[str | None, str | None]
) -> list[tuple[str, InstanceRecord]]:
    """Return requests by their ids, each with the payment that answers it, the oldest first; one too many.

    While a request is paid, its process can be asked how it stands: so it is among what waits for messages.
    """
    found: list[tuple[str, InstanceRecord]] = []
    for (owner, name, request_id), places in state.index.waiting.items():
        if owner != tenant or name != TRANSACTION_REQUEST_QUERY:
            continue
        for key, element in places.values():
            asked = state.document(key)
            called = 0 if asked is None else asked.elements[element].called
            payment = state.instance(called) if called else None
            if asked is None or payment is None or asked.process != REQUESTED_PROCESS:
                continue
            if _is_undecided(payment) and _is_of(payment, member):
                found.append((request_id, payment))
        if len(found) > REQUESTS_TOLD_MAX:
            break
    return found


def _is_undecided(payment: InstanceRecord) -> bool:
    """Tell whether the member may still say yes or no; a wrong password leaves it open."""
    decided = payment.variables.get("confirmation") in ("ACCEPTED", "REJECTED")
    return payment.ended_at_ms is None and not decided


def _is_of(payment: InstanceRecord, member: tuple[str | None, str | None]) -> bool:
    payer = payment.variables["payer"]
    wanted = zip(("partyIdType", "partyIdentifier"), member, strict=True)
    return all(value is None or payer.get(name) == value for name, value in wanted)


def _told(engine: Engine, request_id: str, payment: InstanceRecord) -> ReceivedRequest:
    status = transfer_status(
        request_id,
        payment.variables,
        payment.started_at_ms,
        payment.ended_at_ms,
        handed_over=payment.handed_over,
    )
    return received_request(status, payment.variables, password_for_payer(engine, payment))
