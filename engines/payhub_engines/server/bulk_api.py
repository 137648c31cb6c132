"""Bulks of payments: the engine's API for the gateway."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_engines.connectors.bulk import BULK_PROCESS, bulk_status, bulk_variables
from payhub_engines.core.records import Instance
from payhub_engines.core.state import State
from payhub_engines.server.engine import Engine
from payhub_engines.server.requests import AnyRequest, active_tenant, answer, start_instance
from payhub_platform.contracts.bulk_payments import (
    PATH_BULK_PAYMENTS,
    BulkPaymentStatus,
    StartBulkPayment,
)
from payhub_platform.contracts.engine import HEADER_TENANT
from payhub_platform.errors import NotFoundError
from payhub_platform.http import decode_body
from payhub_platform.security.internal import require_internal

_START: Final = msgspec.json.Decoder(StartBulkPayment)
_RESULTS: Final = "results"


class BulkPaymentsController(Controller):
    """``/engine/v1/bulk-payments``."""

    path = PATH_BULK_PAYMENTS

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Start a bulk; 202 once it is committed to disk. Errors as for a payment."""
        tenant = active_tenant(request, engine)
        start: StartBulkPayment = decode_body(await request.body(), _START.decode)
        variables = bulk_variables(start, tenant)
        return await start_instance(request, engine, tenant, BULK_PROCESS, start, variables)

    @get("/{bulk_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], bulk_id: FromPath[str]
    ) -> Response[bytes]:
        """Return the BulkPaymentStatus; 404 where this tenant has no such bulk."""
        require_internal(request.headers, engine.settings.internal_token)
        tenant_id = request.headers.get(HEADER_TENANT, "")
        status = await engine.stream.read(lambda state: find_status(state, tenant_id, bulk_id), tenant_id)
        if status is None:
            raise NotFoundError("payment-not-found", "There is no bulk with this id.", "/bulkPaymentId")
        return answer(status)


def find_status(state: State, tenant: str, bulk_id: str) -> BulkPaymentStatus | None:
    """Return how a tenant's bulk stands, None where there is none."""
    key = state.find_key(tenant, BULK_PROCESS, bulk_id)
    found = None if key is None else state.document(key)
    if found is None:
        return None
    variables = found.elements[0].variables
    return bulk_status(bulk_id, variables, _results(state, found), found.started_at_ms, found.ended_at_ms)


def _results(state: State, bulk: Instance) -> Iterator[dict[str, Any]]:
    """Yield what is decided: by the bulk itself, by what it has called, and by what of that has ended."""
    yield from bulk.elements[0].variables[_RESULTS]
    for element in bulk.elements.values():
        if element.called:
            called = state.document(element.called)
            yield from [] if called is None else called.elements[0].variables.get(_RESULTS) or []
        if element.loop is not None:
            for output in element.loop.outputs.values():
                yield from output if isinstance(output, list) else []
    if bulk.ended_at_ms is None:
        yield from bulk.elements[0].variables.get("neighbourResults") or []
        for output in bulk.elements[0].variables.get("bulkResults") or []:
            yield from output
