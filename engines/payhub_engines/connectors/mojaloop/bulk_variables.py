"""The variables of the bulk processes, as connectors read them; names in the process are camelCase."""

from typing import Literal

import msgspec

from payhub_engines.connectors.variables import ErrorValue, QuoteTerms
from payhub_platform.contracts.fspiop import FspMoney, Party, PartyIdInfo, TransactionType
from payhub_platform.contracts.fspiop_bulk import (
    BulkQuoteRequest,
    BulkQuoteResponse,
    BulkTransferPrepare,
    IndividualTransferResult,
)
from payhub_platform.contracts.use_cases import PEER_TO_PEER


class BulkItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One payment of a bulk on the payer's side, and what it has become.

    ``amount`` is what was asked for, and what is transferred once the terms are agreed.
    """

    transaction_id: str
    quote_id: str
    transfer_id: str
    payee: PartyIdInfo
    party_key: str
    amount: FspMoney
    amount_type: Literal["SEND", "RECEIVE"] = "SEND"
    transaction_type: TransactionType = PEER_TO_PEER
    note: str | None = None
    name: str | None = None  # of the payee, where the look-up told it
    refusal: ErrorValue | None = None  # why it goes no further; nothing of it is held
    failure: ErrorValue | None = None  # why what is held of it is released
    quote_terms: QuoteTerms | None = None
    payer_account: str | None = None
    payer_fee: str | None = None
    payer_service_fee: str | None = None


class ItemResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one payment: an entry of ``results``, which only grows."""

    transaction_id: str
    state: Literal["COMPLETED", "FAILED"]
    error: ErrorValue | None = None
    quote_terms: QuoteTerms | None = None
    payer_fee: str | None = None


class LookedUp(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the look-up of a payee came to."""

    party_key: str
    party: Party | None = None
    payee_fsp: str | None = None
    error: ErrorValue | None = None


class BulkPayment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payer-bulk-payment`` starts with, and its look-ups."""

    bulk_id: str
    payer: PartyIdInfo
    payments: list[BulkItem]
    found: list[LookedUp] = []
    expires_at_ms: int | None = None


class BulkGroup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payments to one institution: one bulk of the scheme."""

    payee_fsp: str
    bulk_quote_id: str
    bulk_transfer_id: str
    payments: list[BulkItem]


class PayerBulk(BulkGroup, frozen=True, kw_only=True, rename="camel"):
    """What ``payer-bulk-transfer`` starts with; ``payments`` are those of which nothing is decided yet."""

    payer: PartyIdInfo
    results: list[ItemResult] = []
    expires_at_ms: int | None = None
    bulk_quote_response: BulkQuoteResponse | None = None
    transfer_expiration: str = ""


class BulkTransferResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The variable ``bulkTransferResult``: what was last said of a bulk transfer.

    ``state`` is FSPIOP's BulkTransferState, or of an error ABORTED (it is over), NOT_FOUND (the scheme does
    not know it) or UNKNOWN (it could not say).
    """

    state: str
    results: list[IndividualTransferResult] = []


class AnsweredBulk(PayerBulk, frozen=True, kw_only=True, rename="camel"):
    """A payer's bulk with what the scheme, or the payee's institution, said of it."""

    bulk_transfer_result: BulkTransferResult
    answered_by: str
    switch_fsp: str
    send_refusal: ErrorValue | None = None
    bulk_transfer_refusal: ErrorValue | None = None
    error: ErrorValue | None = None


class OwnQuote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payee's own answer to one payment of a bulk quote: terms with packet and condition, or why not."""

    quote_id: str
    transaction_id: str
    refusal: ErrorValue | None = None
    payee_account: str | None = None
    quote_terms: QuoteTerms | None = None
    ilp_packet: str | None = None
    condition: str | None = None


class QuotedBulk(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A bulk quote that was asked for, with the own terms for each."""

    bulk_quote: BulkQuoteRequest
    own_quotes: list[OwnQuote]
    requester_fsp: str
    quotes_expire: str | None = None  # once they are given


class PreparedBulk(QuotedBulk, frozen=True, kw_only=True, rename="camel"):
    """Set by the message ``bulk-transfer-prepare``."""

    bulk_transfer: BulkTransferPrepare


class TransferItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One transfer of a bulk to this institution, with the quote that it uses."""

    transfer_id: str
    transaction_id: str  # the transfer's own id where it uses no quote
    quote_id: str | None = None
    refusal: ErrorValue | None = None
    payee_account: str | None = None
    quote_terms: QuoteTerms | None = None


class AcceptedBulk(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A bulk whose transfers were looked at; ``open_items`` are promised, and not decided yet."""

    bulk_transfer_id: str
    requester_fsp: str
    own_quotes: list[OwnQuote]
    transfer_items: list[TransferItem]
    open_items: list[TransferItem] | None = None
    results: list[ItemResult] = []


class SettledBulk(AcceptedBulk, frozen=True, kw_only=True, rename="camel"):
    """A bulk of which somebody says what the scheme has done."""

    bulk_transfer_result: BulkTransferResult
    answered_by: str
    switch_fsp: str
    error: ErrorValue | None = None


class BulkReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that asking for a bulk transfer's state, or refusing it, needs."""

    bulk_transfer_id: str


class BulkQuoteReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that refusing a bulk quote needs."""

    bulk_quote_id: str
