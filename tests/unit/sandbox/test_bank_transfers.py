import json
from decimal import Decimal

import pytest

from payhub_sandbox.bank.core import Bank, NewAccount
from payhub_sandbox.bank.refusal import BankRefusalError
from payhub_sandbox.bank.requests import read_command

MISSING = (404, "error.msg.interop.onhold.transfer.missing")
COMMITTED = (403, "error.msg.interop.transfer.already.committed")
ON_HOLD = (403, "error.msg.interop.transfer.already.on.hold")
INSUFFICIENT = (403, "error.msg.savingsaccount.transaction.insufficient.account.balance")
OK = (200, "")

REACH = {
    "none": [],
    "HELD": ["PREPARE"],
    "RELEASED": ["PREPARE", "RELEASE"],
    "COMMITTED": ["PREPARE", "CREATE"],
}
# State -> what PREPARE, CREATE and RELEASE answer (reference section 2.2).
AS_FINERACT = {
    "none": (OK, MISSING, MISSING),
    "HELD": (COMMITTED, OK, OK),
    "RELEASED": (COMMITTED, OK, MISSING),
    "COMMITTED": (COMMITTED, ON_HOLD, MISSING),
}
AS_MEANT = {
    "none": (OK, MISSING, MISSING),
    "HELD": (ON_HOLD, OK, OK),
    "RELEASED": (ON_HOLD, MISSING, MISSING),
    "COMMITTED": (ON_HOLD, COMMITTED, MISSING),
}


def body(account="A", role="PAYER", code="t1", amount="40.00", currency="KES", **fields):
    money = {"amount": amount, "currency": currency}
    return {
        "transactionCode": "tx",
        "transferCode": code,
        "accountId": account,
        "transactionRole": role,
        "amount": money,
        **fields,
    }


def act(bank, action, **fields):
    try:
        bank.transfer(action, read_command("transfer", body(**fields)))
    except BankRefusalError as refusal:
        envelope = json.loads(refusal.body)
        errors = envelope.get("errors") or [{"userMessageGlobalisationCode": ""}]
        return refusal.http_status, errors[0]["userMessageGlobalisationCode"]
    return OK


def new_bank(*, quirks=True, **fields):
    bank = Bank("KES", lambda: 1_790_000_000_000, quirks=quirks)
    bank.open_account(NewAccount(**{"account_id": "A", "name": "A", "balance": "100.00", **fields}))
    return bank


def money_of(bank):
    account = bank.account("A")
    return bank.desk.balance(account), account.held


@pytest.mark.parametrize(("quirks", "table"), [(True, AS_FINERACT), (False, AS_MEANT)])
@pytest.mark.parametrize("state", list(REACH))
@pytest.mark.parametrize("action", ["PREPARE", "CREATE", "RELEASE"])
def test_payer_state_machine(quirks, table, state, action):
    bank = new_bank(quirks=quirks)
    for step in REACH[state]:
        assert act(bank, step) == OK
    expected = table[state][["PREPARE", "CREATE", "RELEASE"].index(action)]
    assert act(bank, action) == expected


@pytest.mark.parametrize(
    ("steps", "money"),
    [
        (["PREPARE"], (10_000, 4_000)),
        (["PREPARE", "RELEASE"], (10_000, 0)),
        (["PREPARE", "CREATE"], (6_000, 0)),
        (["PREPARE", "RELEASE", "CREATE"], (6_000, 0)),
    ],
)
def test_what_each_step_does_to_the_money(steps, money):
    bank = new_bank()
    for step in steps:
        assert act(bank, step) == OK
    assert money_of(bank) == money


def test_payee_is_credited_once_and_prepare_looks_at_nothing():
    bank = new_bank()
    assert act(bank, "PREPARE", role="PAYEE", account="nobody") == OK
    assert act(bank, "CREATE", role="PAYEE") == OK
    assert act(bank, "CREATE", role="PAYEE") == ON_HOLD
    assert act(bank, "RELEASE", role="PAYEE") == MISSING
    assert money_of(bank) == (14_000, 0)
    honest = new_bank(quirks=False)
    assert act(honest, "PREPARE", role="PAYEE", account="nobody")[0] == 404


def test_the_same_code_serves_once_as_payer_and_once_as_payee():
    bank = new_bank()
    assert [act(bank, "PREPARE"), act(bank, "CREATE"), act(bank, "CREATE", role="PAYEE")] == [OK] * 3
    assert money_of(bank) == (10_000, 0)


def test_the_hold_is_made_of_amount_fee_and_commission_and_must_match():
    bank = new_bank()
    fees = {
        "fspFee": {"amount": "2.00", "currency": "KES"},
        "fspCommission": {"amount": 0.5, "currency": "KES"},
    }
    assert act(bank, "PREPARE", **fees) == OK
    assert money_of(bank) == (10_000, 4_150)
    assert act(bank, "CREATE") == MISSING
    assert act(bank, "CREATE", **fees) == OK
    assert money_of(bank) == (6_000, 0)


def test_surplus_decimals_are_held_rounded_and_never_found_again():
    bank = new_bank()
    assert act(bank, "PREPARE", amount="40.004") == OK
    assert money_of(bank) == (10_000, 4_000)
    assert act(bank, "CREATE", amount="40.004") == MISSING


def test_the_product_fee_is_booked_whatever_was_quoted():
    bank = new_bank(withdrawal_fee="1.00")
    quote = bank.create_quote(read_command("quote", quote_body()))
    assert bytes(quote["fspFee"]["amount"]) == b"0.000000"
    assert [act(bank, "PREPARE"), act(bank, "CREATE")] == [OK, OK]
    assert money_of(bank) == (5_900, 0)
    assert bank.ledger.credit_balance("fee-income") == 100


def test_a_quote_tells_the_fee_only_where_the_account_says_so_and_checks_funds():
    bank = new_bank(withdrawal_fee="1.00", withdrawal_fee_for_transfers=True)
    quote = bank.create_quote(read_command("quote", quote_body()))
    assert bytes(quote["fspFee"]["amount"]) == b"1.000000"
    with pytest.raises(BankRefusalError) as refused:
        bank.create_quote(read_command("quote", quote_body(amount="99.01")))
    assert b"insufficient.account.balance.withdraw" in refused.value.body
    payee = bank.create_quote(read_command("quote", quote_body(amount="5000", role="PAYEE")))
    assert bytes(payee["fspFee"]["amount"]) == b"0.000000"


def test_funds_are_checked_before_the_code():
    bank = new_bank()
    assert act(bank, "PREPARE", amount="100.01") == INSUFFICIENT
    assert act(bank, "PREPARE", amount="60") == OK
    assert act(bank, "PREPARE", amount="60") == INSUFFICIENT


@pytest.mark.parametrize(
    ("sub_status", "role", "code"),
    [
        ("BLOCK", "PAYER", "error.msg.saving.account.blocked.transaction.not.allowed"),
        ("BLOCK", "PAYEE", "error.msg.saving.account.blocked.transaction.not.allowed"),
        ("BLOCK_DEBIT", "PAYER", "error.msg.savings.account.debit.transaction.not.allowed"),
        ("BLOCK_CREDIT", "PAYEE", "error.msg.savings.account.credit.transaction.not.allowed"),
    ],
)
def test_blocks_are_noticed_only_when_money_moves(sub_status, role, code):
    bank = new_bank(sub_status=sub_status)
    bank.create_quote(read_command("quote", quote_body(role=role)))
    assert act(bank, "PREPARE", role=role) == OK
    held = money_of(bank)
    assert act(bank, "CREATE", role=role) == (403, code)
    assert money_of(bank) == held


def test_a_blocked_side_does_not_block_the_other():
    assert act(new_bank(sub_status="BLOCK_DEBIT"), "CREATE", role="PAYEE") == OK
    bank = new_bank(sub_status="DORMANT")
    assert act(bank, "CREATE", role="PAYEE") == OK
    assert bank.account("A").sub_status == "NONE"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"account": "nobody"}, (404, "error.msg.saving.account.id.invalid")),
        ({"currency": "TZS"}, (403, "error.msg.accounttransfer.different.currencies")),
        ({"currency": "QQQ"}, (500, "")),
        ({"currency": "KESX"}, (400, "validation.msg.interoperation.transfer.currency.exceeds.max.length")),
        ({"amount": "-1"}, (400, "validation.msg.interoperation.transfer.amount.not.zero.or.greater")),
        ({"amount": "ten"}, (400, "validation.msg.invalid.decimal.format")),
        ({"amount": "1e99"}, (400, "validation.msg.invalid.decimal.format")),
        ({"amount": None}, (400, "validation.msg.interoperation.transfer.amount.cannot.be.blank")),
        ({"code": " "}, (400, "validation.msg.interoperation.transfer.transferCode.cannot.be.blank")),
        ({"role": "OWNER"}, (500, "")),
        ({"quoteCode": "q"}, (400, "error.msg.parameter.unsupported")),
        ({"expiration": "2026-01-01T10:00:00.000Z"}, (400, "validation.msg.invalid.dateFormat.format")),
        ({"expiration": "2026-01-01T10:00:00"}, (400, "validation.msg.invalid.dateFormat.format")),
        ({"expiration": "2999-01-01T10:00:00.000"}, (403, "error.msg.interop.transaction.not.allowed")),
        ({"expiration": "2020-01-01T10:00:00.000"}, OK),
        ({"transactionType": {"scenario": "GIFT"}}, (500, "")),
        ({"amount": 40.5}, OK),
    ],
)
def test_refusals_of_a_prepare(fields, expected):
    assert act(new_bank(), "PREPARE", **fields) == expected


def test_an_account_that_is_not_active_takes_part_in_nothing():
    bank = new_bank(status="CLOSED")
    assert act(bank, "PREPARE") == (403, "error.msg.interop.transaction.not.allowed")


def test_float_amounts_are_read_exactly():
    command = read_command("transfer", body(amount=Decimal("0.1")))
    assert command.amount.amount == Decimal("0.1")


def quote_body(account="A", role="PAYER", amount="40.00"):
    values = body(account, role, amount=amount) | {"quoteCode": "q", "amountType": "SEND"}
    del values["transferCode"]
    values["transactionType"] = {
        "scenario": "TRANSFER",
        "initiator": "PAYER",
        "initiatorType": "CONSUMER",
    }
    return values
