"""FSPIOP 2.0 messages between a payer's DFSP and a foreign exchange provider (FXP)."""

from typing import Annotated

import msgspec

from payhub_platform.contracts.fspiop import (
    Amount,
    AmountType,
    CorrelationId,
    CurrencyCode,
    DateTime,
    ExtensionList,
    FspId,
    FspMoney,
    IlpHash,
    Message,
    TransferState,
)


class FxMoney(Message, frozen=True, kw_only=True):
    """An amount that may still have to be found."""

    currency: CurrencyCode
    amount: Amount | None = None


class FxCharge(Message, frozen=True, kw_only=True):
    """What the provider takes for a conversion."""

    charge_type: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    source_amount: FspMoney | None = None
    target_amount: FspMoney | None = None


class FxConversion(Message, frozen=True, kw_only=True):
    """The terms of a conversion: asked for, and answered."""

    conversion_id: CorrelationId
    initiating_fsp: FspId
    counter_party_fsp: FspId
    amount_type: AmountType
    source_amount: FxMoney
    target_amount: FxMoney
    expiration: DateTime
    determining_transfer_id: CorrelationId | None = None
    charges: Annotated[list[FxCharge], msgspec.Meta(max_length=16)] | None = None
    extension_list: ExtensionList | None = None


class FxQuoteRequest(Message, frozen=True, kw_only=True):
    """POST /fxQuotes."""

    conversion_request_id: CorrelationId
    conversion_terms: FxConversion


class FxQuoteResponse(Message, frozen=True, kw_only=True):
    """PUT /fxQuotes/{ID}."""

    conversion_terms: FxConversion
    condition: IlpHash | None = None


class FxTransferPrepare(Message, frozen=True, kw_only=True):
    """POST /fxTransfers."""

    commit_request_id: CorrelationId
    initiating_fsp: FspId
    counter_party_fsp: FspId
    source_amount: FspMoney
    target_amount: FspMoney
    condition: IlpHash
    determining_transfer_id: CorrelationId | None = None
    expiration: DateTime | None = None


class FxTransferFulfil(Message, frozen=True, kw_only=True):
    """PUT /fxTransfers/{ID}."""

    conversion_state: TransferState
    fulfilment: IlpHash | None = None
    completed_timestamp: DateTime | None = None
    extension_list: ExtensionList | None = None


class ServicesResponse(Message, frozen=True, kw_only=True):
    """PUT /services/FXP and PUT /services/FXP/{SourceCurrency}/{TargetCurrency}."""

    providers: Annotated[list[FspId], msgspec.Meta(max_length=16)]
