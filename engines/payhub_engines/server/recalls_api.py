"""Has this engine begun it? Gateways ask before another engine begins what a client wants."""

from typing import Final

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency

from payhub_engines.connectors.bulk import BULK_PROCESS
from payhub_engines.connectors.member import ACCOUNT_PROCESS, PARTY_PROCESS, REGISTRATION_PROCESS
from payhub_engines.connectors.payment import PAYER_PROCESS, REQUEST_PROCESS
from payhub_engines.core.reply import Rejected
from payhub_engines.handover.recall import recalled
from payhub_engines.server.engine import Engine
from payhub_engines.server.requests import AnyRequest, answer, epoch_of, refusal_of
from payhub_platform.contracts.bulk_payments import PATH_BULK_PAYMENTS
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.contracts.engine import (
    HEADER_TENANT,
    PATH_ACCOUNTS,
    PATH_PARTIES,
    PATH_PAYMENTS,
    PATH_RECALLS,
    PATH_REGISTRATIONS,
    PATH_REQUESTS,
    RecallStart,
)
from payhub_platform.errors import NotFoundError
from payhub_platform.http import decode_body
from payhub_platform.security.internal import require_internal

_RECALL: Final = msgspec.json.Decoder(RecallStart)
# What begins at whichever engine the tenant has: the process behind each path of this engine's API.
# A refund is missing: it begins below the payment that it pays back, at the engine that knows that one.
PROCESSES: Final = {
    PATH_PAYMENTS: PAYER_PROCESS,
    PATH_REQUESTS: REQUEST_PROCESS,
    PATH_BULK_PAYMENTS: BULK_PROCESS,
    PATH_ACCOUNTS: ACCOUNT_PROCESS,
    PATH_PARTIES: PARTY_PROCESS,
    PATH_REGISTRATIONS: REGISTRATION_PROCESS,
}


class RecallsController(Controller):
    """``/engine/v1/recalls``."""

    path = PATH_RECALLS

    @post(status_code=202)
    async def recall(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Answer as the start did, where this engine has begun it; begin nothing.

        Raises:
            NotFoundError: ``payment-not-found``; from now on it does not begin under an older epoch either.
                ``not-found``: nothing begins under the path that is told, as far as this engine knows.
            UnprocessableError: ``key-reused``, it was begun with another body.
        """
        require_internal(request.headers, engine.settings.internal_token)
        asked: RecallStart = decode_body(await request.body(), _RECALL.decode)
        process = PROCESSES.get(asked.path)
        if process is None:
            # Said in another way than that it was not begun: a newer engine may know better.
            raise NotFoundError("not-found", "Nothing begins under this path.", "/path")
        tenant_id = request.headers.get(HEADER_TENANT, "")
        found = await recalled(
            engine.stream,
            tenant_id,
            epoch_of(request),
            lambda state: state.find_instance(tenant_id, process, asked.payment_id),
        )
        if found is None:
            raise NotFoundError("payment-not-found", "There is nothing with this id.", "/payment_id")
        if found.fingerprint != asked.fingerprint:
            reused = Rejected("key-reused", f"{asked.payment_id} was used with another content.")
            raise refusal_of(reused, engine.clock())
        return answer(TransferAccepted(transaction_id=asked.payment_id), status=202)
