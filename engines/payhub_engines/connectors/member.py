"""What is asked rather than paid: an account's state, who a party is, and an identifier's registration."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors.variables import CALLBACK_TIMEOUT, ErrorValue, party_key, party_name
from payhub_platform.contracts.channel import (
    AccountIdentifier,
    AccountState,
    AccountStatus,
    PartyIdInfo,
    PartyStatus,
    PaymentState,
    RegistrationStatus,
    TransferError,
)
from payhub_platform.contracts.engine import StartAccountLookup, StartPartyLookup, StartRegistration
from payhub_platform.contracts.fspiop import Party
from payhub_platform.contracts.tenant import TenantConfig

ACCOUNT_PROCESS: Final = "account-lookup"
REGISTRATION_PROCESS: Final = "party-registration"
PARTY_PROCESS: Final = "party-lookup"


class _Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    party_id: PartyIdInfo
    payment_state: PaymentState = "PENDING"
    error: ErrorValue | None = None
    account: AccountState | None = None
    account_identifiers: list[AccountIdentifier] = []
    withdraw: bool = False


class _Sought(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    payee: PartyIdInfo
    payment_state: PaymentState = "PENDING"
    error: ErrorValue | None = None
    party: Party | None = None
    payee_fsp: str | None = None


def account_variables(start: StartAccountLookup) -> dict[str, Any]:
    """Return the variables that ``account-lookup`` starts with."""
    return {"partyId": msgspec.to_builtins(start.party), "error": None}


def registration_variables(start: StartRegistration, tenant: TenantConfig) -> dict[str, Any]:
    """Return the variables that ``party-registration`` starts with."""
    party = start.party
    return {
        "partyId": msgspec.to_builtins(party),
        "requesterFsp": tenant.fsp_id,
        "partyKey": party_key(party.party_id_type, party.party_identifier, party.party_sub_id_or_type),
        "withdraw": start.withdraw,
        "asked": 0,
        "switchFsp": tenant.scheme.switch_fsp_id,
        "callbackTimeout": CALLBACK_TIMEOUT,
        "error": None,
    }


def party_variables(start: StartPartyLookup) -> dict[str, Any]:
    """Return the variables that ``party-lookup`` starts with, named as a payment names whom it is for."""
    party = start.party
    return {
        "payee": msgspec.to_builtins(party),
        "partyKey": party_key(party.party_id_type, party.party_identifier, party.party_sub_id_or_type),
        "callbackTimeout": CALLBACK_TIMEOUT,
        "error": None,
    }


def account_status(variables: dict[str, Any]) -> AccountStatus:
    """Tell a channel how the account stood when it was asked for."""
    asked = msgspec.convert(variables, _Asked)
    return AccountStatus(
        state=asked.payment_state,
        party=asked.party_id,
        account=asked.account,
        identifiers=asked.account_identifiers,
        error=_error(asked),
    )


def party_status(variables: dict[str, Any]) -> PartyStatus:
    """Tell a channel who is reached by an identifier."""
    sought = msgspec.convert(variables, _Sought)
    found = sought.party if sought.payment_state == "COMPLETED" else None
    if found is None:
        return PartyStatus(state=sought.payment_state, party=sought.payee, error=_error(sought))
    return PartyStatus(
        state=sought.payment_state,
        party=msgspec.structs.replace(sought.payee, fsp_id=sought.payee_fsp),
        name=party_name(found),
    )


def registration_status(variables: dict[str, Any]) -> RegistrationStatus:
    """Tell a channel whether the scheme has taken the registration."""
    asked = msgspec.convert(variables, _Asked)
    return RegistrationStatus(
        state=asked.payment_state, party=asked.party_id, withdraw=asked.withdraw, error=_error(asked)
    )


def _error(asked: _Asked | _Sought) -> TransferError | None:
    if asked.payment_state != "FAILED" or asked.error is None:
        return None
    return TransferError(code=asked.error.code, description=asked.error.description)
