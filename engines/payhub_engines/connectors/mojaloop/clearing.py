"""What two institutions owe each other for a payment that no scheme settles.

The variable ``clearing`` stands in both logs, payer's and payee's, once the side knows that it is paid. It is
the same in both: the aggregator settles what it finds twice, by ``transferId``.
"""

from typing import Any

from payhub_engines.connectors.variables import PreparedTransfer, QuotedPayment, builtin
from payhub_platform.contracts.fspiop import FspMoney


def owed(payment: QuotedPayment) -> dict[str, Any]:
    """Return the payer's side."""
    amount = payment.quote_response.transfer_amount
    return _entry(payment.transfer_id, payment.payer.fsp_id or "", payment.payee_fsp, amount)


def due(prepared: PreparedTransfer) -> dict[str, Any]:
    """Return the payee's side."""
    transfer = prepared.transfer
    amount = prepared.own_quote.transfer_amount
    return _entry(transfer.transfer_id, transfer.payer_fsp, transfer.payee_fsp, amount)


def _entry(transfer_id: str, debtor_fsp: str, creditor_fsp: str, amount: FspMoney) -> dict[str, Any]:
    entry = {
        "transferId": transfer_id,
        "debtorFsp": debtor_fsp,
        "creditorFsp": creditor_fsp,
        "amount": builtin(amount),
    }
    return {"clearing": entry}
