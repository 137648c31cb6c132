"""The ten traps of Fineract's interoperation API, in the order of docs/ams.md, each sprung on purpose."""

import asyncio
import json
from contextlib import nullcontext
from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.connector_kit import job
from unit.engines.connectors.fake_bank import BankAccount

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.fineract_books import HISTORY_BYTES_MAX
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.http import ANSWER_BYTES_MAX, AnswerTooLongError, HttpAnswer
from payhub_engines.connectors.job import BpmnError, JobFailedError

FLAT = {"chargeTimeType": {"id": 5}, "chargeCalculationType": {"id": 1}, "amount": 2.5, "isActive": True}
PERCENT = {
    "chargeTimeType": {"id": 5},
    "chargeCalculationType": {"id": 2},
    "amount": 0,
    "percentage": 1.0,
    "isActive": True,
}


def code_of(caught):
    return caught.value.variables["error"]["code"]


def sent(bank, name):
    return [content for _, asked, _, content in bank.requests if asked == name]


@pytest.mark.parametrize("swapped", [True, False])
async def test_trap_1_swapped_codes_are_read_by_the_action_sent(
    ams, bank, context, funded, prepared, swapped
):
    """A repeated PREPARE is answered "already committed", a repeated CREATE "already on hold"; or mended."""
    bank.swapped, bank.idempotent = swapped, False
    await ams.reserve(job("ams-reserve", funded), context)
    await ams.reserve(job("ams-reserve", funded), context)  # the next leader's first attempt
    assert bank.accounts["A1"].held() == Decimal("102.00")
    await ams.commit(job("ams-commit", funded), context)
    await ams.commit(job("ams-commit", funded), context)
    assert bank.accounts["A1"].balance == Decimal("899.50")
    await ams.credit(job("ams-credit", prepared, "lion"), context)
    await ams.credit(job("ams-credit", prepared, "lion"), context)
    assert bank.accounts["A2"].balance == Decimal("100.50")


@pytest.mark.parametrize("has_books", [True, False])
async def test_trap_2_a_hold_that_was_released_is_no_reservation(ams, bank, context, funded, has_books):
    """CREATE after RELEASE debits: so a used code whose hold was let go must refuse the payment."""
    bank.idempotent, bank.has_books = False, has_books
    await ams.reserve(job("ams-reserve", funded), context)
    await ams.release(job("ams-release", funded), context)
    for attempt in (1, 2):
        with pytest.raises(BpmnError) as caught:
            await ams.reserve(job("ams-reserve", funded, attempt=attempt), context)
        assert code_of(caught) == "2000"
    assert bank.accounts["A1"].held() == 0
    assert bank.accounts["A1"].balance == Decimal(1000)


async def test_trap_2_a_commit_in_doubt_is_not_sent_after_a_release(ams, bank, context, funded):
    await ams.reserve(job("ams-reserve", funded), context)
    await ams.release(job("ams-release", funded), context)
    with pytest.raises(JobFailedError, match="released"):
        await ams.commit(job("ams-commit", funded, attempt=2), context)
    assert sent(bank, "transfersCREATE") == []
    assert bank.accounts["A1"].balance == Decimal(1000)


async def test_trap_3_a_payee_is_looked_at_and_never_prepared(ams, bank, context, started):
    """PREPARE for a payee answers ACCEPTED for accounts that do not exist."""
    del bank.accounts["A2"]
    question = {"requesterFsp": "buffalo", "quote": _quote(started)}
    with pytest.raises(BpmnError, match="quote-refused") as caught:
        await ams.quote_payee(job("ams-quote-payee", question, "lion"), context)
    assert code_of(caught) == "3204"
    assert sent(bank, "transfersPREPARE") == []


@pytest.mark.parametrize("sub_status", ["BLOCK", "BLOCK_DEBIT", "ESCHEAT"])
async def test_trap_4_blocks_are_seen_before_a_payer_is_quoted(ams, bank, context, started, sub_status):
    """Neither quote nor PREPARE checks a block: only CREATE does, after the scheme has committed."""
    bank.accounts["A1"].sub_status = sub_status
    with pytest.raises(BpmnError) as caught:
        await ams.quote_payer(job("ams-quote-payer", started), context)
    assert code_of(caught) == "4400"
    assert sent(bank, "quotes") == []


async def test_trap_4_a_block_that_came_later_waits_for_the_banks_people(ams, bank, context, prepared):
    bank.accounts["A2"].sub_status = "BLOCK_CREDIT"
    with pytest.raises(JobFailedError, match="5400") as caught:
        await ams.credit(job("ams-credit", prepared, "lion"), context)
    assert caught.value.retry_after_ms >= 60_000
    bank.accounts["A2"].sub_status = "NONE"
    await ams.credit(job("ams-credit", prepared, "lion", attempt=3), context)
    assert bank.accounts["A2"].balance == Decimal("100.50")


async def test_trap_5_no_request_has_an_expiration(ams, bank, context, started, funded, prepared):
    """Fineract takes it for the date of the booking, and refuses the future."""
    await ams.quote_payer(job("ams-quote-payer", {**started, "expiresAtMs": 1}), context)
    await ams.reserve(job("ams-reserve", funded), context)
    await ams.commit(job("ams-commit", funded), context)
    await ams.credit(job("ams-credit", prepared, "lion"), context)
    assert [content for *_, content in bank.requests if "expiration" in content] == []


@pytest.mark.parametrize(
    ("charges", "quoted", "fee"),
    [
        ([], "0.000000", "0.00"),
        ([FLAT], "0.000000", "2.50"),  # withdrawalFeeForTransfers is off: the quote does not tell it
        ([FLAT], "2.500000", "2.50"),
        ([FLAT, PERCENT], "0.000000", "3.50"),  # 1 % of 100.50 rounded half to even: 1.00
        ([{**FLAT, "isActive": False}], "0.000000", "0.00"),
        ([{**FLAT, "chargeTimeType": {"id": 8}}], "0.000000", "0.00"),  # a monthly fee
        ([{**FLAT, "chargeCalculationType": {"id": 4}}], "0.750000", "0.75"),  # unknown: the quote counts
    ],
)
async def test_trap_6_the_fee_told_is_the_fee_booked(ams, bank, context, started, charges, quoted, fee):
    bank.accounts["A1"].charges, bank.fee = charges, quoted
    bank.accounts["A1"].charged = Decimal(fee)
    told = await ams.quote_payer(job("ams-quote-payer", started), context)
    assert told["payerFee"] == fee
    funded = {**started, **told}
    await ams.reserve(job("ams-reserve", funded), context)
    held = bank.accounts["A1"].held()
    await ams.commit(job("ams-commit", funded), context)
    assert bank.accounts["A1"].balance == Decimal(1000) - held


async def test_trap_6_charges_that_the_bank_does_not_tell_are_not_asked_for_each_time(
    ams, bank, context, started, clock
):
    bank.has_books, bank.fee = False, "1.000000"
    for _ in range(3):
        told = await ams.quote_payer(job("ams-quote-payer", started), context)
        assert told["payerFee"] == "1.00"
    assert len(sent(bank, "savingsaccountscharges")) == 1
    clock.now_ms += 11 * 60 * 1000
    await ams.quote_payer(job("ams-quote-payer", started), context)
    assert len(sent(bank, "savingsaccountscharges")) == 2


async def test_trap_6_one_account_without_books_hides_nobody_elses_charges(ams, bank, context, started):
    bank.accounts |= {"A9": BankAccount(Decimal(1000))}
    bank.parties["MSISDN/9"] = "A9"
    bank.unlisted = {"A9"}
    odd = {**started, "payer": {**started["payer"], "partyIdentifier": "9"}}
    bank.accounts["A1"].charges = [FLAT]
    assert (await ams.quote_payer(job("ams-quote-payer", odd), context))["payerFee"] == "0.00"
    assert (await ams.quote_payer(job("ams-quote-payer", started), context))["payerFee"] == "2.50"


async def test_trap_6_charges_are_kept_for_a_while(ams, bank, context, started, clock):
    for _ in range(3):
        await ams.quote_payer(job("ams-quote-payer", started), context)
    assert len(sent(bank, "savingsaccountscharges")) == 1
    bank.accounts["A1"].charges = [FLAT]
    clock.now_ms += 61_000
    told = await ams.quote_payer(job("ams-quote-payer", started), context)
    assert told["payerFee"] == "2.50"


async def test_trap_7_an_identifier_of_two_accounts_pays_neither(ams, bank, context, started):
    """The look-up answers 500; the payment fails before anything is held."""
    bank.parties["MSISDN/254700200001"] = "SHARED"
    with pytest.raises(JobFailedError):
        await ams.quote_payer(job("ams-quote-payer", started), context)
    with pytest.raises(BpmnError, match="payer-refused"):
        await ams.quote_payer(job("ams-quote-payer", started, attempt=5), context)
    assert {name for _, name, _, _ in bank.requests} == {"parties"}


async def test_trap_7_one_poisoned_identifier_shuts_nobody_else_out(ams, bank, context, started):
    bank.parties["MSISDN/666"] = "SHARED"
    poisoned = {"partyId": {"partyIdType": "MSISDN", "partyIdentifier": "666"}, "requesterFsp": "x"}
    for _ in range(20):
        with pytest.raises(JobFailedError):
            await ams.look_up_party(job("ams-look-up-party", poisoned), context)
    await ams.quote_payer(job("ams-quote-payer", started), context)


async def test_traps_8_and_9_broken_and_empty_queries_are_never_asked(
    ams, bank, context, started, funded, prepared
):
    """accounts/{id}/transactions answers 500 since 1.10; GET of a quote or transfer answers nothing."""
    bank.idempotent = False
    await ams.quote_payer(job("ams-quote-payer", started), context)
    for attempt in (1, 2, 3):
        await ams.reserve(job("ams-reserve", funded, attempt=attempt), context)
    for attempt in (1, 2, 3):
        await ams.commit(job("ams-commit", funded, attempt=attempt), context)
        await ams.credit(job("ams-credit", prepared, "lion", attempt=attempt), context)
    asked = {name for method, name, _, _ in bank.requests if method == "GET"}
    assert asked == {"parties", "accounts", "savingsaccountscharges", "savingsaccountstransactions"}


@pytest.mark.parametrize("has_books", [True, False])
async def test_trap_10_without_idempotency_keys_the_transfer_code_keeps_it_single(
    ams, bank, context, funded, prepared, has_books
):
    """With OAuth2 the header Idempotency-Key is ignored."""
    bank.idempotent, bank.has_books = False, has_books
    await ams.reserve(job("ams-reserve", funded), context)
    for handler, name, given, tenant in (
        (ams.commit, "ams-commit", funded, "buffalo"),
        (ams.credit, "ams-credit", prepared, "lion"),
    ):
        bank.lose_answers = 2
        for attempt in (1, 2, 3):
            is_in_doubt = attempt == 1 or (attempt == 2 and not has_books)
            with pytest.raises(JobFailedError) if is_in_doubt else nullcontext():
                await handler(job(name, given, tenant, attempt=attempt), context)
        bank.lose_answers = 0
    assert bank.accounts["A1"].balance == Decimal("899.50")
    assert bank.accounts["A2"].balance == Decimal("100.50")


async def test_trap_10_a_failure_kept_under_a_key_is_left_behind(ams, bank, context, prepared):
    """Fineract repeats a failure under its key forever; later attempts have keys of their own."""
    key = f"{prepared['transfer']['transferId']}:R"
    bank.keep("CREATE", key, HttpAnswer(status=425))  # crashed between booking and answer: forever
    for attempt in (1, 2):
        with pytest.raises(JobFailedError, match="425"):
            await ams.credit(job("ams-credit", prepared, "lion", attempt=attempt), context)
    await ams.credit(job("ams-credit", prepared, "lion", attempt=3), context)
    assert bank.accounts["A2"].balance == Decimal("100.50")


async def test_trap_10_a_release_refused_once_is_not_refused_forever(ams, bank, context, funded):
    """Kept under a key, "nothing is on hold" would hide a hold that was placed since."""
    await ams.release(job("ams-release", funded), context)
    await ams.reserve(job("ams-reserve", funded), context)
    await ams.release(job("ams-release", funded), context)
    assert bank.accounts["A1"].held() == 0


@pytest.mark.parametrize("idempotent", [True, False])
async def test_the_code_of_a_refused_payment_holds_nothing_ever(ams, bank, context, funded, idempotent):
    """Nobody releases holds in Fineract: a PREPARE that arrives after all must find its code used up."""
    bank.idempotent = idempotent
    bank.late = 1
    with pytest.raises(JobFailedError):
        await ams.reserve(job("ams-reserve", funded), context)
    bank.accounts["A1"].balance = Decimal(10)
    with pytest.raises(BpmnError) as caught:
        await ams.reserve(job("ams-reserve", funded, attempt=2), context)
    assert code_of(caught) == "4001"
    bank.accounts["A1"].balance = Decimal(1000)
    bank.catch_up()
    assert bank.accounts["A1"].held() == 0


async def test_a_bank_that_holds_no_zero_refuses_all_the_same(bank, context, funded):
    class NoZero:
        async def request(self, method, url, **options):
            if b'"amount":"0.00"' in options["body"] and b'"amount":"100.50"' not in options["body"]:
                return HttpAnswer(status=500)
            return await bank.request(method, url, **options)

    bank.accounts["A1"].balance = Decimal(10)
    with pytest.raises(BpmnError) as caught:
        await AmsJobs(CoreBanks(lambda _session: NoZero())).reserve(job("ams-reserve", funded), context)
    assert code_of(caught) == "4001"


async def test_what_a_bank_writes_as_a_code_is_told_only_where_it_is_one(context, funded):
    """A refusal ends in logs and incidents: no names, no megabytes."""
    errors = [
        {"userMessageGlobalisationCode": text} for text in ("Jane Doe owes 5", "x" * 5_000, "error.msg.a")
    ]
    body = {"userMessageGlobalisationCode": "validation.msg.domain.rule.violation", "errors": errors * 1_000}

    class Talkative:
        async def request(self, *_args, **_options):
            return HttpAnswer(status=403, body=json.dumps(body).encode())

    with pytest.raises(JobFailedError) as caught:
        await AmsJobs(CoreBanks(lambda _session: Talkative())).release(job("ams-release", funded), context)
    assert caught.value.message == "RELEASE: refused: error.msg.a"


async def test_a_history_too_long_to_read_is_no_history(ams, bank, context, funded):
    """The hold is then let go and the payment refused, as where the bank does not tell."""
    bank.idempotent = False
    await ams.reserve(job("ams-reserve", funded), context)
    banks = CoreBanks(lambda _session: _LongHistory(bank))
    with pytest.raises(BpmnError) as caught:
        await AmsJobs(banks).reserve(job("ams-reserve", funded, attempt=2), context)
    assert code_of(caught) == "2000"
    assert bank.accounts["A1"].held() == 0
    assert HISTORY_BYTES_MAX > ANSWER_BYTES_MAX


class _LongHistory:
    def __init__(self, bank):
        self.bank = bank

    async def request(self, method, url, **options):
        if "associations=transactions" in url:
            raise AnswerTooLongError("too long")
        await asyncio.sleep(0)
        return await self.bank.request(method, url, **options)


def _quote(started):
    return {
        "quoteId": started["quoteId"],
        "transactionId": started["transactionId"],
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"}},
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}},
        "amountType": "SEND",
        "amount": msgspec.to_builtins(started["amount"]),
        "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
    }
