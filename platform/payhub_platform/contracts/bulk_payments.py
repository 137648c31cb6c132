"""Many payments of one payer: what a channel sends and is told, and what the engine starts."""

from typing import Annotated, Final, Literal

import msgspec

from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.channel import (
    ChannelMoney,
    ChannelParty,
    PartyIdInfo,
    PaymentState,
    TransferError,
    TransferTerms,
)
from payhub_platform.money import Money

BULK_PAYMENTS_MAX: Final = 100  # an instance holds them all; FSPIOP allows 1,000 in a message
PATH_BULK_PAYMENTS: Final = "/engine/v1/bulk-payments"

AmountType = Literal["SEND", "RECEIVE"]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class BulkPaymentItem(Contract, frozen=True, kw_only=True, rename="camel"):
    """One payment of a ``BulkPaymentRequest``."""

    payee: ChannelParty
    amount: ChannelMoney
    amount_type: AmountType = "SEND"
    client_ref_id: str | None = None
    note: str | None = None


class BulkPaymentRequest(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/bulk-payments``: one payer, payees at any institutions."""

    payer: ChannelParty
    payments: Annotated[list[BulkPaymentItem], msgspec.Meta(min_length=1, max_length=BULK_PAYMENTS_MAX)]
    client_ref_id: Reference | None = None
    expiration: str | None = None  # ISO 8601 with offset


class BulkPaymentAccepted(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer 202: the bulk is committed to disk, and each of its payments will reach a final state."""

    bulk_payment_id: str


class BulkItemStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """How one payment of a bulk stands; final as soon as its own outcome is, whatever of the others."""

    transaction_id: str
    transfer_id: str
    state: PaymentState
    amount: ChannelMoney  # as asked for
    payee: PartyIdInfo
    client_ref_id: str | None = None
    error: TransferError | None = None
    terms: TransferTerms | None = None  # once it is over, where they had been agreed


class BulkPaymentStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/bulk-payments/{id}``, payments in the order in which they were asked for.

    ``state`` is PENDING until all payments are over, then COMPLETED where at least one was paid, else FAILED.
    """

    bulk_payment_id: str
    state: PaymentState
    payer: PartyIdInfo
    started_at: str
    ended_at: str | None = None
    client_ref_id: str | None = None
    payments: list[BulkItemStatus]


class StartBulkItem(Contract, frozen=True, kw_only=True):
    """One payment of a ``StartBulkPayment``."""

    payee: PartyIdInfo
    amount: Money
    amount_type: AmountType = "SEND"
    client_ref_id: str | None = None
    note: str | None = None


class StartBulkPayment(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/bulk-payments``, as ``StartPayment``."""

    payment_id: str  # of the bulk
    idempotency_key: str
    fingerprint: str
    client_id: str
    payer: PartyIdInfo
    payments: Annotated[list[StartBulkItem], msgspec.Meta(min_length=1, max_length=BULK_PAYMENTS_MAX)]
    client_ref_id: str | None = None
    expires_at_ms: int | None = None
