"""Rich authorization requests (RFC 9396): exactly what a client may do with a member's account."""

from typing import Annotated, Any, Final, Literal

import msgspec

from payhub_gateway.oauth2.errors import RefusedError
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

DETAILS_TYPES: Final = ("account_information", "payment_initiation")
DETAILS_MAX: Final = 10
DETAILS_CHARS_MAX: Final = 8 * 1024
_ERROR: Final = "invalid_authorization_details"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """RFC 9396 section 5: what the type does not define is refused."""


class Account(_Strict, frozen=True):
    """An account, as its holder's bank names it."""

    party_id_type: _Text = msgspec.field(name="partyIdType")
    party_identifier: _Text = msgspec.field(name="partyIdentifier")
    fsp_id: _Text | None = msgspec.field(default=None, name="fspId")


class Amount(_Strict, frozen=True):
    """Money as a decimal text with its currency."""

    amount: _Text
    currency: _Text


class AccountInformation(_Strict, frozen=True, tag="account_information", tag_field="type"):
    """Reading accounts, balances or transactions."""

    actions: Annotated[
        list[Literal["list_accounts", "read_balances", "read_transactions"]],
        msgspec.Meta(min_length=1, max_length=3),
    ]
    locations: Annotated[list[_Text], msgspec.Meta(max_length=5)] = []
    accounts: Annotated[list[Account], msgspec.Meta(max_length=20)] = []


class PaymentInitiation(_Strict, frozen=True, tag="payment_initiation", tag_field="type"):
    """One payment of an exact amount to an exact payee."""

    actions: Annotated[
        list[Literal["initiate", "status", "cancel"]], msgspec.Meta(min_length=1, max_length=3)
    ]
    instructed_amount: Amount = msgspec.field(name="instructedAmount")
    creditor_account: Account = msgspec.field(name="creditorAccount")
    creditor_name: _Text | None = msgspec.field(default=None, name="creditorName")
    locations: Annotated[list[_Text], msgspec.Meta(max_length=5)] = []
    note: _Text | None = None


Detail = AccountInformation | PaymentInitiation
_DETAILS: Final = msgspec.json.Decoder(
    Annotated[list[Detail], msgspec.Meta(min_length=1, max_length=DETAILS_MAX)]
)


def parse(text: str | None, issuer: str) -> list[dict[str, Any]]:
    """Read the parameter ``authorization_details``; empty where there is none.

    Raises:
        RefusedError: ``invalid_authorization_details``: unknown type or field, an amount that is none, or a
            place that is not this server's.
    """
    if text is None:
        return []
    if len(text) > DETAILS_CHARS_MAX:
        raise _refused("authorization_details is too long.")
    try:
        details = _DETAILS.decode(text)
    except (ValueError, RecursionError) as error:
        raise _refused("authorization_details does not fit its types.") from error
    for detail in details:
        if any(place != issuer and not place.startswith(issuer + "/") for place in detail.locations):
            raise _refused("locations of authorization_details must be on this server.")
        if isinstance(detail, PaymentInitiation):
            _check_amount(detail.instructed_amount)
    written: list[dict[str, Any]] = msgspec.to_builtins(details)
    return written


def narrowed(text: str | None, granted: list[dict[str, Any]], issuer: str) -> list[dict[str, Any]]:
    """Return what a token request asks of the granted details: all, or the ones it repeats.

    Raises:
        RefusedError: ``invalid_authorization_details``; it asks for more.
    """
    asked = parse(text, issuer)
    if any(detail not in granted for detail in asked):
        raise _refused("authorization_details asks for more than was granted.")
    return asked or granted


def spoken(detail: dict[str, Any]) -> str:
    """Say a detail to the user who consents."""
    said = msgspec.convert(detail, Detail)
    if isinstance(said, PaymentInitiation):
        amount, payee = said.instructed_amount, said.creditor_account
        named = f"{said.creditor_name}, " if said.creditor_name else ""
        bank = f" at {payee.fsp_id}" if payee.fsp_id else ""
        return (
            f"pay {amount.amount} {amount.currency} to {named}"
            f"{payee.party_id_type} {payee.party_identifier}{bank} ({', '.join(said.actions)})"
        )
    accounts = ", ".join(f"{account.party_id_type} {account.party_identifier}" for account in said.accounts)
    return f"read your accounts ({', '.join(said.actions)}): {accounts or 'all of them'}"


def _check_amount(sent: Amount) -> None:
    try:
        amount = Money.parse(sent.amount, sent.currency, where="/instructedAmount")
    except InvalidInputError as error:
        raise _refused("instructedAmount is no amount.") from error
    if amount.minor == 0:
        raise _refused("instructedAmount must be more than zero.")


def _refused(description: str) -> RefusedError:
    return RefusedError(_ERROR, description)
