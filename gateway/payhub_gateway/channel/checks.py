"""Checks of what channels send, whatever they ask for. Pure: no clock, no I/O."""

import hashlib
import re
from typing import Any, Final

import msgspec

from payhub_gateway.channel.errors import TenantMismatchError
from payhub_platform import clock, ids
from payhub_platform.contracts.channel import ChannelMoney, PartyIdInfo
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import InvalidInputError, UnprocessableError
from payhub_platform.money import Money

IDENTIFIER_CHARS_MAX: Final = 128  # FSPIOP 1.1 section 7.3.25
FSP_ID_CHARS_MAX: Final = 32  # FSPIOP 1.1 section 7.3.16
TEXT_CHARS_MAX: Final = 128  # FSPIOP 1.1 section 7.3.22 (Note)

# Identifiers become segments of URLs at the switch and at the AMS.
_FORBIDDEN_IN_IDENTIFIER: Final = frozenset("/?#%\\")
# Institutions elsewhere may name theirs so (FSPIOP 2.0).
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


def is_id(text: str) -> bool:
    """Tell whether a payment or a request may have this id."""
    return ids.is_uuid(text) or _ULID.fullmatch(text) is not None


def canonical_json(value: Any) -> bytes:
    """Write a value so that equal values give equal bytes: keys sorted, no spaces, no defaults."""
    return msgspec.json.encode(value, order="sorted")


def fingerprint(request: msgspec.Struct) -> str:
    """Return the SHA-256 (hex) of what is asked, whatever the order of its fields."""
    return hashlib.sha256(canonical_json(request)).hexdigest()


def amount(sent: ChannelMoney, tenant: TenantConfig) -> Money:
    """Read an amount that the institution may pay.

    Raises:
        InvalidInputError: 400 ``invalid-amount``, ``too-many-decimals`` or ``unknown-currency``.
        UnprocessableError: 422 ``currency-not-offered``.
    """
    read = Money.parse(sent.amount, sent.currency, where="/amount")
    if read.minor == 0:
        raise InvalidInputError("invalid-amount", "The amount must be more than zero.", "/amount/amount")
    if read.currency not in tenant.currencies:
        offered = ", ".join(tenant.currencies)
        raise UnprocessableError(
            "currency-not-offered", f"This institution pays in {offered}.", "/amount/currency"
        )
    return read


def party(info: PartyIdInfo, where: str) -> None:
    """Check an identifier.

    Raises:
        InvalidInputError: ``invalid-identifier``.
    """
    _identifier(info.party_identifier, f"{where}/partyIdentifier", IDENTIFIER_CHARS_MAX)
    if info.party_sub_id_or_type is not None:
        _identifier(info.party_sub_id_or_type, f"{where}/partySubIdOrType", IDENTIFIER_CHARS_MAX)
    if info.fsp_id is not None:
        _identifier(info.fsp_id, f"{where}/fspId", FSP_ID_CHARS_MAX)


def member(info: PartyIdInfo, tenant: TenantConfig, where: str) -> None:
    """Check the identifier of somebody who must be the institution's own member.

    Raises:
        InvalidInputError: ``invalid-identifier``.
        TenantMismatchError: 403, another institution's member is named.
    """
    party(info, where)
    if info.fsp_id not in (None, tenant.fsp_id):
        raise TenantMismatchError(f"{where}/fspId")


def two_parties(own: PartyIdInfo, other: PartyIdInfo, tenant: TenantConfig, where: str) -> None:
    """Refuse one account as both sides; account numbers of two institutions may well be equal.

    Raises:
        UnprocessableError: ``same-party``.
    """
    if other.fsp_id in (None, tenant.fsp_id) and _identity(own) == _identity(other):
        raise UnprocessableError("same-party", "Payer and payee are the same.", where)


def text(value: str | None, where: str) -> None:
    """Check a text that others will read.

    Raises:
        InvalidInputError: ``invalid-field``.
    """
    if value is not None and not (0 < len(value) <= TEXT_CHARS_MAX and value.isprintable()):
        raise InvalidInputError(
            "invalid-field", f"The text must have 1 to {TEXT_CHARS_MAX} printable characters.", where
        )


def expiration(value: str | None) -> int | None:
    """Read until when something is wanted, in milliseconds since the Unix epoch.

    Raises:
        InvalidInputError: ``invalid-field``.
    """
    if value is None:
        return None
    try:
        return clock.parse_iso(value)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            "invalid-field",
            "The expiration must be an ISO 8601 date-time with an offset, such as 2026-01-31T09:05:00Z.",
            "/expiration",
        ) from error


def _identifier(value: str, where: str, chars_max: int) -> None:
    fits = 0 < len(value) <= chars_max and value.isprintable() and value == value.strip()
    if not fits or value in (".", "..") or not _FORBIDDEN_IN_IDENTIFIER.isdisjoint(value):
        raise InvalidInputError(
            "invalid-identifier",
            f"An identifier has 1 to {chars_max} printable characters, no blank at either end and none of "
            "/ ? # % \\.",
            where,
        )


def _identity(info: PartyIdInfo) -> tuple[str, str, str | None]:
    identifier = info.party_identifier
    if info.party_id_type == "MSISDN":
        identifier = identifier.removeprefix("+")  # E.164 numbers are sent with and without it
    return info.party_id_type, identifier, info.party_sub_id_or_type
