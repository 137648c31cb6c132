"""Savings accounts with their holds."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

import msgspec

TRANSFERS_PER_ACCOUNT_MAX: Final = 200_000
BASIS_POINTS: Final = 10_000

Status = Literal["ACTIVE", "CLOSED", "APPROVED", "SUBMITTED_AND_PENDING_APPROVAL"]
SubStatus = Literal["NONE", "INACTIVE", "DORMANT", "ESCHEAT", "BLOCK", "BLOCK_CREDIT", "BLOCK_DEBIT"]


RowType = Literal["DEPOSIT", "WITHDRAWAL", "WITHDRAWAL_FEE", "AMOUNT_HOLD", "AMOUNT_RELEASE"]


class Row(msgspec.Struct, kw_only=True):
    """One transaction of an account as Fineract lists it; amounts are minor units.

    Attributes:
        transfer_code: in the payment detail; empty for a fee.
        release_id: the row that released this hold, or 0.
    """

    row_id: int
    type: RowType
    amount: int
    transfer_code: str
    at_ms: int
    release_id: int = 0


class Hold(msgspec.Struct, kw_only=True):
    """Money set aside under a transfer code; a counter beside the ledger, never a booking."""

    amount: int
    row: Row
    released: bool = False


class Account(msgspec.Struct, kw_only=True):
    """A member's savings account; its balance is in the ledger.

    Attributes:
        account_id: external id, the only id the interoperation API knows.
        number: internal id, echoed as ``clientId`` and ``resourceId``.
        held: sum of the holds that are not released, minor units.
        withdrawal_fee: what the product charges for a withdrawal, minor units.
        withdrawal_fee_basis_points: what it charges besides, in hundredths of a percent of the amount.
        fee_is_quoted: Fineract's ``withdrawalFeeForTransfers``: only then does a quote tell the fee.
        holds: by transfer code; a released one stays.
        withdrawn: transfer codes debited.
        deposited: transfer codes credited.
    """

    account_id: str
    number: int
    name: str
    status: Status = "ACTIVE"
    sub_status: SubStatus = "NONE"
    held: int = 0
    withdrawal_fee: int = 0
    withdrawal_fee_basis_points: int = 0
    fee_is_quoted: bool = False
    holds: dict[str, Hold] = {}
    withdrawn: set[str] = set()
    deposited: set[str] = set()
    rows: list[Row] = []

    def fee_on(self, amount: int) -> int:
        """Return what a withdrawal of this amount costs, minor units, rounded half to even."""
        share = Decimal(amount * self.withdrawal_fee_basis_points) / BASIS_POINTS
        return self.withdrawal_fee + int(share.to_integral_value(ROUND_HALF_EVEN))

    def add_row(self, kind: RowType, amount: int, transfer_code: str, at_ms: int) -> Row:
        """Add a transaction to the list."""
        row = Row(
            row_id=len(self.rows) + 1, type=kind, amount=amount, transfer_code=transfer_code, at_ms=at_ms
        )
        self.rows.append(row)
        return row

    @property
    def has_room(self) -> bool:
        """Whether one more transfer can be remembered; the bank refuses rather than forgets one."""
        return max(len(self.holds), len(self.withdrawn), len(self.deposited)) < TRANSFERS_PER_ACCOUNT_MAX
