"""What the processes need of a core bank, whichever API it speaks."""

from dataclasses import dataclass
from typing import Literal, Protocol, Self

import msgspec

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.contracts.tenant import AmsConnection
from payhub_platform.money import Money

Role = Literal["PAYER", "PAYEE"]
AccountStatus = Literal["ACTIVE", "BLOCKED", "INACTIVE"]


@dataclass(frozen=True, slots=True)
class BankCall:
    """In whose name a bank is called, and why.

    Attributes:
        tenant_id: whose bank it is; bounds and caches are kept by it.
        attempt: from 1; above 1, what earlier attempts did is not known.
        payment: the transaction id.
    """

    context: ConnectorContext
    tenant_id: str
    connection: AmsConnection
    payment: str
    element: str
    trace: str
    attempt: int = 1

    @classmethod
    def of(cls, job: Job, context: ConnectorContext) -> Self:
        """Return the call of a job; raises UnavailableError where the tenant is not known."""
        return cls(
            context=context,
            tenant_id=job.tenant,
            connection=context.tenant(job.tenant).ams,
            payment=job.payment,
            element=job.element,
            trace=job.trace,
            attempt=job.attempt,
        )


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A member's account; the amounts are None where the bank does not tell them.

    Attributes:
        may_pay: not blocked for debits; counts only while the status is ACTIVE.
        may_receive: not blocked for credits; the same.
        is_payable: an ordinary account, no fixed or recurring deposit.
        balance: what is booked, holds not deducted.
        available: what can be spent now.
    """

    account_id: str
    currency: str
    status: AccountStatus
    may_pay: bool
    may_receive: bool
    is_payable: bool = True
    balance: Money | None = None
    available: Money | None = None


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """How an account is reached: ``MSISDN``, ``254700100001``."""

    kind: str
    value: str
    sub_id: str | None = None


class TransferOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer at a bank. Amount and fee are the same in each action; ``reference`` keeps it single.

    Attributes:
        transaction_id: of the whole payment, for people who search.
        reference: the transfer id, derived from the payment, so that a retry is the same transfer.
        account: id as ``account_of`` returned it.
        amount: what leaves the account or comes in, the institution's own fee included.
        fee: what the bank itself takes from the payer besides; zero for credits.
    """

    transaction_id: str
    reference: str
    account: str
    amount: Money
    fee: Money


class LoanRepayment(msgspec.Struct, frozen=True, kw_only=True):
    """A repayment of a loan; ``reference`` keeps it single."""

    reference: str
    loan_account: str
    amount: Money


class CoreBank(Protocol):
    """A bank's API as the job handlers use it.

    Each method returns when it is done, once, however often it was tried; raises AmsRefusalError when it
    is certain that nothing was done, and for ``reserve`` that nothing is held; and raises JobFailedError
    when that is not certain, or when the bank cannot be asked now: the same call is then made again. A
    booking that was tried before and is refused now is not certain: the first attempt may still arrive.
    """

    async def account_of(self, call: BankCall, party: PartyIdInfo, role: Role) -> str:
        """Return the id of the account that an identifier reaches."""

    async def account(self, call: BankCall, account: str, role: Role) -> Account:
        """Return an account's state."""

    async def identifiers(self, call: BankCall, account: str) -> list[Identifier]:
        """Return by what an account is reached."""

    async def fee(self, call: BankCall, account: str, role: Role, amount: Money, quote_id: str) -> Money:
        """Return what the bank takes from a payer besides the amount, or keeps of what a payee is sent."""

    async def reserve(self, call: BankCall, order: TransferOrder) -> None:
        """Hold amount and fee."""

    async def commit(self, call: BankCall, order: TransferOrder) -> None:
        """Take what is held. Never asked for after ``release``."""

    async def release(self, call: BankCall, order: TransferOrder) -> None:
        """Let go of what is held; done as well where nothing was."""

    async def credit(self, call: BankCall, order: TransferOrder) -> None:
        """Pay the amount into the account."""

    async def repay_loan(self, call: BankCall, repayment: LoanRepayment) -> None:
        """Pay the amount off a loan."""
