"""What a request must be before an engine hears of it. Pure: no clock, no I/O."""

import re
from typing import Any, Final, Literal

import msgspec

from payhub_gateway.channel import checks
from payhub_platform import ids
from payhub_platform.contracts.bulk_payments import StartBulkPayment
from payhub_platform.contracts.channel import (
    AccountLookup,
    AccountStatus,
    DeviceAuthorization,
    PartyLookup,
    PartyRegistration,
    PartyStatus,
    RefundRequest,
    RegistrationStatus,
    TransactionRequest,
    TransactionRequestStatus,
    TransactionState,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.contracts.engine import (
    PATH_ACCOUNTS,
    PATH_PARTIES,
    PATH_PAYMENTS,
    PATH_REFUNDS,
    PATH_REGISTRATIONS,
    PATH_REQUESTS,
    StartAccountLookup,
    StartPartyLookup,
    StartPayment,
    StartRefund,
    StartRegistration,
    StartRequest,
)
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import InvalidInputError

REQUEST_LIFETIME_MS: Final = 3_600_000  # of a request to pay that does not say how long it stands
REQUEST_LIFETIME_MS_MAX: Final = 7 * 86_400_000
_PASSWORD: Final = re.compile(r"[0-9]{3,10}", re.ASCII)  # FSPIOP 1.1 section 7.3.21 (OtpValue)

_TRANSFER_STATES: Final[dict[str, Literal["RECEIVED", "COMMITTED", "ABORTED"]]] = {
    "PENDING": "RECEIVED",
    "COMPLETED": "COMMITTED",
    "FAILED": "ABORTED",
}

Inquiry = StartAccountLookup | StartPartyLookup
Command = StartPayment | StartBulkPayment | StartRequest | StartRefund | Inquiry | StartRegistration


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for under one key.

    Attributes:
        path: of the engine's API, where it begins.
        command: what the engine is sent.
        status: what tells how it stands, below ``path``.
        expires_at_ms: when it comes too late.
        is_below: it is about something that began before, and begins at the engine which knows that.
    """

    path: str
    command: Command
    status: type[msgspec.Struct] = TransferStatus
    expires_at_ms: int | None = None
    is_below: bool = False


def transaction_state(status: TransferStatus | TransactionRequestStatus) -> TransactionState:
    """Tell the state of a transfer, or of a request to pay, in FSPIOP's words."""
    if isinstance(status, TransferStatus):
        own_id, transfer_id = status.transaction_id, status.transfer_id
    else:
        own_id, transfer_id = status.transaction_request_id, None
    return TransactionState(
        transaction_id=own_id,
        transfer_state=_TRANSFER_STATES[status.state],
        client_ref_id=status.client_ref_id,
        transfer_id=transfer_id,
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


def request_id(tenant_id: str, client_id: str, key: str) -> str:
    """Derive the id of the request to pay that a client makes under a key."""
    return ids.derive("request-to-pay", tenant_id, client_id, key)


def transfer(request: TransferRequest, tenant: TenantConfig, client_id: str, key: str) -> Act:
    """Check a transfer; errors as ``start_payment``. Whether it has expired is asked elsewhere."""
    command = start_payment(request, tenant, client_id, key)
    return Act(path=PATH_PAYMENTS, command=command, expires_at_ms=command.expires_at_ms)


def start_payment(request: TransferRequest, tenant: TenantConfig, client_id: str, key: str) -> StartPayment:
    """Check a transfer and turn it into the engine's command.

    Raises:
        InvalidInputError: 400, something is not valid by itself.
        UnprocessableError: 422 ``currency-not-offered`` or ``same-party``.
        TenantMismatchError: 403, the payer is said to be another institution's.
    """
    amount = checks.amount(request.amount, tenant)
    payer, payee = request.payer.party_id_info, request.payee.party_id_info
    checks.party(payer, "/payer/partyIdInfo")
    checks.party(payee, "/payee/partyIdInfo")
    _check_texts(request)
    checks.member(payer, tenant, "/payer/partyIdInfo")
    checks.two_parties(payer, payee, tenant, "/payee/partyIdInfo")
    return StartPayment(
        payment_id=ids.payment_id(tenant.tenant_id, client_id, key),
        idempotency_key=key,
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        payer=payer,
        payee=payee,
        amount=amount,
        amount_type=request.amount_type,
        use_case=request.use_case,
        confirm_quote=request.confirm_quote,
        client_ref_id=request.client_ref_id,
        note=request.note,
        expires_at_ms=checks.expiration(request.expiration),
    )


def request_to_pay(
    request: TransactionRequest, tenant: TenantConfig, client_id: str, key: str, now_ms: int
) -> Act:
    """Check a request to be paid; errors as for ``transfer``, where the payee is the institution's member."""
    amount = checks.amount(request.amount, tenant)
    payer, payee = request.payer.party_id_info, request.payee.party_id_info
    checks.party(payee, "/payee/partyIdInfo")
    checks.party(payer, "/payer/partyIdInfo")
    _check_texts(request)
    checks.member(payee, tenant, "/payee/partyIdInfo")
    checks.two_parties(payee, payer, tenant, "/payer/partyIdInfo")
    expires_at_ms = checks.expiration(request.expiration)
    if expires_at_ms is None:
        expires_at_ms = now_ms + REQUEST_LIFETIME_MS
    if expires_at_ms > now_ms + REQUEST_LIFETIME_MS_MAX:
        raise InvalidInputError("invalid-field", "A request stands for 7 days at most.", "/expiration")
    command = StartRequest(
        payment_id=request_id(tenant.tenant_id, client_id, key),
        idempotency_key=key,
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        payee=payee,
        payer=payer,
        amount=amount,
        use_case=request.use_case,
        authentication=request.authentication,
        client_ref_id=request.client_ref_id,
        note=request.note,
        expires_at_ms=expires_at_ms,
    )
    return Act(
        path=PATH_REQUESTS,
        command=command,
        status=TransactionRequestStatus,
        expires_at_ms=expires_at_ms,
    )


def refund(request: RefundRequest, tenant: TenantConfig, client_id: str, key: str, original: str) -> Act:
    """Check a refund; a key is one refund of one payment. Errors as for ``transfer``."""
    checks.text(request.reason, "/reason")
    checks.text(request.client_ref_id, "/clientRefId")
    command = StartRefund(
        payment_id=ids.derive("refund-asked", tenant.tenant_id, client_id, original, key),
        idempotency_key=key,
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        amount=None if request.amount is None else checks.amount(request.amount, tenant),
        reason=request.reason,
        client_ref_id=request.client_ref_id,
    )
    return Act(path=f"{PATH_PAYMENTS}/{original}/{PATH_REFUNDS}", command=command, is_below=True)


def account_lookup(request: AccountLookup, tenant: TenantConfig, client_id: str, key: str) -> Act:
    """Check a question about a member's account.

    Raises:
        InvalidInputError: 400 ``invalid-identifier``.
        TenantMismatchError: 403, another institution's member is named.
    """
    checks.member(request.party, tenant, "/party")
    command = StartAccountLookup(
        payment_id=ids.derive("account-lookup", tenant.tenant_id, client_id, key),
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        party=request.party,
    )
    return Act(path=PATH_ACCOUNTS, command=command, status=AccountStatus)


def party_lookup(request: PartyLookup, tenant: TenantConfig, client_id: str, key: str) -> Act:
    """Check a question about a party, of whichever institution.

    Raises:
        InvalidInputError: 400 ``invalid-identifier``, or ``invalid-field``: the scheme says where it banks.
    """
    checks.party(request.party, "/party")
    if request.party.fsp_id is not None:
        raise InvalidInputError("invalid-field", "The scheme tells the institution.", "/party/fspId")
    command = StartPartyLookup(
        payment_id=ids.derive("party-lookup", tenant.tenant_id, client_id, key),
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        party=request.party,
    )
    return Act(path=PATH_PARTIES, command=command, status=PartyStatus)


def registration(request: PartyRegistration, tenant: TenantConfig, client_id: str, key: str) -> Act:
    """Check the registration of a member's identifier; errors as for ``account_lookup``."""
    checks.member(request.party, tenant, "/party")
    command = StartRegistration(
        payment_id=ids.derive("party-registration", tenant.tenant_id, client_id, key),
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        party=request.party,
        withdraw=request.withdraw,
    )
    return Act(path=PATH_REGISTRATIONS, command=command, status=RegistrationStatus)


def check_authorization(entered: DeviceAuthorization) -> None:
    """Check what a payer has done at a device.

    Raises:
        InvalidInputError: ``invalid-field``; a password is there, or not, against what the payer did.
    """
    if (entered.response_type == "ENTERED") != (entered.password is not None):
        raise InvalidInputError("invalid-field", "A password comes with ENTERED, and only then.", "/password")
    if entered.password is not None and not _PASSWORD.fullmatch(entered.password):
        raise InvalidInputError("invalid-field", "A one-time password has 3 to 10 digits.", "/password")


def _check_texts(request: Any) -> None:
    checks.text(request.payer.name, "/payer/name")
    checks.text(request.payee.name, "/payee/name")
    checks.text(request.client_ref_id, "/clientRefId")
    checks.text(request.note, "/note")
