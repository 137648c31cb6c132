"""What a transfer must be before an engine hears of it. Pure: no clock, no I/O."""

import hashlib
from typing import Any, Final, Literal

import msgspec

from payhub_gateway.channel.errors import TenantMismatchError
from payhub_platform import clock, ids
from payhub_platform.contracts.channel import (
    ChannelMoney,
    PartyIdInfo,
    TransactionState,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import InvalidInputError, UnprocessableError
from payhub_platform.money import Money

IDENTIFIER_CHARS_MAX: Final = 128  # FSPIOP 1.1 section 7.3.25
FSP_ID_CHARS_MAX: Final = 32  # FSPIOP 1.1 section 7.3.16
TEXT_CHARS_MAX: Final = 128  # FSPIOP 1.1 section 7.3.22 (Note)

# Identifiers become segments of URLs at the switch and at the AMS.
_FORBIDDEN_IN_IDENTIFIER: Final = frozenset("/?#%\\")


_TRANSFER_STATES: Final[dict[str, Literal["RECEIVED", "COMMITTED", "ABORTED"]]] = {
    "PENDING": "RECEIVED",
    "COMPLETED": "COMMITTED",
    "FAILED": "ABORTED",
}


def transaction_state(status: TransferStatus) -> TransactionState:
    """Tell a transfer's state in FSPIOP's words."""
    return TransactionState(
        transaction_id=status.transaction_id,
        transfer_state=_TRANSFER_STATES[status.state],
        client_ref_id=status.client_ref_id,
        transfer_id=status.transfer_id,
        completed_timestamp=status.ended_at,
        error=status.error,
    )


def with_payee_fsp(request: TransferRequest, named: list[str]) -> TransferRequest:
    """Return the request with the payee's institution that a header names; the body may agree with it.

    Raises:
        InvalidInputError: ``invalid-field``; they name two institutions.
    """
    info = request.payee.party_id_info
    if not named:
        return request
    if len({*named, info.fsp_id or named[0]}) > 1:
        raise InvalidInputError(
            "invalid-field", "Header and body name two institutions of the payee.", "/payee/partyIdInfo/fspId"
        )
    payee = msgspec.structs.replace(
        request.payee, party_id_info=msgspec.structs.replace(info, fsp_id=named[0])
    )
    return msgspec.structs.replace(request, payee=payee)


def canonical_json(value: Any) -> bytes:
    """Write a value so that equal values give equal bytes: keys sorted, no spaces, no defaults."""
    return msgspec.json.encode(value, order="sorted")


def fingerprint(request: TransferRequest) -> str:
    """Return the SHA-256 (hex) of what is asked, whatever the order of its fields."""
    return hashlib.sha256(canonical_json(request)).hexdigest()


def start_payment(request: TransferRequest, tenant: TenantConfig, client_id: str, key: str) -> StartPayment:
    """Check a transfer and turn it into the engine's command. Whether it has expired is asked elsewhere.

    Raises:
        InvalidInputError: 400, something is not valid by itself.
        UnprocessableError: 422 ``currency-not-offered`` or ``same-party``.
        TenantMismatchError: 403, the payer is said to be another institution's.
    """
    amount = _amount(request.amount)
    _check_currency(amount, tenant)
    payer, payee = request.payer.party_id_info, request.payee.party_id_info
    _check_party(payer, "/payer/partyIdInfo")
    _check_party(payee, "/payee/partyIdInfo")
    _check_text(request.payer.name, "/payer/name")
    _check_text(request.payee.name, "/payee/name")
    _check_text(request.client_ref_id, "/clientRefId")
    _check_text(request.note, "/note")
    if payer.fsp_id not in (None, tenant.fsp_id):
        raise TenantMismatchError("/payer/partyIdInfo/fspId")
    if _same_party(payer, payee, tenant.fsp_id):
        raise UnprocessableError("same-party", "Payer and payee are the same.", "/payee/partyIdInfo")
    return StartPayment(
        payment_id=ids.payment_id(tenant.tenant_id, client_id, key),
        idempotency_key=key,
        fingerprint=fingerprint(request),
        client_id=client_id,
        payer=payer,
        payee=payee,
        amount=amount,
        amount_type=request.amount_type,
        use_case=request.use_case,
        confirm_quote=request.confirm_quote,
        client_ref_id=request.client_ref_id,
        note=request.note,
        expires_at_ms=_expiration(request.expiration),
    )


def _amount(sent: ChannelMoney) -> Money:
    amount = Money.parse(sent.amount, sent.currency, where="/amount")
    if amount.minor == 0:
        raise InvalidInputError("invalid-amount", "The amount must be more than zero.", "/amount/amount")
    return amount


def _check_currency(amount: Money, tenant: TenantConfig) -> None:
    if amount.currency not in tenant.currencies:
        offered = ", ".join(tenant.currencies)
        raise UnprocessableError(
            "currency-not-offered", f"This institution pays in {offered}.", "/amount/currency"
        )


def _check_party(party: PartyIdInfo, where: str) -> None:
    _check_identifier(party.party_identifier, f"{where}/partyIdentifier", IDENTIFIER_CHARS_MAX)
    if party.party_sub_id_or_type is not None:
        _check_identifier(party.party_sub_id_or_type, f"{where}/partySubIdOrType", IDENTIFIER_CHARS_MAX)
    if party.fsp_id is not None:
        _check_identifier(party.fsp_id, f"{where}/fspId", FSP_ID_CHARS_MAX)


def _check_identifier(text: str, where: str, chars_max: int) -> None:
    fits = 0 < len(text) <= chars_max and text.isprintable() and text == text.strip()
    if not fits or text in (".", "..") or not _FORBIDDEN_IN_IDENTIFIER.isdisjoint(text):
        raise InvalidInputError(
            "invalid-identifier",
            f"An identifier has 1 to {chars_max} printable characters, no blank at either end and none of "
            "/ ? # % \\.",
            where,
        )


def _check_text(text: str | None, where: str) -> None:
    if text is not None and not (0 < len(text) <= TEXT_CHARS_MAX and text.isprintable()):
        raise InvalidInputError(
            "invalid-field", f"The text must have 1 to {TEXT_CHARS_MAX} printable characters.", where
        )


def _same_party(payer: PartyIdInfo, payee: PartyIdInfo, fsp_id: str) -> bool:
    """Tell whether both are one account; account numbers of two institutions may well be equal."""
    return payee.fsp_id in (None, fsp_id) and _identity(payer) == _identity(payee)


def _identity(party: PartyIdInfo) -> tuple[str, str, str | None]:
    identifier = party.party_identifier
    if party.party_id_type == "MSISDN":
        identifier = identifier.removeprefix("+")  # E.164 numbers are sent with and without it
    return party.party_id_type, identifier, party.party_sub_id_or_type


def _expiration(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return clock.parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            "invalid-field",
            "The expiration must be an ISO 8601 date-time with an offset, such as 2026-01-31T09:05:00Z.",
            "/expiration",
        ) from error
