"""FSPIOP messages about many payments at once (API Definition 1.1 sections 6.9 and 6.10)."""

from typing import Annotated

import msgspec

from payhub_platform.contracts.fspiop import (
    BULK_ITEMS_MAX,
    AmountType,
    BulkTransferState,
    CorrelationId,
    DateTime,
    ErrorInformation,
    ExtensionList,
    FspId,
    FspMoney,
    GeoCode,
    IlpHash,
    IlpPacket,
    Message,
    Party,
    TransactionType,
)


class IndividualQuote(Message, frozen=True, kw_only=True):
    """Section 7.4.8: one payment of a bulk quote request."""

    quote_id: CorrelationId
    transaction_id: CorrelationId
    payee: Party
    amount_type: AmountType
    amount: FspMoney
    transaction_type: TransactionType
    fees: FspMoney | None = None
    note: str | None = None
    extension_list: ExtensionList | None = None


class BulkQuoteRequest(Message, frozen=True, kw_only=True):
    """POST /bulkQuotes."""

    bulk_quote_id: CorrelationId
    payer: Party
    individual_quotes: Annotated[list[IndividualQuote], msgspec.Meta(min_length=1, max_length=BULK_ITEMS_MAX)]
    geo_code: GeoCode | None = None
    expiration: DateTime | None = None
    extension_list: ExtensionList | None = None


class IndividualQuoteResult(Message, frozen=True, kw_only=True):
    """Section 7.4.9: the terms of one payment, or why there are none."""

    quote_id: CorrelationId
    payee: Party | None = None
    transfer_amount: FspMoney | None = None
    payee_receive_amount: FspMoney | None = None
    payee_fsp_fee: FspMoney | None = None
    payee_fsp_commission: FspMoney | None = None
    ilp_packet: IlpPacket | None = None
    condition: IlpHash | None = None
    error_information: ErrorInformation | None = None
    extension_list: ExtensionList | None = None


class BulkQuoteResponse(Message, frozen=True, kw_only=True):
    """PUT /bulkQuotes/{ID}."""

    individual_quote_results: Annotated[
        list[IndividualQuoteResult], msgspec.Meta(max_length=BULK_ITEMS_MAX)
    ] = []
    expiration: DateTime
    extension_list: ExtensionList | None = None


class IndividualTransfer(Message, frozen=True, kw_only=True):
    """Section 7.4.10: one payment of a bulk transfer."""

    transfer_id: CorrelationId
    transfer_amount: FspMoney
    ilp_packet: IlpPacket
    condition: IlpHash
    extension_list: ExtensionList | None = None


class BulkTransferPrepare(Message, frozen=True, kw_only=True):
    """POST /bulkTransfers."""

    bulk_transfer_id: CorrelationId
    bulk_quote_id: CorrelationId
    payer_fsp: FspId
    payee_fsp: FspId
    individual_transfers: Annotated[
        list[IndividualTransfer], msgspec.Meta(min_length=1, max_length=BULK_ITEMS_MAX)
    ]
    expiration: DateTime
    extension_list: ExtensionList | None = None


class IndividualTransferResult(Message, frozen=True, kw_only=True):
    """Section 7.4.10: the fulfilment of one payment, or why there is none."""

    transfer_id: CorrelationId
    fulfilment: IlpHash | None = None
    error_information: ErrorInformation | None = None
    extension_list: ExtensionList | None = None


class BulkTransferResponse(Message, frozen=True, kw_only=True):
    """PUT and PATCH /bulkTransfers/{ID}."""

    bulk_transfer_state: BulkTransferState
    completed_timestamp: DateTime | None = None
    individual_transfer_results: Annotated[
        list[IndividualTransferResult], msgspec.Meta(max_length=BULK_ITEMS_MAX)
    ] = []
    extension_list: ExtensionList | None = None
