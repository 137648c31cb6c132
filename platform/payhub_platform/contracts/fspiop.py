"""FSPIOP 1.1 messages a DFSP sends and receives for a transfer (API Definition 1.1 sections 6 and 7).

Names of fields are FSPIOP's; unknown fields are ignored here, because schemes extend messages.
"""

from typing import Any, Literal

import msgspec

TransactionRequestState = Literal["RECEIVED", "PENDING", "ACCEPTED", "REJECTED"]
AuthorizationResult = Literal["ENTERED", "REJECTED", "RESEND"]
TransferState = Literal["RECEIVED", "RESERVED", "COMMITTED", "ABORTED"]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The base of every FSPIOP body."""


class FspMoney(Message, frozen=True, kw_only=True):
    """Amount (decimal string without trailing zeros) and currency."""

    currency: str
    amount: str


class PartyIdInfo(Message, frozen=True, kw_only=True):
    """Section 7.4.13."""

    party_id_type: str
    party_identifier: str
    party_sub_id_or_type: str | None = None
    fsp_id: str | None = None


class Party(Message, frozen=True, kw_only=True):
    """Section 7.4.11."""

    party_id_info: PartyIdInfo
    name: str | None = None
    merchant_classification_code: str | None = None


class PartyResponse(Message, frozen=True, kw_only=True):
    """PUT /parties/{Type}/{ID}."""

    party: Party


class Refund(Message, frozen=True, kw_only=True):
    """Section 7.4.16: which transaction is paid back."""

    original_transaction_id: str
    refund_reason: str | None = None


class TransactionType(Message, frozen=True, kw_only=True):
    """Section 7.4.18."""

    scenario: str
    initiator: str
    initiator_type: str
    sub_scenario: str | None = None
    refund_info: Refund | None = None


class QuoteRequest(Message, frozen=True, kw_only=True):
    """POST /quotes."""

    quote_id: str
    transaction_id: str
    payee: Party
    payer: Party
    amount_type: Literal["SEND", "RECEIVE"]
    amount: FspMoney
    transaction_type: TransactionType
    transaction_request_id: str | None = None
    fees: FspMoney | None = None
    note: str | None = None
    expiration: str | None = None


class QuoteResponse(Message, frozen=True, kw_only=True):
    """PUT /quotes/{ID}."""

    transfer_amount: FspMoney
    expiration: str
    ilp_packet: str
    condition: str
    payee_receive_amount: FspMoney | None = None
    payee_fsp_fee: FspMoney | None = None
    payee_fsp_commission: FspMoney | None = None


class TransactionRequest(Message, frozen=True, kw_only=True):
    """POST /transactionRequests: the payee asks the payer to pay."""

    transaction_request_id: str
    payee: Party
    payer: PartyIdInfo
    amount: FspMoney
    transaction_type: TransactionType
    note: str | None = None
    authentication_type: str | None = None
    expiration: str | None = None


class TransactionRequestResponse(Message, frozen=True, kw_only=True):
    """PUT /transactionRequests/{ID}."""

    transaction_request_state: TransactionRequestState
    transaction_id: str | None = None


class AuthorizationQuestion(Message, frozen=True, kw_only=True):
    """The query of GET /authorizations/{ID}: what the payer enters on the payee's device."""

    authentication_type: str
    retries_left: str
    amount: str
    currency: str


class AuthenticationInfo(Message, frozen=True, kw_only=True):
    """Section 7.4.1."""

    authentication: str
    authentication_value: str | dict[str, Any]


class AuthorizationResponse(Message, frozen=True, kw_only=True):
    """PUT /authorizations/{ID}."""

    response_type: AuthorizationResult
    authentication_info: AuthenticationInfo | None = None


class TransferPrepare(Message, frozen=True, kw_only=True):
    """POST /transfers."""

    transfer_id: str
    payer_fsp: str
    payee_fsp: str
    amount: FspMoney
    ilp_packet: str
    condition: str
    expiration: str


class TransferFulfil(Message, frozen=True, kw_only=True):
    """PUT and PATCH /transfers/{ID}."""

    transfer_state: TransferState
    fulfilment: str | None = None
    completed_timestamp: str | None = None


class ParticipantRegistration(Message, frozen=True, kw_only=True):
    """POST /participants/{Type}/{ID}."""

    fsp_id: str
    currency: str | None = None


class ParticipantResponse(Message, frozen=True, kw_only=True):
    """PUT /participants/{Type}/{ID}."""

    fsp_id: str | None = None


class ErrorInformation(Message, frozen=True, kw_only=True):
    """Section 7.4.3."""

    error_code: str
    error_description: str


class ErrorResponse(Message, frozen=True, kw_only=True):
    """Every /error form and every 4xx or 5xx body."""

    error_information: ErrorInformation
