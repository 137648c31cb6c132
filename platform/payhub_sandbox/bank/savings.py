"""What Fineract tells of a savings account and its transactions, from our own rows. Pure."""

from typing import Any, Final

from payhub_sandbox.bank.account import Account, Row
from payhub_sandbox.bank.amounts import number
from payhub_sandbox.bank.times import business_date, date_array

ROUTING_CODE: Final = "INTEROPERATION"

_DEBITS: Final = frozenset({"WITHDRAWAL", "WITHDRAWAL_FEE"})
_CREDITS: Final = frozenset({"DEPOSIT"})
_TYPE_CODES: Final = {
    "DEPOSIT": "savingsAccountTransactionType.deposit",
    "WITHDRAWAL": "savingsAccountTransactionType.withdrawal",
    "WITHDRAWAL_FEE": "savingsAccountTransactionType.withdrawalFee",
    "AMOUNT_HOLD": "savingsAccountTransactionType.onHold",
    "AMOUNT_RELEASE": "savingsAccountTransactionType.release",
}


def listing(account: Account, currency: str, *, debit: bool, credit: bool) -> list[dict[str, Any]]:
    """Return the rows of GET /accounts/{id}/transactions, newest first.

    Holds and releases are neither: Fineract's filter drops them only where both sides are asked for.
    """
    return [
        {
            "accountId": account.account_id,
            "savingTransactionId": str(row.row_id),
            "transactionType": row.type,
            "amount": number(row.amount, currency),
            "currency": currency,
            "bookingDateTime": date_array(business_date(row.at_ms)),
            "valueDateTime": date_array(business_date(row.at_ms)),
            "resourceId": account.number,
        }
        for row in reversed(account.rows)
        if _is_listed(row, debit=debit, credit=credit)
    ]


def savings_account(
    account: Account, currency: str, balance: int, available: int, *, transactions: bool
) -> dict[str, Any]:
    """Return GET /savingsaccounts/external-id/{externalId} (since 1.9)."""
    body: dict[str, Any] = {
        "id": account.number,
        "accountNo": f"{account.number:09d}",
        "externalId": account.account_id,
        "clientName": account.name,
        "depositType": {"code": "depositAccountType.savingsDeposit"},
        "status": {
            "code": f"savingsAccountStatusType.{account.status.lower()}",
            "active": account.status == "ACTIVE",
        },
        "subStatus": {"code": f"SavingsAccountSubStatusEnum.{account.sub_status}"},
        "currency": {"code": currency},
        "summary": {
            "accountBalance": number(balance, currency),
            "availableBalance": number(available, currency),
        },
        "savingsAmountOnHold": number(account.held, currency),
    }
    if transactions:
        body["transactions"] = [_transaction(account, row, currency) for row in reversed(account.rows)]
    return body


def _transaction(account: Account, row: Row, currency: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": row.row_id,
        "transactionType": {"code": _TYPE_CODES[row.type]},
        "accountId": account.number,
        "amount": number(row.amount, currency),
        "date": date_array(business_date(row.at_ms)),
        "reversed": False,
    }
    if row.transfer_code:  # the fee row has no payment detail
        body["paymentDetailData"] = {"receiptNumber": row.transfer_code, "routingCode": ROUTING_CODE}
    if row.release_id:
        body["releaseTransactionId"] = row.release_id
    return body


def _is_listed(row: Row, *, debit: bool, credit: bool) -> bool:
    if row.type in _DEBITS:
        return debit
    if row.type in _CREDITS:
        return credit
    return not (debit and credit)
