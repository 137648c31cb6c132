"""What the switch reads of FSPIOP's bodies (section 7); fields that it does not need are ignored.

Written for the sandbox alone: where payhub and the sandbox read a message differently, one of them is wrong.
"""

from typing import Literal

import msgspec

TransferState = Literal["RECEIVED", "RESERVED", "COMMITTED", "ABORTED"]
TransactionRequestState = Literal["RECEIVED", "PENDING", "ACCEPTED", "REJECTED"]
BulkTransferState = Literal["RECEIVED", "PENDING", "ACCEPTED", "PROCESSING", "COMPLETED", "REJECTED"]


class Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every body."""


class Amount(Content, frozen=True, kw_only=True):
    """Money: decimal text and currency."""

    currency: str
    amount: str


class PartyIdInfo(Content, frozen=True, kw_only=True):
    """A party's identifier."""

    party_id_type: str
    party_identifier: str
    party_sub_id_or_type: str | None = None


class Party(Content, frozen=True, kw_only=True):
    """A party, of which only the identifier matters here."""

    party_id_info: PartyIdInfo


class PartyAnswer(Content, frozen=True, kw_only=True):
    """PUT /parties."""

    party: Party


class Registration(Content, frozen=True, kw_only=True):
    """POST /participants/{Type}/{ID}."""

    fsp_id: str
    currency: str | None = None


class Registrations(Content, frozen=True, kw_only=True):
    """POST /participants: many identifiers at once."""

    request_id: str
    party_list: list[PartyIdInfo]
    currency: str | None = None


class TransactionType(Content, frozen=True, kw_only=True):
    """What kind of transaction it is; the words are between payer and payee."""

    scenario: str
    initiator: str
    initiator_type: str


class QuoteRequest(Content, frozen=True, kw_only=True):
    """POST /quotes."""

    quote_id: str
    transaction_id: str
    payee: Party
    payer: Party
    amount_type: Literal["SEND", "RECEIVE"]
    amount: Amount
    transaction_type: TransactionType


class QuoteAnswer(Content, frozen=True, kw_only=True):
    """PUT /quotes/{ID}."""

    transfer_amount: Amount
    expiration: str
    ilp_packet: str
    condition: str


class TransactionRequest(Content, frozen=True, kw_only=True):
    """POST /transactionRequests."""

    transaction_request_id: str
    payee: Party
    payer: PartyIdInfo
    amount: Amount
    transaction_type: TransactionType


class TransactionRequestAnswer(Content, frozen=True, kw_only=True):
    """PUT /transactionRequests/{ID}."""

    transaction_request_state: TransactionRequestState


class AuthenticationInfo(Content, frozen=True, kw_only=True):
    """What the payer entered."""

    authentication: str
    authentication_value: str


class AuthorizationAnswer(Content, frozen=True, kw_only=True):
    """PUT /authorizations/{ID}."""

    authentication_info: AuthenticationInfo | None = None
    response_type: Literal["ENTERED", "REJECTED", "RESEND"]


class TransactionAnswer(Content, frozen=True, kw_only=True):
    """PUT /transactions/{ID}."""

    transaction_state: Literal["RECEIVED", "PENDING", "COMPLETED", "REJECTED"]


class IndividualQuote(Content, frozen=True, kw_only=True):
    """One quote of a bulk."""

    quote_id: str
    transaction_id: str
    payee: Party
    amount_type: Literal["SEND", "RECEIVE"]
    amount: Amount
    transaction_type: TransactionType


class BulkQuoteRequest(Content, frozen=True, kw_only=True):
    """POST /bulkQuotes."""

    bulk_quote_id: str
    payer: Party
    individual_quotes: list[IndividualQuote]


class BulkQuoteAnswer(Content, frozen=True, kw_only=True):
    """PUT /bulkQuotes/{ID}."""

    expiration: str


class TransferPrepare(Content, frozen=True, kw_only=True):
    """POST /transfers."""

    transfer_id: str
    payer_fsp: str
    payee_fsp: str
    amount: Amount
    ilp_packet: str
    condition: str
    expiration: str


class TransferFulfil(Content, frozen=True, kw_only=True):
    """PUT /transfers/{ID}."""

    transfer_state: TransferState
    fulfilment: str | None = None


class IndividualTransfer(Content, frozen=True, kw_only=True):
    """One transfer of a bulk."""

    transfer_id: str
    transfer_amount: Amount
    ilp_packet: str
    condition: str


class BulkPrepare(Content, frozen=True, kw_only=True):
    """POST /bulkTransfers."""

    bulk_transfer_id: str
    bulk_quote_id: str
    payer_fsp: str
    payee_fsp: str
    individual_transfers: list[IndividualTransfer]
    expiration: str


class ErrorInformation(Content, frozen=True, kw_only=True):
    """Section 7.4.3."""

    error_code: str
    error_description: str


class ErrorAnswer(Content, frozen=True, kw_only=True):
    """Every /error form."""

    error_information: ErrorInformation


class IndividualResult(Content, frozen=True, kw_only=True):
    """What became of one transfer of a bulk."""

    transfer_id: str
    fulfilment: str | None = None
    error_information: ErrorInformation | None = None


class BulkFulfil(Content, frozen=True, kw_only=True):
    """PUT /bulkTransfers/{ID}."""

    bulk_transfer_state: BulkTransferState
    individual_transfer_results: list[IndividualResult] = []


class FxAmount(Content, frozen=True, kw_only=True):
    """Money of a conversion; the side that the provider fills in has no amount yet."""

    currency: str
    amount: str | None = None


class ConversionTerms(Content, frozen=True, kw_only=True):
    """FxConversion (version 2.0)."""

    conversion_id: str
    initiating_fsp: str
    counter_party_fsp: str
    amount_type: Literal["SEND", "RECEIVE"]
    source_amount: FxAmount
    target_amount: FxAmount
    expiration: str
    determining_transfer_id: str | None = None


class FxQuoteRequest(Content, frozen=True, kw_only=True):
    """POST /fxQuotes."""

    conversion_request_id: str
    conversion_terms: ConversionTerms


class FxQuoteAnswer(Content, frozen=True, kw_only=True):
    """PUT /fxQuotes/{ID}."""

    conversion_terms: ConversionTerms
    condition: str | None = None


class FxPrepare(Content, frozen=True, kw_only=True):
    """POST /fxTransfers."""

    commit_request_id: str
    initiating_fsp: str
    counter_party_fsp: str
    source_amount: Amount
    target_amount: Amount
    condition: str
    determining_transfer_id: str | None = None
    expiration: str | None = None


class FxFulfil(Content, frozen=True, kw_only=True):
    """PUT /fxTransfers/{ID}."""

    conversion_state: TransferState
    fulfilment: str | None = None
