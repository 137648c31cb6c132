"""A payment as the process ``payer-fund-transfer`` knows it: its first variables, and its status."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.refusals import error_value
from payhub_engines.connectors.variables import (
    CALLBACK_TIMEOUT,
    NOTE_CHARACTERS_MAX,
    Entered,
    ErrorValue,
    Outcome,
    Payment,
    QuoteTerms,
    RequestToPay,
    is_refund,
    money_of,
    party_key,
    party_name,
)
from payhub_engines.core.commands import Charge
from payhub_platform import ids
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.channel import (
    ChannelMoney,
    ChannelParty,
    Confirmation,
    DeviceAuthorization,
    PartyIdInfo,
    PaymentState,
    ReceivedRequest,
    TransactionRequestStatus,
    TransferError,
    TransferStatus,
    TransferTerms,
)
from payhub_platform.contracts.engine import StartPayment, StartRequest
from payhub_platform.contracts.fspiop import FspMoney, TransactionRequest
from payhub_platform.contracts.fspiop import PartyIdInfo as FspPartyIdInfo
from payhub_platform.contracts.tenant import PaymentLimits, TenantConfig
from payhub_platform.contracts.use_cases import REQUEST_USES, USE_CASES

PAYER_PROCESS: Final = "payer-fund-transfer"
PAYER_CONFIRMATION: Final = "payer-confirmation"  # the message that a payer's answer is
DEVICE_AUTHORIZATION: Final = "device-authorization"  # the message that what is entered at a device is
PASSWORDS_MAX: Final = 3  # one-time passwords that may be entered for a payment

REQUEST_PROCESS: Final = "payee-transaction-request"
REQUESTED_PROCESS: Final = "payer-transaction-request"


def start_variables(
    request: StartPayment, tenant: TenantConfig, now_ms: int, callback_timeout: str = CALLBACK_TIMEOUT
) -> dict[str, Any]:
    """Return the variables that ``payer-fund-transfer`` starts with.

    Every id that leaves payhub is derived from the payment id here, once, so that whatever is sent again
    is the same act.

    Args:
        request: what the gateway asks for.
        tenant: the payer's institution.
        now_ms: when the payment was accepted.
        callback_timeout: ISO 8601 duration that the process waits for each answer of the scheme.
    """
    payee = _fspiop_party(request.payee, request.payee.fsp_id)
    payment = Payment(
        transaction_id=request.payment_id,
        quote_id=ids.derive(request.payment_id, "quote"),
        transfer_id=ids.derive(request.payment_id, "transfer"),
        payer=_fspiop_party(request.payer, tenant.fsp_id),
        payee=payee,
        amount=FspMoney(amount=request.amount.fspiop_text(), currency=request.amount.currency),
        amount_type="RECEIVE" if request.amount_type == "RECEIVE" else "SEND",
        transaction_type=USE_CASES[request.use_case],
        # The scheme's Note is shorter than what a channel may send.
        note=request.note[:NOTE_CHARACTERS_MAX] if request.note else None,
        expires_at_ms=request.expires_at_ms,
    )
    variables = {
        **payment_variables(payment, tenant, now_ms, callback_timeout),
        # Who banks at the same institution is not asked for at the scheme.
        "payeeFsp": tenant.fsp_id if payee.fsp_id == tenant.fsp_id else None,
        "confirmQuote": request.confirm_quote,
        "clientRefId": request.client_ref_id,
        "correlationId": request.idempotency_key,
    }
    if request.use_case == "loan-repayment":
        variables |= _loan_variables(payment, tenant, now_ms)
    return variables


def _loan_variables(payment: Payment, tenant: TenantConfig, now_ms: int) -> dict[str, Any]:
    """Return what makes a payment one to a loan of the own bank, which has terms of its own."""
    terms = QuoteTerms(
        transfer_amount=payment.amount,
        payee_receive_amount=payment.amount,
        expiration=iso(now_ms + tenant.quote_validity_ms),
    )
    return {
        "payeeFsp": tenant.fsp_id,
        "loanAccount": payment.payee.party_identifier,
        "quoteTerms": msgspec.to_builtins(terms),
    }


def request_variables(request: StartRequest, tenant: TenantConfig) -> dict[str, Any]:
    """Return the variables that ``payee-transaction-request`` starts with."""
    payer = _fspiop_party(request.payer, request.payer.fsp_id)
    asked = RequestToPay(
        transaction_request_id=request.payment_id,
        payee=_fspiop_party(request.payee, tenant.fsp_id),
        payer=payer,
        amount=FspMoney(amount=request.amount.fspiop_text(), currency=request.amount.currency),
        transaction_type=REQUEST_USES[request.use_case],
        expiration=iso(request.expires_at_ms),
        authentication_type=request.authentication,
        note=request.note[:NOTE_CHARACTERS_MAX] if request.note else None,
    )
    return {
        **msgspec.to_builtins(asked),
        "payerKey": party_key(payer.party_id_type, payer.party_identifier, payer.party_sub_id_or_type),
        "clientRefId": request.client_ref_id,
        "correlationId": request.idempotency_key,
        "switchFsp": tenant.scheme.switch_fsp_id,
        "callbackTimeout": CALLBACK_TIMEOUT,
        "transactionRequestResponse": None,
        "error": None,
    }


def requested_payment(
    request: TransactionRequest, requester_fsp: str, tenant: TenantConfig, now_ms: int
) -> dict[str, Any]:
    """Return the variables of the payment that another institution's request asks for.

    Its ids are of this institution's own making: what others choose never names a payment or a booking.
    """
    transaction_id = ids.derive(
        "transaction-request", tenant.tenant_id, requester_fsp, request.transaction_request_id
    )
    payee = request.payee.party_id_info
    payment = Payment(
        transaction_id=transaction_id,
        quote_id=ids.derive(transaction_id, "quote"),
        transfer_id=ids.derive(transaction_id, "transfer"),
        payer=msgspec.structs.replace(request.payer, fsp_id=tenant.fsp_id),
        payee=msgspec.structs.replace(payee, fsp_id=requester_fsp),
        amount=request.amount,
        amount_type="RECEIVE",
        transaction_type=request.transaction_type,
        transaction_request_id=request.transaction_request_id,
        note=request.note,
        expires_at_ms=None if request.expiration is None else parse_iso(request.expiration),
    )
    return {
        **payment_variables(payment, tenant, now_ms),
        "party": msgspec.to_builtins(request.payee),
        "payeeFsp": requester_fsp,
        "confirmQuote": request.authentication_type is None,
        "authentication": request.authentication_type,
    }


def limits_of(payment: Payment, tenant: TenantConfig) -> PaymentLimits | None:
    """Return the limits that a payment is held against; None where there are none.

    A refund pays back what came in, and never more: no limit keeps it from whom it belongs to.
    """
    if is_refund(payment.transaction_type):
        return None
    return tenant.limits_in(payment.amount.currency)


def charge_of(request: StartPayment, tenant: TenantConfig) -> Charge | None:
    """Return what of a payment can be held against limits before its payer is known to the bank."""
    limits = tenant.limits_in(request.amount.currency)
    return None if limits is None else Charge(limits=limits, amount=request.amount)


def payment_variables(
    payment: Payment, tenant: TenantConfig, now_ms: int, callback_timeout: str = CALLBACK_TIMEOUT
) -> dict[str, Any]:
    """Return what every payment starts with."""
    payee, limits = payment.payee, limits_of(payment, tenant)
    held = {} if limits is None else {"limits": msgspec.to_builtins(limits)}
    return {
        **held,
        **msgspec.to_builtins(payment),
        "partyKey": party_key(payee.party_id_type, payee.party_identifier, payee.party_sub_id_or_type),
        "confirmation": None,
        "authentication": None,
        "passwordsLeft": PASSWORDS_MAX,
        "loanAccount": None,
        "quoteTerms": None,
        "queries": 0,
        "acceptedAtMs": now_ms,
        "switchFsp": tenant.scheme.switch_fsp_id,
        "callbackTimeout": callback_timeout,
        "sendRefusal": None,
        "transferRefusal": None,
        "error": None,
    }


def confirmation_variables(confirmation: Confirmation) -> dict[str, Any]:
    """Return what the message ``payer-confirmation`` brings."""
    refused = error_value(refusals.PAYER_REJECTION, "The payer does not accept the terms.")
    return {
        "confirmation": "ACCEPTED" if confirmation.accepted else "REJECTED",
        "error": None if confirmation.accepted else refused,
    }


def authorization_variables(entered: DeviceAuthorization) -> dict[str, Any]:
    """Return what the message ``device-authorization`` brings."""
    answer = Entered(response_type=entered.response_type, password=entered.password)
    return {"deviceAnswer": msgspec.to_builtins(answer)}


def transfer_status(
    payment_id: str,
    variables: dict[str, Any],
    started_at_ms: int,
    ended_at_ms: int | None,
    handed_over: bool,
) -> TransferStatus:
    """Tell a channel how its payment stands.

    The state is final only once the process has ended; until then it is PENDING, whatever the switch
    has said.
    """
    payment = msgspec.convert(variables, Payment)
    outcome = msgspec.convert(variables, Outcome)
    state: PaymentState = outcome.payment_state if ended_at_ms is not None else "PENDING"
    error = outcome.error if state == "FAILED" else None
    return TransferStatus(
        transaction_id=payment_id,
        state=state,
        amount=_channel_money(payment.amount),
        payer=_channel_party(payment.payer),
        payee=_channel_party(payment.payee),
        started_at=iso(started_at_ms),
        ended_at=None if ended_at_ms is None else iso(ended_at_ms),
        transfer_id=payment.transfer_id,
        client_ref_id=outcome.client_ref_id,
        error=told_error(error),
        payee_name=party_name(outcome.party),
        terms=_terms(outcome),
        awaits_confirmation=(
            ended_at_ms is None
            and outcome.confirm_quote
            and outcome.quote_terms is not None
            and outcome.confirmation is None
        ),
        handed_over=handed_over,
    )


def request_status(
    variables: dict[str, Any], started_at_ms: int, ended_at_ms: int | None
) -> TransactionRequestStatus:
    """Tell a channel how its request to be paid stands.

    One that the payer's institution refused has FAILED at once; if it is paid all the same, it is COMPLETED.
    """
    asked = msgspec.convert(variables, RequestToPay)
    outcome = msgspec.convert(variables, Outcome)
    state = outcome.payment_state
    error = outcome.error if state == "FAILED" else None
    return TransactionRequestStatus(
        transaction_request_id=asked.transaction_request_id,
        state=state,
        amount=_channel_money(asked.amount),
        payer=_channel_party(asked.payer),
        payee=_channel_party(asked.payee),
        started_at=iso(started_at_ms),
        ended_at=None if ended_at_ms is None else iso(ended_at_ms),
        client_ref_id=outcome.client_ref_id,
        error=told_error(error),
    )


def received_request(
    status: TransferStatus, variables: dict[str, Any], one_time_password: str | None
) -> ReceivedRequest:
    """Tell a channel of a request that its member has received and not decided yet.

    Args:
        status: of the payment that answers the request.
        variables: the payment's.
        one_time_password: what the payer enters at the payee's device; None where it confirms in its channel.
    """
    payment = msgspec.convert(variables, Payment)
    return ReceivedRequest(
        transaction_id=status.transaction_id,
        payee=ChannelParty(party_id_info=status.payee, name=status.payee_name),
        payer=status.payer,
        amount=status.amount,
        received_at=status.started_at,
        expiration=None if payment.expires_at_ms is None else iso(payment.expires_at_ms),
        note=payment.note,
        terms=status.terms,
        awaits_confirmation=status.awaits_confirmation,
        one_time_password=one_time_password,
    )


def _terms(outcome: Outcome) -> TransferTerms | None:
    terms = outcome.quote_terms
    if terms is None:
        return None
    currency = terms.transfer_amount.currency
    return TransferTerms(
        transfer_amount=_channel_money(terms.transfer_amount),
        payer_fee=ChannelMoney(amount=outcome.payer_fee or "0", currency=currency),
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


def told_error(error: ErrorValue | None) -> TransferError | None:
    """Return an error as a channel is told it."""
    if error is None:
        return None
    return TransferError(
        code=error.code, description=error.description, limit=error.limit, retry_at=error.retry_at
    )
