"""The variables of the payment processes, as connectors read them; names in the process are camelCase."""

from typing import Any, Final, Literal, TypeVar

import msgspec

from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.core.allowances import Limit
from payhub_platform.contracts.channel import PaymentState
from payhub_platform.contracts.fspiop import (
    AuthorizationResponse,
    AuthorizationResult,
    FspMoney,
    Party,
    PartyIdInfo,
    QuoteRequest,
    QuoteResponse,
    TransactionRequest,
    TransactionRequestState,
    TransactionType,
    TransferPrepare,
)
from payhub_platform.contracts.use_cases import PEER_TO_PEER
from payhub_platform.money import Money

CALLBACK_TIMEOUT: Final = "PT10S"
NOTE_CHARACTERS_MAX: Final = 128  # FSPIOP 1.1 Note
REFUND: Final = "REFUND"  # FSPIOP 1.1 TransactionScenario
VariablesT = TypeVar("VariablesT", bound=msgspec.Struct)


class Payment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payer-fund-transfer`` starts with."""

    transaction_id: str
    quote_id: str
    transfer_id: str
    payer: PartyIdInfo
    payee: PartyIdInfo
    amount: FspMoney  # what is sent, or what is received, as ``amount_type`` says
    amount_type: Literal["SEND", "RECEIVE"] = "SEND"
    transaction_type: TransactionType = PEER_TO_PEER
    transaction_request_id: str | None = None
    note: str | None = None
    expires_at_ms: int | None = None


class ErrorValue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The variable ``error``; a limit that is reached is named, with the time from which it can be tried."""

    code: str
    description: str
    limit: Limit | None = None
    retry_at: str | None = None


class PricedPayment(Payment, frozen=True, kw_only=True, rename="camel"):
    """A payment as ``ams-quote-payer`` finds it: again where another amount is transferred."""

    payer_service_fee: str | None = None


class PayerFunds(PricedPayment, frozen=True, kw_only=True, rename="camel"):
    """Set by ``ams-quote-payer``: the account, and the fee that PREPARE, CREATE and RELEASE must repeat.

    The process gives these jobs what is transferred as their ``amount``.
    """

    payer_account: str
    payer_fee: str  # decimal text in the payment's currency, ``payer_service_fee`` included


class FoundParty(Payment, frozen=True, kw_only=True, rename="camel"):
    """Set by the message ``party-response``."""

    party: Party
    payee_fsp: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What another institution asks for by GET."""

    resource: str
    path: list[str]


class RefusedQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``refuse-query`` starts with, set by a message such as ``quote-query`` that nothing waits for."""

    query: Query
    queried_by: str
    query_refusal: ErrorValue


class QuotedPayment(FoundParty, frozen=True, kw_only=True, rename="camel"):
    """Set by the message ``quote-response``, and by ``mojaloop-check-quote``."""

    quote_response: QuoteResponse
    transfer_expiration: str = ""


class TransferResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The variable ``transferResult``: what the scheme last said of a transfer.

    ``state`` is FSPIOP's TransferState, or NOT_FOUND (the scheme does not know the transfer), or UNKNOWN
    (it could not say).
    """

    state: str
    fulfilment: str | None = None
    completed_timestamp: str | None = None


class AnsweredTransfer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payer's transfer with the scheme's answer."""

    quote_response: QuoteResponse
    transfer_result: TransferResult


class TransferReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that asking for a transfer's state needs; a direct payment's payee is asked."""

    transfer_id: str
    payee_fsp: str | None = None


class PartySought(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom a look-up is about; the process gives the job the payer where the payee asks to be paid.

    Then there is no transfer yet: a request to pay goes through the scheme.
    """

    payee: PartyIdInfo
    transfer_id: str | None = None


class RequestToPay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payee-transaction-request`` starts with; ``payee_fsp`` is where the party asked is found."""

    transaction_request_id: str
    payee: PartyIdInfo
    payer: PartyIdInfo
    amount: FspMoney
    transaction_type: TransactionType
    expiration: str
    authentication_type: Literal["OTP"] | None = None
    note: str | None = None
    payee_fsp: str | None = None


class RequestReceived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payer-transaction-request`` starts with, set by the message ``transaction-request``."""

    transaction_request: TransactionRequest
    requester_fsp: str


class RequestAnswer(RequestReceived, frozen=True, kw_only=True, rename="camel"):
    """What the payee is told of its request: a state that the process names, or ``error``."""

    transaction_id: str | None = None
    request_state: TransactionRequestState = "RECEIVED"


class QuoteTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What a payment moves. Set once, so that whatever is sent again is the same.

    The payer's account is charged ``transfer_amount`` and the payer's own fee; the payee's account is paid
    ``payee_receive_amount``.
    """

    transfer_amount: FspMoney
    payee_receive_amount: FspMoney
    expiration: str
    payee_fsp_fee: FspMoney | None = None
    payee_fsp_commission: FspMoney | None = None


class AuthorizedPayment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payment that its payer authorizes at the payee's device."""

    transaction_request_id: str
    payee_fsp: str
    quote_terms: QuoteTerms
    passwords_left: int


class Authorization(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Set by the message ``authorization-response``."""

    transaction_id: str
    payee_fsp: str
    answered_by: str
    authorization_response: AuthorizationResponse | None = None
    error: ErrorValue | None = None


class Entered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a payer has done at the payee's device."""

    response_type: AuthorizationResult
    password: str | None = None


class DeviceAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Set by the message ``device-authorization``; ``payee_fsp`` is where the party asked is found."""

    transaction_request_id: str
    payee_fsp: str
    device_answer: Entered


class Registration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``party-registration`` starts with."""

    party_id: PartyIdInfo
    requester_fsp: str
    withdraw: bool = False


class PartyQuestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payee-party-lookup`` starts with, set by the message ``party-request``."""

    party_id: PartyIdInfo
    requester_fsp: str


class PayeeQuote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``payee-quote-transfer`` starts with, set by the message ``quote-request``."""

    quote: QuoteRequest
    requester_fsp: str


class PricedQuote(PayeeQuote, frozen=True, kw_only=True, rename="camel"):
    """A quote with its terms and the account it pays into."""

    quote_terms: QuoteTerms
    payee_account: str


class AgreedQuote(PricedQuote, frozen=True, kw_only=True, rename="camel"):
    """Set by ``mojaloop-agree-quote``."""

    own_quote: QuoteResponse | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a payment stands, and what its channel calls it."""

    payment_state: PaymentState = "PENDING"
    error: ErrorValue | None = None
    client_ref_id: str | None = None
    confirm_quote: bool = False
    confirmation: str | None = None
    payer_fee: str | None = None
    quote_terms: QuoteTerms | None = None
    party: Party | None = None


class PayeeCredit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What paying the payee needs, whether the money comes through the scheme or from the same bank."""

    transaction_id: str
    transfer_id: str
    payee_account: str
    quote_terms: QuoteTerms


class PreparedTransfer(PricedQuote, frozen=True, kw_only=True, rename="camel"):
    """Set by ``mojaloop-agree-quote`` and the message ``transfer-prepare``."""

    own_quote: QuoteResponse
    transfer: TransferPrepare
    fulfilment: str | None = None  # of a direct payment, since it was accepted


class RefusedQuestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a refusal to another institution needs."""

    error: ErrorValue
    requester_fsp: str


def read(job: Job, kind: type[VariablesT]) -> VariablesT:
    """Read a job's variables.

    Raises:
        JobFailedError: the process does not provide what the job needs, which no retry mends but an
            incident shows.
    """
    try:
        return msgspec.convert(job.variables, kind)
    except msgspec.ValidationError as error:
        raise JobFailedError(f"{job.type}: the variables do not fit: {error}") from error


def is_refund(kind: TransactionType) -> bool:
    """Tell whether who was paid pays back (FSPIOP 1.1 section 5.3.10); who asks to be paid is paid anew."""
    return kind.scenario == REFUND and kind.initiator == "PAYER"


def money_of(amount: FspMoney) -> Money:
    """Read FSPIOP's money exactly.

    Raises:
        InvalidInputError: it is no amount of a known currency.
    """
    return Money.parse(amount.amount, amount.currency)


def builtin(value: msgspec.Struct) -> Any:
    """Turn a message into what a process variable may hold."""
    return msgspec.to_builtins(value)


def party_name(party: Party | None) -> str | None:
    """Return what a party is called: the name that its account shows, else a person's own."""
    if party is None or party.name is not None:
        return None if party is None else party.name
    person = None if party.personal_info is None else party.personal_info.complex_name
    names = () if person is None else (person.first_name, person.middle_name, person.last_name)
    return " ".join(name for name in names if name) or None


def party_key(kind: str, identifier: str, sub_id: str | None) -> str:
    """Return the correlation key of ``party-response``: ``MSISDN/254700100001``."""
    return f"{kind}/{identifier}" + (f"/{sub_id}" if sub_id else "")
