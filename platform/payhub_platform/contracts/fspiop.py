"""FSPIOP messages that a DFSP sends and receives (API Definition 1.1 sections 6 and 7, and 2.0 for FX).

Names of fields are FSPIOP's; unknown fields are ignored here, because schemes extend messages. The data types
are checked when a message is decoded; what is only shown to people (names, notes) is taken as it comes.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

TransferState = Literal["RECEIVED", "RESERVED", "COMMITTED", "ABORTED"]
AmountType = Literal["SEND", "RECEIVE"]
CurrencyConverter = Literal["PAYER", "PAYEE"]
TransactionRequestState = Literal["RECEIVED", "PENDING", "ACCEPTED", "REJECTED"]
TransactionState = Literal["RECEIVED", "PENDING", "COMPLETED", "REJECTED"]
BulkTransferState = Literal["RECEIVED", "PENDING", "ACCEPTED", "PROCESSING", "COMPLETED", "REJECTED"]
AuthenticationType = Literal["OTP", "QRCODE", "U2F"]
AuthorizationResult = Literal["ENTERED", "REJECTED", "RESEND"]

EXTENSIONS_MAX: Final = 16
BULK_ITEMS_MAX: Final = 1_000
PARTIES_MAX: Final = 10_000

_DATE: Final = (  # every day of the calendar, and no other (section 7.2.1)
    r"(?:[1-9]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)|(?:[1-9]\d(?:0[48]|[2468][048]|[13579][26])"
    r"|(?:[2468][048]|[13579][26])00)-02-29)"
)
_TIME: Final = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}(?:Z|[+-][01]\d:[0-5]\d)"

# UUIDs of version 1 to 5 are written; what peers of version 2.0 write, of version 7 and ULIDs, is read.
CORRELATION_ID_PATTERN: Final = (
    r"\A(?:[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9A-HJKMNP-TV-Z]{26})\Z"
)
PARTY_TYPE_PATTERN: Final = (
    r"\A(?:MSISDN|EMAIL|PERSONAL_ID|BUSINESS|DEVICE|ACCOUNT_ID|IBAN|ALIAS|CONSENT|THIRD_PARTY_LINK)\Z"
)
CorrelationId = Annotated[str, msgspec.Meta(pattern=CORRELATION_ID_PATTERN)]
Amount = Annotated[str, msgspec.Meta(pattern=r"\A(?:0|(?:[1-9][0-9]{0,17}))(?:\.[0-9]{0,3}[1-9])?\Z")]
CurrencyCode = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
DateTime = Annotated[str, msgspec.Meta(pattern=r"(?a)\A" + _DATE + _TIME + r"\Z")]
FspId = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
IlpHash = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
IlpPacket = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]+={0,2}\Z", max_length=32_768)]
ErrorCode = Annotated[str, msgspec.Meta(pattern=r"(?a)\A[1-9]\d{3}\Z")]
PartyType = Annotated[str, msgspec.Meta(pattern=PARTY_TYPE_PATTERN)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The base of every FSPIOP body."""


class Extension(Message, frozen=True, kw_only=True):
    """Section 7.4.4."""

    key: str
    value: str


class ExtensionList(Message, frozen=True, kw_only=True):
    """Section 7.4.5."""

    extension: Annotated[list[Extension], msgspec.Meta(max_length=EXTENSIONS_MAX)]


class FspMoney(Message, frozen=True, kw_only=True):
    """Amount (decimal string without trailing zeros) and currency."""

    currency: CurrencyCode
    amount: Amount


class GeoCode(Message, frozen=True, kw_only=True):
    """Section 7.4.6."""

    latitude: str
    longitude: str


class PartyIdInfo(Message, frozen=True, kw_only=True):
    """Section 7.4.13."""

    party_id_type: PartyType
    party_identifier: Identifier
    party_sub_id_or_type: Identifier | None = None
    fsp_id: FspId | None = None


class ComplexName(Message, frozen=True, kw_only=True):
    """Section 7.4.12."""

    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None


class PersonalInfo(Message, frozen=True, kw_only=True):
    """Section 7.4.14; only the name is kept of a person, the rest is not read."""

    complex_name: ComplexName | None = None


class Party(Message, frozen=True, kw_only=True):
    """Section 7.4.11."""

    party_id_info: PartyIdInfo
    name: str | None = None
    merchant_classification_code: str | None = None
    personal_info: PersonalInfo | None = None
    supported_currencies: Annotated[list[CurrencyCode], msgspec.Meta(max_length=16)] | None = None  # 2.0


class PartyResponse(Message, frozen=True, kw_only=True):
    """PUT /parties/{Type}/{ID}."""

    party: Party


class Refund(Message, frozen=True, kw_only=True):
    """Section 7.4.16: which transaction is paid back."""

    original_transaction_id: CorrelationId
    refund_reason: str | None = None


class TransactionType(Message, frozen=True, kw_only=True):
    """Section 7.4.18."""

    scenario: str
    initiator: str
    initiator_type: str
    sub_scenario: str | None = None
    refund_info: Refund | None = None
    balance_of_payments: str | None = None


class FxRate(Message, frozen=True, kw_only=True):
    """2.0: one amount in both currencies."""

    source_amount: FspMoney
    target_amount: FspMoney


class QuoteRequest(Message, frozen=True, kw_only=True):
    """POST /quotes."""

    quote_id: CorrelationId
    transaction_id: CorrelationId
    payee: Party
    payer: Party
    amount_type: AmountType
    amount: FspMoney
    transaction_type: TransactionType
    transaction_request_id: CorrelationId | None = None
    fees: FspMoney | None = None
    converter: CurrencyConverter | None = None  # 2.0
    currency_conversion: FxRate | None = None  # 2.0
    geo_code: GeoCode | None = None
    note: str | None = None
    expiration: DateTime | None = None
    extension_list: ExtensionList | None = None


class QuoteResponse(Message, frozen=True, kw_only=True):
    """PUT /quotes/{ID}."""

    transfer_amount: FspMoney
    expiration: DateTime
    ilp_packet: IlpPacket
    condition: IlpHash
    payee_receive_amount: FspMoney | None = None
    payee_fsp_fee: FspMoney | None = None
    payee_fsp_commission: FspMoney | None = None
    geo_code: GeoCode | None = None
    extension_list: ExtensionList | None = None


class TransferPrepare(Message, frozen=True, kw_only=True):
    """POST /transfers."""

    transfer_id: CorrelationId
    payer_fsp: FspId
    payee_fsp: FspId
    amount: FspMoney
    ilp_packet: IlpPacket
    condition: IlpHash
    expiration: DateTime
    extension_list: ExtensionList | None = None


class TransferFulfil(Message, frozen=True, kw_only=True):
    """PUT and PATCH /transfers/{ID}."""

    transfer_state: TransferState
    fulfilment: IlpHash | None = None
    completed_timestamp: DateTime | None = None
    extension_list: ExtensionList | None = None


class TransactionRequest(Message, frozen=True, kw_only=True):
    """POST /transactionRequests: the payee asks the payer to pay."""

    transaction_request_id: CorrelationId
    payee: Party
    payer: PartyIdInfo
    amount: FspMoney
    transaction_type: TransactionType
    note: str | None = None
    geo_code: GeoCode | None = None
    authentication_type: AuthenticationType | None = None
    expiration: DateTime | None = None
    extension_list: ExtensionList | None = None


class TransactionRequestResponse(Message, frozen=True, kw_only=True):
    """PUT /transactionRequests/{ID}."""

    transaction_request_state: TransactionRequestState
    transaction_id: CorrelationId | None = None
    extension_list: ExtensionList | None = None


class AuthorizationQuestion(Message, frozen=True, kw_only=True):
    """The query of GET /authorizations/{ID}: the payer's OTP or QR code, entered on the payee's device."""

    authentication_type: AuthenticationType
    retries_left: Annotated[str, msgspec.Meta(pattern=r"(?a)\A[1-9]\d*\Z")]
    amount: Amount
    currency: CurrencyCode


class AuthenticationInfo(Message, frozen=True, kw_only=True):
    """Section 7.4.1."""

    authentication: AuthenticationType
    authentication_value: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | dict[str, Any]


class AuthorizationResponse(Message, frozen=True, kw_only=True):
    """PUT /authorizations/{ID}."""

    response_type: AuthorizationResult
    authentication_info: AuthenticationInfo | None = None


class TransactionResponse(Message, frozen=True, kw_only=True):
    """PUT /transactions/{ID}."""

    transaction_state: TransactionState
    completed_timestamp: DateTime | None = None
    code: str | None = None
    extension_list: ExtensionList | None = None


class ErrorInformation(Message, frozen=True, kw_only=True):
    """Section 7.4.3; some peers write the extension list as a bare array."""

    error_code: ErrorCode
    error_description: str
    extension_list: ExtensionList | list[Extension] | None = None


class ErrorResponse(Message, frozen=True, kw_only=True):
    """Every /error form and every 4xx or 5xx body."""

    error_information: ErrorInformation


class ParticipantRegistration(Message, frozen=True, kw_only=True):
    """POST /participants/{Type}/{ID}."""

    fsp_id: FspId
    currency: CurrencyCode | None = None
    extension_list: ExtensionList | None = None


class ParticipantResponse(Message, frozen=True, kw_only=True):
    """PUT /participants/{Type}/{ID}."""

    fsp_id: FspId | None = None


class ParticipantsRegistration(Message, frozen=True, kw_only=True):
    """POST /participants: many identifiers at once."""

    request_id: CorrelationId
    party_list: Annotated[list[PartyIdInfo], msgspec.Meta(min_length=1, max_length=PARTIES_MAX)]
    currency: CurrencyCode | None = None


class PartyResult(Message, frozen=True, kw_only=True):
    """Section 7.4.15: one identifier of a registration; without an error it is registered."""

    party_id: PartyIdInfo
    error_information: ErrorInformation | None = None


class ParticipantsResponse(Message, frozen=True, kw_only=True):
    """PUT /participants/{ID}."""

    party_list: Annotated[list[PartyResult], msgspec.Meta(min_length=1, max_length=PARTIES_MAX)]
    currency: CurrencyCode | None = None
