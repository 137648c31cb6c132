"""Payment Hub EE's bodies, read as what they ask for here. Pure.

What a body says and no flow carries is refused, never dropped: who is told 202 may rely on all of it.
"""

from typing import Final, Literal

import msgspec

from payhub_gateway.channel.model import transaction_state
from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.channel import (
    AccountState,
    ChannelMoney,
    ChannelParty,
    PartyIdInfo,
    PartyIdType,
    PartyRegistration,
    TransactionRequest,
    TransferRequest,
    TransferStatus,
    UseCase,
)
from payhub_platform.contracts.use_cases import REQUEST_USES, USE_CASES
from payhub_platform.errors import InvalidInputError, UnprocessableError

_LOAN: Final = "loan-repayment"  # FSPIOP has no word for it; it is asked for by ``useCase``
# The GSMA Mobile Money API's identifiers (1.2 section 4.1), and FSPIOP's own, in small letters.
_PARTY_TYPES: Final[dict[str, PartyIdType]] = {
    "msisdn": "MSISDN",
    "accountid": "ACCOUNT_ID",
    "account_id": "ACCOUNT_ID",
    "iban": "IBAN",
    "emailaddress": "EMAIL",
    "email": "EMAIL",
    "business": "BUSINESS",
    "alias": "ALIAS",
}
_GSMA_TYPES: Final[dict[str, UseCase]] = {
    "transfer": "transfer",
    "merchantpay": "merchant-payment",
    "deposit": "cash-in",
    "withdrawal": "cash-out",
}


class HubTransactionType(Contract, frozen=True, kw_only=True, rename="camel"):
    """What is paid for, as FSPIOP 1.1 section 7.4.18 has it."""

    scenario: str
    initiator: str
    initiator_type: str


class HubTransfer(TransferRequest, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /channel/transfer``: Payment Hub EE's, or that of ``/v1``."""

    transaction_type: HubTransactionType | None = None


class HubRequest(TransactionRequest, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /channel/transactionRequest``: Payment Hub EE's, or that of ``/v1``."""

    amount_type: Literal["RECEIVE"] = "RECEIVE"
    transaction_type: HubTransactionType | None = None


class HubRegistration(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /channel/partyRegistration``."""

    id_type: PartyIdType
    id_value: str
    account_id: str | None = None


class GsmaPair(Contract, frozen=True, kw_only=True):
    """An identifier of a party."""

    key: str
    value: str


class GsmaTransfer(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /channel/gsma/transfer``, as far as a flow carries it (GSMA Mobile Money API 1.2)."""

    amount: str
    currency: str
    type: str
    debit_party: list[GsmaPair]
    credit_party: list[GsmaPair]
    description_text: str | None = None
    requesting_organisation_transaction_reference: str | None = None
    request_date: str | None = None  # of the request, not of the payment: not kept


class HubAccountStatus(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /channel/accounts/{type}/{id}/status``."""

    account_status: Literal["ACTIVE", "BLOCKED", "INACTIVE"]


class HubAccountBalance(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /channel/accounts/{type}/{id}/balance``; what the bank does not tell is absent."""

    account_status: Literal["ACTIVE", "BLOCKED", "INACTIVE"]
    currency: str
    current_balance: str | None = None
    available_balance: str | None = None


def transfer(sent: HubTransfer) -> TransferRequest:
    """Return the transfer that a body asks for; it is the same as one that says ``useCase``.

    Raises:
        UnprocessableError: ``flow-not-offered``; nothing is paid so here.
        InvalidInputError: ``invalid-field``; two things are said of what is paid for.
    """
    wanted = sent.transaction_type
    if wanted is None:
        return sent  # it is one, written as one
    if sent.use_case != "transfer":
        raise _said_twice()
    use_case = next((use for use in USE_CASES if _is(use, wanted)), None)
    if use_case is None:
        raise _not_offered("/transactionType")
    return msgspec.structs.replace(sent, use_case=use_case, transaction_type=None)


def request_to_pay(sent: HubRequest) -> TransactionRequest:
    """Return the request to pay that a body asks for; errors as for ``transfer``."""
    wanted = sent.transaction_type
    if wanted is None:
        return sent
    if sent.use_case != "merchant-payment":
        raise _said_twice()
    use_case = next((use for use in REQUEST_USES if _says(REQUEST_USES[use], wanted)), None)
    if use_case is None:
        raise _not_offered("/transactionType")
    return msgspec.structs.replace(sent, use_case=use_case, transaction_type=None)


def gsma_transfer(sent: GsmaTransfer) -> TransferRequest:
    """Return the transfer that a GSMA transaction asks for.

    Raises:
        UnprocessableError: ``flow-not-offered``; there is no flow of this type.
        InvalidInputError: ``invalid-field``; a party has another number of identifiers than one, or of a
            kind that is not known.
    """
    use_case = _GSMA_TYPES.get(sent.type)
    if use_case is None:
        raise _not_offered("/type")
    return TransferRequest(
        payer=_gsma_party(sent.debit_party, "/debitParty"),
        payee=_gsma_party(sent.credit_party, "/creditParty"),
        amount=ChannelMoney(amount=sent.amount, currency=sent.currency),
        use_case=use_case,
        client_ref_id=sent.requesting_organisation_transaction_reference,
        note=sent.description_text,
    )


def registration(sent: HubRegistration) -> PartyRegistration:
    """Return the registration that a body asks for.

    Raises:
        UnprocessableError: ``flow-not-offered``; the institution's core system binds identifiers to accounts.
    """
    if sent.account_id is not None:
        raise UnprocessableError(
            "flow-not-offered",
            "Identifiers are bound to accounts in the institution's core system. Leave accountId out: what "
            "is bound there is registered at the scheme.",
            "/accountId",
        )
    return PartyRegistration(party=PartyIdInfo(party_id_type=sent.id_type, party_identifier=sent.id_value))


def transfer_status(status: TransferStatus) -> TransferStatus:
    """Tell a transfer's state in both words."""
    state = transaction_state(status)
    return msgspec.structs.replace(
        status, transfer_state=state.transfer_state, completed_timestamp=state.completed_timestamp
    )


def account_status(account: AccountState) -> HubAccountStatus:
    """Tell an account's status."""
    return HubAccountStatus(account_status=account.status)


def account_balance(account: AccountState) -> HubAccountBalance:
    """Tell an account's balance."""
    return HubAccountBalance(
        account_status=account.status,
        currency=account.currency,
        current_balance=account.balance,
        available_balance=account.available,
    )


def party_of(kind: str, identifier: str, where: str) -> PartyIdInfo:
    """Return the party that a key and a value name.

    Raises:
        InvalidInputError: ``invalid-field``; the key is not known.
    """
    known = _PARTY_TYPES.get(kind.lower())
    if known is None:
        raise InvalidInputError("invalid-field", f"Name a party by {', '.join(sorted(_PARTY_TYPES))}.", where)
    return PartyIdInfo(party_id_type=known, party_identifier=identifier)


def _gsma_party(pairs: list[GsmaPair], where: str) -> ChannelParty:
    if len(pairs) != 1:
        raise InvalidInputError("invalid-field", "A party has one identifier.", where)
    return ChannelParty(party_id_info=party_of(pairs[0].key, pairs[0].value, f"{where}/0/key"))


def _is(use: UseCase, sent: HubTransactionType) -> bool:
    return use != _LOAN and _says(USE_CASES[use], sent)


def _says(known: msgspec.Struct, sent: HubTransactionType) -> bool:
    return all(getattr(known, name) == getattr(sent, name) for name in HubTransactionType.__struct_fields__)


def _not_offered(where: str) -> UnprocessableError:
    return UnprocessableError("flow-not-offered", "No flow pays for this; docs/gateway.md names them.", where)


def _said_twice() -> InvalidInputError:
    return InvalidInputError(
        "invalid-field", "Send transactionType or useCase, not both.", "/transactionType"
    )
