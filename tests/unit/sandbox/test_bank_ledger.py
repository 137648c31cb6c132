from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payhub_sandbox.bank.account import Hold
from payhub_sandbox.bank.admin import ledger_report
from payhub_sandbox.bank.amounts import number
from payhub_sandbox.bank.core import Bank, NewAccount
from payhub_sandbox.bank.ledger import Entry, Ledger
from payhub_sandbox.bank.refusal import BankRefusalError
from payhub_sandbox.bank.requests import BankMoney, Command

OPENING = 10_000

operations = st.lists(
    st.tuples(
        st.sampled_from(["PREPARE", "CREATE", "RELEASE"]),
        st.sampled_from(["PAYER", "PAYEE"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from(["t1", "t2", "t3"]),
        st.sampled_from(["0", "0.01", "40", "99.99", "100.005"]),
        st.sampled_from([None, "1", "2.5"]),
    ),
    max_size=40,
)


def command(account, code, amount, role="PAYER", fee=None):
    return Command(
        code=code,
        transaction_code="tx",
        account_id=account,
        amount=BankMoney(Decimal(amount), "KES"),
        role=role,
        expiration=None,
        extension_list=None,
        fee=None if fee is None else BankMoney(Decimal(fee), "KES"),
    )


def new_bank(*, quirks):
    bank = Bank("KES", lambda: 1_790_000_000_000, quirks=quirks)
    bank.open_account(NewAccount(account_id="A", name="A", balance="100.00"))
    bank.open_account(NewAccount(account_id="B", name="B", balance="100.00", withdrawal_fee="0.50"))
    return bank


@settings(max_examples=300, deadline=None)
@given(operations, st.booleans())
def test_books_balance_and_holds_never_touch_them(steps, quirks):
    bank = new_bank(quirks=quirks)
    for action, role, account, code, amount, fee in steps:
        before = ledger_report(bank)
        try:
            bank.transfer(action, command(account, code, amount, role, fee))
        except BankRefusalError:
            assert ledger_report(bank) == before
        report = ledger_report(bank)
        trial, totals = report["trialBalance"], report["totals"]
        assert trial["debits"] == trial["credits"]
        # What members lost, the scheme or the fees gained: nothing is made and nothing vanishes.
        assert totals["savings"] + totals["feeIncome"] == totals["vault"] + totals["settlement"]
        assert totals["vault"] == 2 * OPENING
        for one in bank.accounts():
            open_holds = sum(hold.amount for hold in one.holds.values() if not hold.released)
            assert one.held == open_holds >= 0
            assert bank.desk.available(one) == bank.desk.balance(one) - open_holds
            assert bank.desk.available(one) >= 0
        if action != "CREATE":
            assert report["trialBalance"] == before["trialBalance"]


@given(operations)
@settings(deadline=None)
def test_without_quirks_a_released_transfer_never_debits(steps):
    bank = new_bank(quirks=False)
    released = set()
    for action, role, account, code, amount, fee in steps:
        try:
            bank.transfer(action, command(account, code, amount, role, fee))
        except BankRefusalError:
            continue
        if action == "RELEASE":
            released.add((account, code))
        if action == "CREATE" and role == "PAYER":
            assert (account, code) not in released


@pytest.mark.parametrize(("amount", "credit"), [(0, "b"), (-1, "b"), (1, "a")])
def test_entries_that_are_none(amount, credit):
    ledger = Ledger()
    with pytest.raises(ValueError, match="positive amount"):
        ledger.book(Entry(debit="a", credit=credit, amount=amount, reference=""))
    assert ledger.entries == 0


def test_the_journal_keeps_both_sides_of_an_entry():
    ledger = Ledger()
    entry = Entry(debit="a", credit="b", amount=5, reference="r")
    ledger.book(entry)
    assert ledger.recent() == [entry]
    assert (ledger.debit_balance("a"), ledger.credit_balance("b"), ledger.credit_balance("c")) == (5, 5, 0)


def test_amounts_are_written_with_six_decimals():
    assert bytes(number(123_456, "KES")) == b"1234.560000"
    assert bytes(number(-5, "UGX")) == b"-5.000000"
    assert bytes(number(10**17, "KES")) == b"1000000000000000.000000"


def test_a_full_account_refuses_instead_of_forgetting(monkeypatch):
    bank = new_bank(quirks=True)
    monkeypatch.setattr("payhub_sandbox.bank.account.TRANSFERS_PER_ACCOUNT_MAX", 1)
    account = bank.account("A")
    account.holds["old"] = Hold(amount=0, row=account.add_row("AMOUNT_HOLD", 0, "old", 0), released=True)
    for action, role in (("PREPARE", "PAYER"), ("CREATE", "PAYEE")):
        with pytest.raises(BankRefusalError) as refused:
            bank.transfer(action, command("A", "t1", "1", role))
        assert refused.value.http_status == 503
