from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.connector_kit import job

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.guard import CALLS_PER_TENANT_MAX
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.job import BpmnError, JobFailedError

QUOTE = {
    "requesterFsp": "buffalo",
    "quote": {
        "quoteId": "11111111-1111-4111-8111-111111111111",
        "transactionId": "4e35e8a4-7d4d-5d3b-9a55-0f6f3f1a2b3c",
        "payee": {
            "partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001", "fspId": "lion"}
        },
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}},
        "amountType": "SEND",
        "amount": {"amount": "100.5", "currency": "KES"},
        "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
    },
}


def code_of(caught):
    return caught.value.variables["error"]["code"]


async def test_the_fee_is_fixed_before_anything_is_held(ams, bank, context, started):
    bank.fee = "1.500000"
    result = await ams.quote_payer(job("ams-quote-payer", started), context)
    assert result == {"payerAccount": "A1", "payerFee": "1.50"}
    assert [name for _, name, _, _ in bank.requests] == [
        "parties",
        "accounts",
        "quotes",
        "savingsaccountscharges",
    ]
    assert bank.requests[0][2]["Fineract-Platform-TenantId"] == "buffalo"
    assert bank.requests[2][3]["amount"] == {"amount": "100.50", "currency": "KES"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "CLOSED"}, "4400"),
        ({"sub_status": "BLOCK"}, "4400"),
        ({"sub_status": "BLOCK_DEBIT"}, "4400"),
        ({"currency": "UGX"}, "4103"),
        ({"deposit_type": "FIXED_DEPOSIT"}, "4300"),
        ({"balance": Decimal("100.49")}, "4001"),
    ],
)
async def test_a_payer_who_cannot_pay_is_refused(ams, bank, context, started, change, code):
    for name, value in change.items():
        setattr(bank.accounts["A1"], name, value)
    with pytest.raises(BpmnError, match="payer-refused") as caught:
        await ams.quote_payer(job("ams-quote-payer", started), context)
    assert code_of(caught) == code


async def test_an_unknown_payer_is_refused(ams, bank, context, started):
    bank.parties.clear()
    with pytest.raises(BpmnError) as caught:
        await ams.quote_payer(job("ams-quote-payer", started), context)
    assert code_of(caught) == "3202"


async def test_a_bank_that_is_down_is_tried_again_and_then_refused(ams, bank, context, started):
    bank.down = True
    with pytest.raises(JobFailedError):
        await ams.quote_payer(job("ams-quote-payer", started, attempt=4), context)
    with pytest.raises(BpmnError) as caught:
        await ams.quote_payer(job("ams-quote-payer", started, attempt=5), context)
    assert code_of(caught) == "2003"


async def test_missing_permission_is_no_refusal_of_the_payer(ams, bank, context, started):
    bank.forbidden = True
    with pytest.raises(JobFailedError):
        await ams.quote_payer(job("ams-quote-payer", started), context)


async def test_reserve_commit_takes_the_money_once(ams, bank, context, funded):
    for kind, handler in (("ams-reserve", ams.reserve), ("ams-commit", ams.commit)):
        for attempt in (1, 2, 3):
            assert await handler(job(kind, funded, attempt=attempt), context) == {}
    assert bank.accounts["A1"].balance == Decimal("899.50")
    assert bank.accounts["A1"].held() == 0
    sent = [body for _, name, _, body in bank.requests if name.startswith("transfers")]
    assert {(body["amount"]["amount"], body["fspFee"]["amount"]) for body in sent} == {("100.50", "1.50")}
    assert {body["transferCode"] for body in sent} == {funded["transferId"]}


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_lost_answer_changes_nothing(ams, bank, context, funded, idempotent):
    bank.idempotent = idempotent
    for kind, handler in (("ams-reserve", ams.reserve), ("ams-commit", ams.commit)):
        bank.lose_answers = 1
        with pytest.raises(JobFailedError):
            await handler(job(kind, funded, attempt=1), context)
        await handler(job(kind, funded, attempt=2), context)
    assert bank.accounts["A1"].balance == Decimal("899.50")


@pytest.mark.parametrize("has_books", [True, False])
async def test_a_lost_answer_to_a_hold_is_made_sure_of(ams, bank, context, funded, has_books):
    """The balance is checked before the repetition is seen, so our own hold makes us look poor."""
    bank.idempotent, bank.has_books = False, has_books
    bank.accounts["A1"].balance = Decimal(150)
    bank.lose_answers = 1
    with pytest.raises(JobFailedError):
        await ams.reserve(job("ams-reserve", funded), context)
    assert bank.accounts["A1"].held() == Decimal("102.00")
    if has_books:
        await ams.reserve(job("ams-reserve", funded, attempt=2), context)
        assert bank.accounts["A1"].held() == Decimal("102.00")
        return
    with pytest.raises(BpmnError) as caught:
        await ams.reserve(job("ams-reserve", funded, attempt=2), context)
    assert code_of(caught) == "4001"
    assert bank.accounts["A1"].held() == 0
    assert bank.accounts["A1"].balance == Decimal(150)


async def test_insufficient_funds_at_reservation_are_refused(ams, bank, context, funded):
    bank.accounts["A1"].balance = Decimal(100)
    with pytest.raises(BpmnError, match="payer-refused") as caught:
        await ams.reserve(job("ams-reserve", funded), context)
    assert code_of(caught) == "4001"


async def test_release_is_done_once_and_again(ams, bank, context, funded):
    await ams.reserve(job("ams-reserve", funded), context)
    for attempt in (1, 2, 3):
        assert await ams.release(job("ams-release", funded, attempt=attempt), context) == {}
    assert bank.accounts["A1"].held() == 0
    assert bank.accounts["A1"].balance == Decimal(1000)


async def test_a_commit_without_a_hold_is_never_called_done(ams, context, funded):
    with pytest.raises(JobFailedError):
        await ams.commit(job("ams-commit", funded), context)


async def test_later_attempts_use_keys_of_their_own_within_the_banks_length(ams, bank, context, funded):
    bank.late, bank.has_books = 4, False
    for attempt in (1, 2, 3, 100_000):
        with pytest.raises(JobFailedError):
            await ams.reserve(job("ams-reserve", funded, attempt=attempt), context)
    keys = [headers["Idempotency-Key"] for _, name, headers, _ in bank.requests if name == "transfersPREPARE"]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert all(key.startswith(funded["transferId"] + ":P") and len(key) <= 50 for key in keys)


async def test_a_payee_is_looked_up(ams, context):
    known = {
        "partyId": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"},
        "requesterFsp": "buffalo",
    }
    assert await ams.look_up_party(job("ams-look-up-party", known, "lion"), context) == {}
    unknown = {**known, "partyId": {"partyIdType": "MSISDN", "partyIdentifier": "1"}}
    with pytest.raises(BpmnError, match="party-refused") as caught:
        await ams.look_up_party(job("ams-look-up-party", unknown, "lion"), context)
    assert code_of(caught) == "3204"


async def test_the_terms_of_a_quote_are_fixed_once(ams, context, lion):
    result = await ams.quote_payee(job("ams-quote-payee", QUOTE, "lion"), context)
    assert result["payeeAccount"] == "A2"
    assert result["quoteTerms"]["transferAmount"] == {"amount": "100.5", "currency": "KES"}
    assert lion.quote_validity_ms == 30_000
    assert result["quoteTerms"]["expiration"] == "2025-10-09T08:53:50.000Z"


async def test_a_requested_expiration_is_kept(ams, context):
    def asking(expiration):
        return job(
            "ams-quote-payee", {**QUOTE, "quote": {**QUOTE["quote"], "expiration": expiration}}, "lion"
        )

    result = await ams.quote_payee(asking("2025-10-09T08:53:25.000Z"), context)
    assert result["quoteTerms"]["expiration"] == "2025-10-09T08:53:25.000Z"
    with pytest.raises(BpmnError) as caught:
        await ams.quote_payee(asking("2025-10-09T08:53:20.100Z"), context)
    assert code_of(caught) == "3302"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "CLOSED"}, "5400"),
        ({"sub_status": "BLOCK"}, "5400"),
        ({"sub_status": "BLOCK_CREDIT"}, "5400"),
        ({"currency": "UGX"}, "5106"),
        ({"deposit_type": "RECURRING_DEPOSIT"}, "5300"),
    ],
)
async def test_a_payee_who_cannot_receive_is_refused_at_the_quote(ams, bank, context, change, code):
    for name, value in change.items():
        setattr(bank.accounts["A2"], name, value)
    with pytest.raises(BpmnError, match="quote-refused") as caught:
        await ams.quote_payee(job("ams-quote-payee", QUOTE, "lion"), context)
    assert code_of(caught) == code


async def test_variables_that_do_not_fit_fail_the_job(ams, context):
    with pytest.raises(JobFailedError, match="variables"):
        await ams.reserve(job("ams-reserve", {}), context)


@pytest.mark.parametrize("has_books", [True, False])
async def test_a_loan_repayment_changes_its_key_only_where_the_books_say_it_is_not_there(
    ams, bank, context, has_books
):
    bank.loans, bank.has_books, bank.late = {"L1": {}}, has_books, 4
    given = {"transferId": "t-1", "loanAccount": "L1", "amount": {"amount": "40", "currency": "KES"}}
    for attempt in (1, 2, 3, 4):
        with pytest.raises(JobFailedError):
            await ams.repay_loan(job("ams-repay-loan", given, attempt=attempt), context)
    keys = [headers["Idempotency-Key"] for method, _, headers, _ in bank.requests if method == "POST"]
    assert keys == ["t-1:L", "t-1:L", "t-1:L3", "t-1:L4"] if has_books else ["t-1:L"] * 4


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", "2025-10-09"), ("Pacific/Kiritimati", "2025-10-09"), ("Pacific/Pago_Pago", "2025-10-08")],
)
async def test_a_loan_is_repaid_on_the_banks_own_day(bank, context, zone, day):
    bank.loans = {"L1": {}}
    given = {"transferId": "t-1", "loanAccount": "L1", "amount": {"amount": "40", "currency": "KES"}}
    await AmsJobs(CoreBanks(lambda _session: bank)).repay_loan(
        job("ams-repay-loan", given), in_zone(context, zone)
    )
    assert bank.requests[-1][3]["transactionDate"] == day


@pytest.mark.parametrize("zone", ["Africa", "../../etc/passwd", "Nowhere/City", "\0", ""])
async def test_a_zone_that_is_none_fails_the_job_and_says_so(ams, context, zone):
    given = {"transferId": "t-1", "loanAccount": "L1", "amount": {"amount": "40", "currency": "KES"}}
    with pytest.raises(JobFailedError, match="time zone"):
        await ams.repay_loan(job("ams-repay-loan", given), in_zone(context, zone))


def in_zone(context, zone):
    tenant = context.tenant("buffalo")
    moved = msgspec.structs.replace(tenant, ams=msgspec.structs.replace(tenant.ams, time_zone=zone))
    return replace(context, tenant=lambda _name: moved)


def test_the_bound_for_each_bank_is_a_bound():
    assert 0 < CALLS_PER_TENANT_MAX <= 64
