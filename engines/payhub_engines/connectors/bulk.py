"""A bulk of payments as the process ``payer-bulk-payment`` knows it: its first variables, and its status."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from payhub_engines.connectors.mojaloop.bulk_variables import BulkItem, ItemResult
from payhub_engines.connectors.payment import told_error
from payhub_engines.connectors.variables import NOTE_CHARACTERS_MAX, QuoteTerms, money_of, party_key
from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.contracts.bulk_payments import (
    BulkItemStatus,
    BulkPaymentStatus,
    StartBulkItem,
    StartBulkPayment,
)
from payhub_platform.contracts.channel import (
    ChannelMoney,
    PartyIdInfo,
    PaymentState,
    TransferTerms,
)
from payhub_platform.contracts.fspiop import FspMoney
from payhub_platform.contracts.fspiop import PartyIdInfo as FspPartyIdInfo
from payhub_platform.contracts.tenant import TenantConfig

BULK_PROCESS: Final = "payer-bulk-payment"
BULK_TIMEOUT: Final = "PT30S"  # the payee's institution asks its bank about each payment


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a status is told from: the bulk as it was asked for, and what is decided."""

    payer: FspPartyIdInfo
    payments: list[BulkItem]
    client_refs: list[str | None]
    client_ref_id: str | None = None
    payment_state: PaymentState = "PENDING"


def bulk_variables(start: StartBulkPayment, tenant: TenantConfig) -> dict[str, Any]:
    """Return the variables that ``payer-bulk-payment`` starts with.

    Every id that leaves payhub is derived from the bulk's id and the payment's place in it, once, so that
    whatever is sent again is the same act. Each payee is looked up once, unless it is said to bank here.
    Limits are by currency, each held against every payment as against a single one.

    Args:
        start: what the gateway asks for.
        tenant: the payer's institution.
    """
    items = [_item(start.payment_id, number, asked) for number, asked in enumerate(start.payments, 1)]
    currencies = dict.fromkeys(one.amount.currency for one in items)
    limits = {one: found for one in currencies if (found := tenant.limits_in(one)) is not None}
    held = {} if not limits else {"limits": msgspec.to_builtins(limits)}
    sought = {one.party_key: one.payee for one in items if one.payee.fsp_id != tenant.fsp_id}
    return {
        **held,
        "bulkId": start.payment_id,
        "payer": msgspec.to_builtins(_fspiop_party(start.payer, tenant.fsp_id)),
        "payments": msgspec.to_builtins(items),
        "clientRefs": [one.client_ref_id for one in start.payments],
        "clientRefId": start.client_ref_id,
        "lookups": [{"partyKey": key, "payee": msgspec.to_builtins(payee)} for key, payee in sought.items()],
        "expiresAtMs": start.expires_at_ms,
        "switchFsp": tenant.scheme.switch_fsp_id,
        "callbackTimeout": BULK_TIMEOUT,
        "results": [],
        "error": None,
    }


def bulk_status(
    bulk_id: str,
    variables: dict[str, Any],
    results: Iterable[dict[str, Any]],
    started_at_ms: int,
    ended_at_ms: int | None,
) -> BulkPaymentStatus:
    """Tell a channel how its bulk stands.

    Args:
        bulk_id: of the bulk.
        variables: of its instance.
        results: what is decided so far, also by the instances that the bulk has called.
        started_at_ms: when it began.
        ended_at_ms: when all of it was over.
    """
    asked = msgspec.convert(variables, Asked)
    told = msgspec.convert(list(results), list[ItemResult])
    decided = {one.transaction_id: one for one in told}
    return BulkPaymentStatus(
        bulk_payment_id=bulk_id,
        state="PENDING" if ended_at_ms is None else asked.payment_state,
        payer=_channel_party(asked.payer),
        started_at=iso(started_at_ms),
        ended_at=None if ended_at_ms is None else iso(ended_at_ms),
        client_ref_id=asked.client_ref_id,
        payments=[
            _item_status(item, reference, decided.get(item.transaction_id))
            for item, reference in zip(asked.payments, asked.client_refs, strict=True)
        ],
    )


def _item(bulk_id: str, number: int, asked: StartBulkItem) -> BulkItem:
    transaction_id = ids.derive(bulk_id, "transaction", str(number))
    payee = _fspiop_party(asked.payee, asked.payee.fsp_id)
    return BulkItem(
        transaction_id=transaction_id,
        quote_id=ids.derive(transaction_id, "quote"),
        transfer_id=ids.derive(transaction_id, "transfer"),
        payee=payee,
        party_key=party_key(payee.party_id_type, payee.party_identifier, payee.party_sub_id_or_type),
        amount=FspMoney(amount=asked.amount.fspiop_text(), currency=asked.amount.currency),
        amount_type=asked.amount_type,
        note=asked.note[:NOTE_CHARACTERS_MAX] if asked.note else None,
    )


def _item_status(item: BulkItem, reference: str | None, result: ItemResult | None) -> BulkItemStatus:
    error = None if result is None else result.error
    return BulkItemStatus(
        transaction_id=item.transaction_id,
        transfer_id=item.transfer_id,
        state="PENDING" if result is None else result.state,
        amount=_channel_money(item.amount),
        payee=_channel_party(item.payee),
        client_ref_id=reference,
        error=told_error(error),
        terms=None if result is None or result.quote_terms is None else _terms(result.quote_terms, result),
    )


def _terms(terms: QuoteTerms, result: ItemResult) -> TransferTerms:
    currency = terms.transfer_amount.currency
    return TransferTerms(
        transfer_amount=_channel_money(terms.transfer_amount),
        payer_fee=ChannelMoney(amount=result.payer_fee or "0", currency=currency),
        payee_fee=_channel_money(terms.payee_fsp_fee or FspMoney(amount="0", currency=currency)),
        payee_receive_amount=_channel_money(terms.payee_receive_amount),
        expiration=terms.expiration,
    )


def _channel_money(amount: FspMoney) -> ChannelMoney:
    money = money_of(amount)
    return ChannelMoney(amount=money.decimal_text(), currency=money.currency)


def _fspiop_party(party: PartyIdInfo, fsp_id: str | None) -> FspPartyIdInfo:
    return FspPartyIdInfo(
        party_id_type=party.party_id_type,
        party_identifier=party.party_identifier,
        party_sub_id_or_type=party.party_sub_id_or_type,
        fsp_id=fsp_id,
    )


def _channel_party(party: FspPartyIdInfo) -> PartyIdInfo:
    return msgspec.convert(msgspec.to_builtins(party), PartyIdInfo)
