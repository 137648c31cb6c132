"""Savings accounts with their holds."""

from typing import Final, Literal

import msgspec

TRANSFERS_PER_ACCOUNT_MAX: Final = 200_000

Status = Literal["ACTIVE", "CLOSED", "APPROVED", "SUBMITTED_AND_PENDING_APPROVAL"]
SubStatus = Literal["NONE", "INACTIVE", "DORMANT", "ESCHEAT", "BLOCK", "BLOCK_CREDIT", "BLOCK_DEBIT"]


class Hold(msgspec.Struct, kw_only=True):
    """Money set aside under a transfer code; a counter beside the ledger, never a booking."""

    amount: int
    released: bool = False


class Account(msgspec.Struct, kw_only=True):
    """A member's savings account; its balance is in the ledger.

    Attributes:
        account_id: external id, the only id the interoperation API knows.
        number: internal id, echoed as ``clientId`` and ``resourceId``.
        held: sum of the holds that are not released, minor units.
        withdrawal_fee: what the product charges for a withdrawal, minor units.
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
    fee_is_quoted: bool = False
    holds: dict[str, Hold] = {}
    withdrawn: set[str] = set()
    deposited: set[str] = set()

    @property
    def has_room(self) -> bool:
        """Whether one more transfer can be remembered; the bank refuses rather than forgets one."""
        return max(len(self.holds), len(self.withdrawn), len(self.deposited)) < TRANSFERS_PER_ACCOUNT_MAX
