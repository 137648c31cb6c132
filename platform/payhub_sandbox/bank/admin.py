"""A bank's own staff: books, accounts and faults, for the loopback interface only."""

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from payhub_platform.http import decode_body
from payhub_sandbox.bank.account import Account, Status, SubStatus
from payhub_sandbox.bank.api import PREFIX, AnyRequest, Banks, require_bank
from payhub_sandbox.bank.core import Bank, NewAccount, NewLoan
from payhub_sandbox.bank.faults import Faults
from payhub_sandbox.bank.ledger import FEE_INCOME, SETTLEMENT, VAULT
from payhub_sandbox.loopback import require_loopback

ADMIN: Final = PREFIX + "/admin"


class AccountState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a bank's staff makes of an account: active or closed, blocked or not."""

    status: Status = "ACTIVE"
    sub_status: SubStatus = "NONE"


_accounts: Final = msgspec.json.Decoder(NewAccount)
_loans: Final = msgspec.json.Decoder(NewLoan)
_states: Final = msgspec.json.Decoder(AccountState)
_faults: Final = msgspec.json.Decoder(Faults)


def bank_admin_handlers(banks: Banks) -> list[HTTPRouteHandler]:
    """Return the handlers for ledger, accounts and faults, for all banks by FSP id."""

    @get(ADMIN + "/ledger", guards=[require_loopback])
    async def ledger(request: AnyRequest) -> Response[bytes]:
        return _json(ledger_report(require_bank(banks, request).bank))

    @post(ADMIN + "/accounts", guards=[require_loopback], status_code=200)
    async def open_account(request: AnyRequest) -> Response[bytes]:
        new = decode_body(await request.body(), _accounts.decode)
        bank = require_bank(banks, request).bank
        return _json(account_row(bank, bank.open_account(new)))

    @post(ADMIN + "/loans", guards=[require_loopback], status_code=200)
    async def open_loan(request: AnyRequest) -> Response[bytes]:
        new = decode_body(await request.body(), _loans.decode)
        bank = require_bank(banks, request).bank
        bank.open_loan(new)
        return _json(bank.loans.get_loan(new.account_no))

    @post(ADMIN + "/accounts/{account_id:str}/state", guards=[require_loopback], status_code=200)
    async def set_state(request: AnyRequest) -> Response[bytes]:
        state = decode_body(await request.body(), _states.decode)
        bank = require_bank(banks, request).bank
        account = bank.account(request.path_params["account_id"])
        account.status, account.sub_status = state.status, state.sub_status
        return _json(account_row(bank, account))

    @post(ADMIN + "/faults", guards=[require_loopback], status_code=200)
    async def set_faults(request: AnyRequest) -> Response[bytes]:
        service = require_bank(banks, request)
        service.faults = decode_body(await request.body(), _faults.decode)
        return _json(service.faults)

    return [ledger, open_account, open_loan, set_state, set_faults]


def ledger_report(bank: Bank) -> dict[str, Any]:
    """Return the books of a bank; all amounts are minor units.

    ``totals.savings`` is what the bank owes its members, ``totals.settlement`` its claim on the scheme.
    """
    trial = bank.ledger.trial_balance()
    rows = [account_row(bank, account) for account in bank.accounts()]
    return {
        "currency": bank.currency,
        "accounts": rows,
        "trialBalance": {"debits": trial.debits, "credits": trial.credits},
        "entries": bank.ledger.entries,
        "totals": {
            "savings": sum(row["balance"] for row in rows),
            "held": sum(row["held"] for row in rows),
            "settlement": bank.ledger.debit_balance(SETTLEMENT),
            "vault": bank.ledger.debit_balance(VAULT),
            "loans": sum(bank.loans.outstanding(loan) for loan in bank.loans.all()),
            "feeIncome": bank.ledger.credit_balance(FEE_INCOME),
        },
    }


def account_row(bank: Bank, account: Account) -> dict[str, Any]:
    """Return one account of the report."""
    identifiers = bank.identifiers.of_account(account.account_id)
    msisdn = next((row.value for row in identifiers if row.type == "MSISDN"), None)
    return {
        "accountId": account.account_id,
        "name": account.name,
        "msisdn": msisdn,
        "balance": bank.desk.balance(account),
        "held": account.held,
        "status": account.status,
        "subStatus": account.sub_status,
    }


def _json(value: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json")
