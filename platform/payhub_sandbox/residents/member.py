"""The members of the test DFSP and their money."""

from typing import Final

import msgspec

from payhub_platform.money import Money

OPENING_MINOR: Final = 1_000_000
CURRENCIES: Final = ("KES", "TZS", "UGX", "USD")


class Member(msgspec.Struct, kw_only=True):
    """A member; balances and holds are minor units by currency.

    Attributes:
        identifier_type: of FSPIOP.
        identifier: such as an MSISDN.
        sub_id: of a till, or empty.
    """

    identifier_type: str
    identifier: str
    name: str
    sub_id: str = ""
    balances: dict[str, int] = {}
    held: dict[str, int] = {}

    @property
    def key(self) -> str:
        """Type/ID or Type/ID/SubId."""
        parts = [self.identifier_type, self.identifier, *([self.sub_id] if self.sub_id else [])]
        return "/".join(parts)

    def can_pay(self, amount: Money) -> bool:
        """Tell whether the member has so much that is not held."""
        return self.balances.get(amount.currency, 0) - self.held.get(amount.currency, 0) >= amount.minor

    def hold(self, amount: Money) -> None:
        """Set money aside."""
        self.held[amount.currency] = self.held.get(amount.currency, 0) + amount.minor

    def release(self, amount: Money) -> None:
        """Give back what was set aside."""
        self.held[amount.currency] -= amount.minor
        assert self.held[amount.currency] >= 0  # noqa: S101 - every release follows its hold, once

    def book(self, currency: str, minor: int) -> None:
        """Add to the balance, or take from it."""
        self.balances[currency] = self.balances.get(currency, 0) + minor


def seeded(fsp_id: str, msisdn_prefix: str) -> list[Member]:
    """Return the same members at every start; the prefix has eight digits, the member's number four."""
    rows = [
        ("MSISDN", f"{msisdn_prefix}0001", "Test Payee", ""),
        ("MSISDN", f"{msisdn_prefix}0002", "Test Payer", ""),
        ("MSISDN", f"{msisdn_prefix}0003", "Test Agent", ""),
        ("ALIAS", f"{fsp_id}-payee", "Test Payee", ""),
        ("BUSINESS", f"{fsp_id}-shop", "Test Merchant", "till-1"),
    ]
    return [
        Member(
            identifier_type=kind,
            identifier=value,
            name=name,
            sub_id=sub_id,
            balances=dict.fromkeys(CURRENCIES, OPENING_MINOR),
        )
        for kind, value, name, sub_id in rows
    ]
