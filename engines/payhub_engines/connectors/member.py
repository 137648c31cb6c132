"""What is asked about a member rather than paid: an account's state, and an identifier's registration."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors.variables import CALLBACK_TIMEOUT, ErrorValue, party_key
from payhub_platform.contracts.channel import (
    AccountIdentifier,
    AccountState,
    AccountStatus,
    PartyIdInfo,
    PaymentState,
    RegistrationStatus,
    TransferError,
)
from payhub_platform.contracts.engine import StartAccountLookup, StartRegistration
from payhub_platform.contracts.tenant import TenantConfig

ACCOUNT_PROCESS: Final = "account-lookup"
REGISTRATION_PROCESS: Final = "party-registration"


class _Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    party_id: PartyIdInfo
    payment_state: PaymentState = "PENDING"
    error: ErrorValue | None = None
    account: AccountState | None = None
    account_identifiers: list[AccountIdentifier] = []
    withdraw: bool = False


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


def registration_status(variables: dict[str, Any]) -> RegistrationStatus:
    """Tell a channel whether the scheme has taken the registration."""
    asked = msgspec.convert(variables, _Asked)
    return RegistrationStatus(
        state=asked.payment_state, party=asked.party_id, withdraw=asked.withdraw, error=_error(asked)
    )


def _error(asked: _Asked) -> TransferError | None:
    if asked.payment_state != "FAILED" or asked.error is None:
        return None
    return TransferError(code=asked.error.code, description=asked.error.description)
