"""Secondary identifiers of accounts, with the constraints that Fineract's database really has."""

from typing import Final

import msgspec

from payhub_sandbox.bank.refusal import (
    DUPLICATE_IDENTIFIER,
    IDENTIFIER_TAKEN,
    PARTY_NOT_FOUND,
    integrity,
    not_found,
    server_error,
    unavailable,
)

IDENTIFIER_TYPES: Final = frozenset(
    "MSISDN EMAIL PERSONAL_ID BUSINESS DEVICE ACCOUNT_ID IBAN ALIAS BBAN".split()
)
IDENTIFIERS_MAX: Final = 200_000


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """One row: who is reached by (type, value, sub value)."""

    row_id: int
    type: str
    value: str
    sub_value: str | None
    account_id: str


_Key = tuple[str, str, str | None]


class Identifiers:
    """All identifiers of a bank."""

    def __init__(self) -> None:
        self._rows: dict[_Key, list[Identifier]] = {}
        self._of_account: dict[tuple[str, str], Identifier] = {}
        self._last_id = 0

    def add(self, account_id: str, kind: str, value: str, sub_value: str | None) -> Identifier:
        """Register an identifier.

        Without a sub value the database takes the same value for two accounts, because SQL's UNIQUE
        ignores NULL; the look-up then fails.

        Raises:
            BankRefusalError: 403, the account has one of this type, or the value is taken.
        """
        if len(self._of_account) >= IDENTIFIERS_MAX:
            raise unavailable()
        if (account_id, kind) in self._of_account:
            raise integrity(DUPLICATE_IDENTIFIER, "Account identifier already exists.", "accountId")
        rows = self._rows.setdefault((kind, value, sub_value), [])
        if rows and sub_value is not None:
            raise integrity(IDENTIFIER_TAKEN, "Unknown data integrity issue.", "idValue")
        self._last_id += 1
        row = Identifier(
            row_id=self._last_id, type=kind, value=value, sub_value=sub_value, account_id=account_id
        )
        rows.append(row)
        self._of_account[account_id, kind] = row
        return row

    def find(self, kind: str, value: str, sub_value: str | None) -> Identifier:
        """Return the row of an identifier.

        Raises:
            BankRefusalError: 404 unknown, 500 when two accounts share it.
        """
        rows = self._rows.get((kind, value, sub_value), [])
        if not rows:
            raise not_found(PARTY_NOT_FOUND, "Account not found for the identifier.")
        if len(rows) > 1:
            raise server_error()
        return rows[0]

    def remove(self, kind: str, value: str, sub_value: str | None) -> Identifier:
        """Delete an identifier and return the row it was."""
        row = self.find(kind, value, sub_value)
        del self._rows[kind, value, sub_value]
        del self._of_account[row.account_id, kind]
        return row

    def of_account(self, account_id: str) -> list[Identifier]:
        """Return the identifiers of an account."""
        return [
            self._of_account[account_id, kind]
            for kind in sorted(IDENTIFIER_TYPES)
            if (account_id, kind) in self._of_account
        ]
