from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_platform.errors import InvalidInputError
from payhub_sandbox.bank.core import Bank, NewLoan
from payhub_sandbox.bank.ledger import OVERPAYMENTS, SETTLEMENT
from payhub_sandbox.bank.refusal import BankRefusalError

START_MS = 1_790_000_000_000
TODAY = "2026-09-21"


def new_bank():
    bank = Bank("KES", lambda: START_MS)
    bank.open_loan(NewLoan(account_no="L1", name="Faith Njeri", principal="100.00"))
    return bank


def repayment(amount="40.00", **change):
    body = {
        "transactionDate": TODAY,
        "transactionAmount": amount,
        "dateFormat": "yyyy-MM-dd",
        "locale": "en",
        "receiptNumber": "r1",
    }
    return {name: value for name, value in (body | change).items() if value is not None}


def code_of(refused):
    return msgspec.json.decode(refused.value.body)["errors"][0]["userMessageGlobalisationCode"]


def test_a_repayment_moves_settlement_to_the_portfolio():
    bank = new_bank()
    answer = bank.loans.repay("L1", repayment())
    assert answer["resourceId"] == 1
    assert answer["changes"]["transactionDate"] == [2026, 9, 21]
    assert bank.loans.outstanding(bank.loans.all()[0]) == 6_000
    assert bank.ledger.debit_balance(SETTLEMENT) == 4_000
    told = bank.loans.get_loan("1")
    assert told["summary"] == {
        "totalOutstanding": msgspec.Raw(b"60.000000"),
        "totalRepayment": msgspec.Raw(b"40.000000"),
    }
    assert told["transactions"][0]["paymentDetailData"] == {"receiptNumber": "r1"}


def test_a_repeat_without_a_key_is_booked_again_as_fineract_does():
    bank = new_bank()
    for _ in range(2):
        bank.loans.repay("L1", repayment())
    assert bank.loans.outstanding(bank.loans.all()[0]) == 2_000


def test_what_is_paid_too_much_is_owed_back_and_the_loan_is_closed():
    bank = new_bank()
    bank.loans.repay("L1", repayment("130.50"))
    assert bank.ledger.credit_balance(OVERPAYMENTS) == 3_050
    assert bank.loans.get_loan("L1")["status"]["active"] is False
    with pytest.raises(BankRefusalError) as refused:
        bank.loans.repay("L1", repayment("1"))
    assert (refused.value.http_status, code_of(refused)) == (403, "error.msg.loan.not.active")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"transactionAmount": "0"}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionAmount": "1.005"}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionAmount": "NaN"}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionAmount": "1e99"}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionAmount": True}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionAmount": None}, 400, "transactionAmount.not.greater.than.zero"),
        ({"transactionDate": "21.09.2026"}, 400, "invalid.dateFormat.format"),
        ({"transactionDate": 5}, 400, "invalid.dateFormat.format"),
        ({"dateFormat": "yy"}, 400, "invalid.dateFormat.format"),
        ({"dateFormat": None}, 400, "validation.msg.missing.dateFormat.parameter"),
        ({"locale": None}, 400, "validation.msg.missing.locale.parameter"),
        ({"transferCode": "x"}, 400, "error.msg.parameter.unsupported"),
        ({"transactionDate": "2026-09-22"}, 403, "cannot.be.a.future.date"),
    ],
)
def test_repayments_that_are_refused_book_nothing(change, status, code):
    bank = new_bank()
    with pytest.raises(BankRefusalError) as refused:
        bank.loans.repay("L1", repayment(**change))
    assert refused.value.http_status == status
    assert code_of(refused).endswith(code)
    assert bank.loans.outstanding(bank.loans.all()[0]) == 10_000


def test_loans_that_are_not_there_or_not_possible():
    bank = new_bank()
    with pytest.raises(BankRefusalError) as refused:
        bank.loans.repay("L2", repayment())
    assert (refused.value.http_status, code_of(refused)) == (404, "error.msg.loan.account.id.invalid")
    for principal in ("0", "-1", "x"):
        with pytest.raises(InvalidInputError):
            bank.open_loan(NewLoan(account_no="L2", name="x", principal=principal))
    bank.open_loan(NewLoan(account_no="L1", name="again", principal="7"))
    assert bank.loans.outstanding(bank.loans.all()[0]) == 10_000


@given(amounts=st.lists(st.integers(1, 5_000), max_size=12))
def test_books_balance_over_any_repayments(amounts):
    bank = new_bank()
    paid = 0
    for minor in amounts:
        if paid < 10_000:
            bank.loans.repay("L1", repayment(str(Decimal(minor) / 100)))
            paid += minor
        else:
            with pytest.raises(BankRefusalError):
                bank.loans.repay("L1", repayment(str(Decimal(minor) / 100)))
    trial = bank.ledger.trial_balance()
    assert trial.debits == trial.credits
    assert bank.ledger.debit_balance(SETTLEMENT) == paid
    assert bank.loans.outstanding(bank.loans.all()[0]) == max(0, 10_000 - paid)
    assert bank.ledger.credit_balance(OVERPAYMENTS) == max(0, paid - 10_000)
