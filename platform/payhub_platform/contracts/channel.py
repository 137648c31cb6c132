"""The channel API: what a SACCO's channel sends and is told (Payment Hub EE's bodies, made strict)."""

from typing import Literal

from payhub_platform.contracts.base import Contract

PartyIdType = Literal["MSISDN", "EMAIL", "PERSONAL_ID", "BUSINESS", "DEVICE", "ACCOUNT_ID", "IBAN", "ALIAS"]
PaymentState = Literal["PENDING", "COMPLETED", "FAILED"]
UseCase = Literal["transfer", "merchant-payment", "cash-in", "cash-out", "loan-repayment"]
"""What is paid for (FSPIOP 1.1 section 5.3): another member, a merchant whose QR code was read, cash that the
payer as an agent has taken, cash that the payer takes at an agent, or a loan.
"""


class PartyIdInfo(Contract, frozen=True, kw_only=True, rename="camel"):
    """A party's identifier (FSPIOP 1.1 section 7.4.13)."""

    party_id_type: PartyIdType
    party_identifier: str
    party_sub_id_or_type: str | None = None
    fsp_id: str | None = None


class ChannelParty(Contract, frozen=True, kw_only=True, rename="camel"):
    """Payer or payee."""

    party_id_info: PartyIdInfo
    name: str | None = None


class ChannelMoney(Contract, frozen=True, kw_only=True, rename="camel"):
    """A decimal string in major units with its currency."""

    amount: str
    currency: str


class TransferRequest(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /channel/transfer``."""

    payer: ChannelParty
    payee: ChannelParty
    amount: ChannelMoney
    amount_type: Literal["SEND", "RECEIVE"] = "SEND"
    client_ref_id: str | None = None
    use_case: UseCase = "transfer"
    confirm_quote: bool = False  # nothing is paid before the payer has accepted the terms
    note: str | None = None
    expiration: str | None = None  # ISO 8601 with offset


class Confirmation(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/transfers/{id}/confirmation``: whether the payer accepts the terms."""

    accepted: bool


class RefundRequest(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/transfers/{id}/refunds``: a member pays back what it has received."""

    amount: ChannelMoney | None = None  # None: all that is left
    reason: str | None = None
    client_ref_id: str | None = None


RequestUse = Literal["merchant-payment", "agent-cash-out", "atm-cash-out"]
"""Why a payee asks to be paid (FSPIOP 1.1 section 5.3): goods or services, or cash that it has handed out."""


class TransactionRequest(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/transaction-requests``: a member asks to be paid."""

    payee: ChannelParty
    payer: ChannelParty
    amount: ChannelMoney  # what the payee is to receive
    use_case: RequestUse = "merchant-payment"
    authentication: Literal["OTP"] | None = None  # the payer enters a one-time password at the device
    client_ref_id: str | None = None
    note: str | None = None
    expiration: str | None = None  # ISO 8601 with offset; None: an hour from now


class DeviceAuthorization(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/transaction-requests/{id}/authorization``: what the payer did at the device."""

    response_type: Literal["ENTERED", "REJECTED", "RESEND"]
    password: str | None = None  # with ENTERED


class TransferAccepted(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer 202: the payment is committed to disk and will reach a final state."""

    transaction_id: str


class TransferError(Contract, frozen=True, kw_only=True, rename="camel"):
    """Why a payment failed."""

    code: str  # FSPIOP error code where one exists, such as 3204
    description: str
    limit: Literal["payment", "day", "member-day", "velocity"] | None = (
        None  # with 4200: which one is reached
    )
    retry_at: str | None = None  # when it lets the same through; absent: never


TransferStateName = Literal["RECEIVED", "COMMITTED", "ABORTED"]


class TransactionState(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /channel/txnState/{key}``: Payment Hub EE's fields, in FSPIOP's words.

    ``transfer_state`` is RECEIVED while the payment is under way, then COMMITTED or ABORTED (FSPIOP 1.1
    section 7.5.9).
    """

    transaction_id: str
    transfer_state: TransferStateName
    client_ref_id: str | None = None
    transfer_id: str | None = None
    completed_timestamp: str | None = None
    error: TransferError | None = None


class TransferTerms(Contract, frozen=True, kw_only=True, rename="camel"):
    """What the payment costs: the payer's account is charged ``transfer_amount`` and ``payer_fee``."""

    transfer_amount: ChannelMoney
    payer_fee: ChannelMoney
    payee_fee: ChannelMoney
    payee_receive_amount: ChannelMoney
    expiration: str  # until when they can be confirmed


class TransferStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/transfers/{id}``."""

    transaction_id: str
    state: PaymentState
    amount: ChannelMoney
    payer: PartyIdInfo
    payee: PartyIdInfo
    started_at: str
    ended_at: str | None = None
    transfer_id: str | None = None
    client_ref_id: str | None = None
    error: TransferError | None = None
    payee_name: str | None = None  # as the payee's institution tells it, once it was asked
    terms: TransferTerms | None = None  # once they are agreed
    awaits_confirmation: bool = False
    one_time_password: str | None = None  # for the payer alone, who enters it at the payee's device
    handed_over: bool = False  # a callback of this payment came in at another engine
    transfer_state: TransferStateName | None = None  # under Payment Hub EE's path alone, as the next one
    completed_timestamp: str | None = None


class TransactionRequestStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/transaction-requests/{id}``: COMPLETED once the payee was credited."""

    transaction_request_id: str
    state: PaymentState
    amount: ChannelMoney
    payer: PartyIdInfo
    payee: PartyIdInfo
    started_at: str
    ended_at: str | None = None
    client_ref_id: str | None = None
    awaits_password: bool = False  # the device must have the payer enter it now
    transaction_id: str | None = None  # the payment that answers it, which may be paid back
    error: TransferError | None = None


class ReceivedRequest(Contract, frozen=True, kw_only=True, rename="camel"):
    """A request to pay that a member has received, and that is not decided yet."""

    transaction_id: str  # the payment is found, and answered, under it
    payee: ChannelParty  # who asks
    payer: PartyIdInfo
    amount: ChannelMoney  # what the payee is to receive
    received_at: str
    expiration: str | None = None
    note: str | None = None
    terms: TransferTerms | None = None  # once they are agreed
    awaits_confirmation: bool = False
    one_time_password: str | None = None  # the payer enters it at the payee's device instead


class ReceivedRequests(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Answer of ``GET /v1/received-requests``: the oldest ones, and whether these are all.

    ``complete`` is false where there are more, or where an engine that may know of others does not answer.
    """

    requests: list[ReceivedRequest]
    complete: bool


class AccountLookup(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/account-lookups``: how does this member's account stand?"""

    party: PartyIdInfo


class PartyLookup(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/party-lookups``: who is reached by this identifier, at whichever institution?"""

    party: PartyIdInfo


class PartyStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/party-lookups/{id}``: what the party's institution tells of it."""

    state: PaymentState
    party: PartyIdInfo  # with ``fspId`` once it is found
    name: str | None = None
    error: TransferError | None = None


class PartyRegistration(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /v1/party-registrations``: the scheme is told an identifier, or to forget it."""

    party: PartyIdInfo
    withdraw: bool = False


class AccountIdentifier(Contract, frozen=True, kw_only=True, rename="camel"):
    """By what an account is reached."""

    type: str
    value: str
    sub_id: str | None = None


class AccountState(Contract, frozen=True, kw_only=True, rename="camel"):
    """A member's account; amounts are decimal text, absent where the bank tells none."""

    account_id: str
    currency: str
    status: Literal["ACTIVE", "BLOCKED", "INACTIVE"]
    may_pay: bool
    may_receive: bool
    balance: str | None = None
    available: str | None = None


class AccountStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/account-lookups/{id}``: how a member's account stood when it was asked for."""

    state: PaymentState
    party: PartyIdInfo
    account: AccountState | None = None
    identifiers: list[AccountIdentifier] = []
    error: TransferError | None = None


class RegistrationStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /v1/party-registrations/{id}``: COMPLETED once the scheme has taken it."""

    state: PaymentState
    party: PartyIdInfo
    withdraw: bool = False
    error: TransferError | None = None
