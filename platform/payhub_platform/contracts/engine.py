"""Gateway to engine: the engine's own API, never reached by people or channels."""

from typing import Final

from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.money import Money

HEADER_TENANT: Final = "x-payhub-tenant"
HEADER_EPOCH: Final = "x-payhub-epoch"
PATH_PAYMENTS: Final = "/engine/v1/payments"


class StartPayment(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/payments``; answered 202 with ``TransferAccepted`` once committed.

    ``payment_id`` is derived from tenant, client and idempotency key; ``fingerprint`` is the SHA-256
    of the channel's body in canonical form. The same id with another fingerprint is refused 422.
    """

    payment_id: str
    idempotency_key: str
    fingerprint: str
    client_id: str
    payer: PartyIdInfo
    payee: PartyIdInfo
    amount: Money
    amount_type: str = "SEND"
    client_ref_id: str | None = None
    note: str | None = None
    expires_at_ms: int | None = None
