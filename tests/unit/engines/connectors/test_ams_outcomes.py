"""A core bank that is slow, down, answers twice, late or wrongly, of either kind: each ends in a defined
state with nothing held and nothing done twice."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.contract_bank import ContractAccount, ContractBank
from unit.engines.connectors.connector_kit import job, with_transfer_id

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.errors import DisagreementError, RefusedInDoubtError
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer
from payhub_engines.connectors.job import BpmnError, JobFailedError


@dataclass
class Desk:
    """One bank behind the job handlers, and what its books say."""

    kind: str
    bank: Any
    context: ConnectorContext
    variables: dict[str, Any]
    prepared: dict[str, Any]

    def __post_init__(self) -> None:
        self.ams = AmsJobs(CoreBanks(lambda _session: self.bank))

    async def do(self, kind: str, attempt: int = 1) -> dict[str, Any]:
        given, tenant = (self.prepared, "lion") if kind == "ams-credit" else (self.variables, "buffalo")
        return await self.ams.handlers()[kind](job(kind, given, tenant, attempt), self.context)

    async def until_done(self, kind: str, attempts: int = 6) -> int:
        """Try as the engine does; return how often it took."""
        for attempt in range(1, attempts + 1):
            try:
                await self.do(kind, attempt)
            except JobFailedError:
                continue
            return attempt
        raise AssertionError(f"{kind} was never done")

    @property
    def payer(self) -> tuple[Decimal, Decimal]:
        """Balance and holds of the payer."""
        account = self.bank.accounts["A1"]
        return account.balance, account.held() if callable(account.held) else account.held

    @property
    def payee(self) -> Decimal:
        return self.bank.accounts["A2"].balance


BEFORE = (Decimal("1000.00"), Decimal(0))
HELD = (Decimal("1000.00"), Decimal("102.00"))
DEEP = b'{"x":' + b"[" * 100_000
MONEY_ACTS = ["ams-reserve", "ams-commit", "ams-release", "ams-credit"]


@pytest.fixture(params=["fineract", "fineract without keys", "contract"])
def desk(request, tenants, context, secrets, bank, funded, prepared) -> Desk:
    if request.param != "contract":
        bank.idempotent = request.param == "fineract"
        bank.accounts["A1"].charged = Decimal("1.50")
        return Desk(request.param, bank, context, funded, prepared)
    own = {
        name: msgspec.structs.replace(
            tenant,
            ams=msgspec.structs.replace(
                tenant.ams, kind="contract", base_url=f"http://{name}.test/payhub", platform_tenant=""
            ),
        )
        for name, tenant in tenants.items()
    }
    contract = ContractBank(
        accounts={"A1": ContractAccount(Decimal(1000)), "A2": ContractAccount(Decimal(0))},
        identifiers={"MSISDN/254700200001": "A1", "MSISDN/254700100001": "A2"},
        fee="1.50",
    )
    context = ConnectorContext(
        tenant=own.__getitem__,
        http=context.http,
        secrets=secrets,
        clock=context.clock,
        tracing=context.tracing,
    )
    return Desk("contract", contract, context, funded, prepared)


async def prepare(desk: Desk, act: str) -> None:
    if act in {"ams-commit", "ams-release"}:
        await desk.do("ams-reserve")


def assert_done(desk: Desk, act: str) -> None:
    after = {
        "ams-reserve": HELD,
        "ams-commit": (Decimal("898.00"), Decimal(0)),
        "ams-release": BEFORE,
        "ams-credit": BEFORE,
    }
    assert desk.payer == after[act]
    assert desk.payee == (Decimal("100.50") if act == "ams-credit" else 0)


async def test_both_kinds_of_banks_do_the_same_for_the_same_jobs(desk, started):
    if desk.kind != "contract":
        desk.bank.fee = "1.500000"
    desk.variables = started
    told = await desk.do("ams-quote-payer")
    assert told == {"payerAccount": "A1", "payerFee": "1.50"}
    desk.variables = {**started, **told}
    for act in ("ams-reserve", "ams-commit"):
        await desk.do(act)
    await desk.do("ams-credit")
    assert desk.payer == (Decimal("898.00"), Decimal(0))
    assert desk.payee == Decimal("100.50")


@pytest.mark.parametrize("act", MONEY_ACTS)
async def test_down_then_up_again_is_done_once(desk, act):
    await prepare(desk, act)
    desk.bank.down = True
    for attempt in (1, 2):
        with pytest.raises(JobFailedError):
            await desk.do(act, attempt)
    desk.bank.down = False
    await desk.do(act, 3)
    assert_done(desk, act)


@pytest.mark.parametrize("act", MONEY_ACTS)
@pytest.mark.parametrize("losses", [1, 3])
async def test_a_lost_answer_is_asked_for_and_done_once(desk, act, losses):
    await prepare(desk, act)
    desk.bank.lose_answers = losses
    assert await desk.until_done(act) > 1
    assert_done(desk, act)
    desk.bank.lose_answers = 0
    await desk.do(act, 7)
    assert_done(desk, act)


@pytest.mark.parametrize("act", MONEY_ACTS)
async def test_what_is_delivered_twice_is_done_once(desk, act):
    await prepare(desk, act)
    desk.bank.doubled = True
    await desk.do(act)
    assert_done(desk, act)


@pytest.mark.parametrize("act", MONEY_ACTS)
async def test_an_act_that_comes_through_after_its_timeout_is_done_once(desk, act):
    await prepare(desk, act)
    desk.bank.late = 1
    with pytest.raises(JobFailedError):
        await desk.do(act)
    await desk.do(act, 2)
    desk.bank.catch_up()
    assert_done(desk, act)
    await desk.do(act, 3)
    assert_done(desk, act)


@pytest.mark.parametrize("act", MONEY_ACTS)
async def test_an_act_done_between_two_attempts_is_done_once(desk, act):
    await prepare(desk, act)
    desk.bank.late = 1
    with pytest.raises(JobFailedError):
        await desk.do(act)
    desk.bank.catch_up()
    await desk.do(act, 2)
    assert_done(desk, act)


async def test_a_hold_that_comes_through_after_the_refusal_holds_nothing(desk):
    desk.bank.late = 1
    with pytest.raises(JobFailedError):
        await desk.do("ams-reserve")
    desk.bank.accounts["A1"].balance = Decimal(0)
    with pytest.raises(BpmnError):
        await desk.do("ams-reserve", 2)
    desk.bank.accounts["A1"].balance = Decimal(1000)
    desk.bank.catch_up()
    assert desk.payer == BEFORE


WRONG_TRANSFER = [
    {"transferCode": "another", "reference": "another"},
    {"state": "REJECTED"},
    {"transactionCode": "another", "accountId": "A9"},
]
WRONG_AMOUNT = [
    {"amount": {"amount": "100.51", "currency": "KES"}},
    {"amount": {"amount": "100.50", "currency": "UGX"}},
    {"amount": {"amount": "1E+2", "currency": "KES"}},
    {"fee": {"amount": "0.00", "currency": "KES"}},
]


def wrong_answers(desk: Desk) -> list[dict[str, object]]:
    return WRONG_TRANSFER + (WRONG_AMOUNT if desk.kind == "contract" else [])


async def test_a_hold_answered_for_something_else_is_let_go_and_refused(desk):
    for number, wrong in enumerate(wrong_answers(desk)):
        desk.variables = {**desk.variables, "transferId": f"transfer-{number}"}
        desk.bank.alter = [wrong]
        with pytest.raises(BpmnError, match="payer-refused") as caught:
            await desk.do("ams-reserve")
        assert caught.value.variables["error"]["code"] == "2000", wrong
        assert desk.payer == BEFORE, wrong


async def test_a_booking_answered_for_something_else_is_never_called_done_on_that_answer(desk):
    for number, wrong in enumerate(wrong_answers(desk)):
        if desk.kind == "contract" and ("fee" in wrong or "state" in wrong):
            continue  # a credit has neither
        desk.prepared = with_transfer_id(desk.prepared, number)
        desk.bank.alter = [wrong]
        before = desk.payee
        with pytest.raises(DisagreementError):
            await desk.do("ams-credit")
        await desk.do("ams-credit", 2)  # the bank's books say what it really did
        assert desk.payee == before + Decimal("100.50"), wrong


async def test_a_commit_answered_for_something_else_is_asked_for(desk):
    await desk.do("ams-reserve")
    desk.bank.alter = [{"transferCode": "another", "reference": "another"}]
    with pytest.raises(DisagreementError):
        await desk.do("ams-commit")
    await desk.do("ams-commit", 2)
    assert desk.payer == (Decimal("898.00"), Decimal(0))


async def test_an_amount_booked_differently_waits_for_people(desk):
    """The books themselves are wrong: nothing is repeated, and the job says so until people have looked."""
    await desk.do("ams-credit")
    reference = desk.prepared["transfer"]["transferId"]
    if desk.kind == "contract":
        known = desk.bank.references[f"credits/{reference}"]
        known["amount"] = {"amount": "1.00", "currency": "KES"}
    else:
        desk.bank.accounts["A2"].credits[reference] = Decimal(1)
    for attempt in (2, 3):
        with pytest.raises(DisagreementError) as caught:
            await desk.do("ams-credit", attempt)
        assert caught.value.retry_after_ms >= 60_000
    assert desk.payee == Decimal("100.50")


async def test_an_account_told_of_instead_of_the_one_asked_for_is_not_used(desk, started):
    desk.variables = started

    class Confused:
        async def request(self, method, url, **options):
            answer = await desk.bank.request(method, url, **options)
            if "/accounts/A1" in url and not url.endswith("fee"):
                return msgspec.structs.replace(answer, body=answer.body.replace(b'"A1"', b'"A2"'))
            return answer

    desk.ams = AmsJobs(CoreBanks(lambda _session: Confused()))
    with pytest.raises(DisagreementError):
        await desk.do("ams-quote-payer")
    with pytest.raises(BpmnError):
        await desk.do("ams-quote-payer", 5)
    assert desk.payer == BEFORE


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b"{}", b"null", b"\xff\xfe", b'{"accountId":7}', DEEP])
async def test_an_answer_of_another_shape_is_no_answer(desk, started, body):
    class Garbled:
        async def request(self, method, url, **options):
            answer = await desk.bank.request(method, url, **options)
            return msgspec.structs.replace(answer, body=body)

    desk.variables, desk.ams = started, AmsJobs(CoreBanks(lambda _session: Garbled()))
    with pytest.raises(JobFailedError):
        await desk.do("ams-quote-payer")
    desk.variables = {**started, "payerAccount": "A1", "payerFee": "1.50"}
    for act in MONEY_ACTS:
        with pytest.raises(JobFailedError):
            await desk.do(act)


@pytest.mark.parametrize("amount", ["-1.5", "1e400", "1e999999999", "0.001"])
async def test_a_fee_that_is_no_amount_is_not_agreed_to(desk, started, amount):
    if desk.kind == "contract":
        desk.bank.fee, desk.bank.defects = amount, {"any"}
    else:
        desk.bank.fee = "0"
        text = f'"fspFee":{{"amount":{amount},'.encode()

        class Odd:
            async def request(self, method, url, **options):
                answer = await desk.bank.request(method, url, **options)
                return msgspec.structs.replace(
                    answer, body=answer.body.replace(b'"fspFee":{"amount":0,', text)
                )

        desk.ams = AmsJobs(CoreBanks(lambda _session: Odd()))
    desk.variables = started
    with pytest.raises(DisagreementError):
        await desk.do("ams-quote-payer")


async def test_a_loan_is_repaid_once_however_often_it_is_tried(desk):
    loan = {"transferId": "t-1", "loanAccount": "L1", "amount": {"amount": "40", "currency": "KES"}}
    desk.variables = loan
    desk.bank.loans = {"L1": Decimal(1000)} if desk.kind == "contract" else {"L1": {}}
    desk.bank.lose_answers = 1
    assert await desk.until_done("ams-repay-loan") == 2
    await desk.do("ams-repay-loan", 5)
    left = desk.bank.loans["L1"] if desk.kind == "contract" else 1000 - sum(desk.bank.loans["L1"].values())
    assert left == 960


async def test_a_loan_that_the_bank_does_not_know_is_refused(desk):
    loan = {"transferId": "t-1", "loanAccount": "L9", "amount": {"amount": "40", "currency": "KES"}}
    desk.variables = loan
    with pytest.raises(BpmnError, match="loan-refused") as caught:
        await desk.do("ams-repay-loan")
    assert caught.value.variables["error"]["code"] == "3204"


@pytest.mark.parametrize("loan", [".", "..", "L1/..", "../transfers"])
async def test_a_loan_that_no_path_can_name_is_refused(desk, loan):
    desk.variables = {"transferId": "t-1", "loanAccount": loan, "amount": {"amount": "40", "currency": "KES"}}
    with pytest.raises(BpmnError, match="loan-refused"):
        await desk.do("ams-repay-loan")
    assert desk.kind == "contract" or desk.bank.requests == []  # the contract names loans in the body


async def test_an_account_is_told_with_balance_status_and_identifiers(desk):
    await desk.do("ams-reserve")
    desk.variables = {"partyId": {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}}
    told = await desk.do("ams-look-up-account")
    assert told == {
        "account": {
            "accountId": "A1",
            "currency": "KES",
            "status": "ACTIVE",
            "mayPay": True,
            "mayReceive": True,
            "balance": "1000.00",
            "available": "898.00",
        },
        "accountIdentifiers": [{"type": "MSISDN", "value": "254700200001"}],
    }
    desk.variables = {"partyId": {"partyIdType": "MSISDN", "partyIdentifier": "1"}}
    with pytest.raises(BpmnError, match="account-refused"):
        await desk.do("ams-look-up-account")


@pytest.mark.parametrize("identifier", ["a/b", "..", "%2e%2e", "a b", "ünï", "?x=1", "#"])
async def test_an_odd_identifier_reaches_nobody_else(desk, identifier):
    desk.variables = {
        "partyId": {"partyIdType": "ALIAS", "partyIdentifier": identifier},
        "requesterFsp": "x",
    }
    with pytest.raises(BpmnError, match="party-refused"):
        await desk.do("ams-look-up-party")


@pytest.mark.parametrize("account", ["", "..", "a/b"])
async def test_an_account_id_that_no_path_can_name_is_not_used(desk, started, account):
    desk.variables = started
    known = desk.bank.identifiers if desk.kind == "contract" else desk.bank.parties
    known["MSISDN/254700200001"] = account
    desk.bank.defects = {"any"}
    with pytest.raises(DisagreementError):
        await desk.do("ams-quote-payer")


@pytest.mark.parametrize(
    ("status", "header", "wait_ms"),
    [(401, "", 5_000), (403, "", 5_000), (503, "7", 7_000), (429, "999999", 60_000), (500, "soon", 500)],
)
async def test_a_bank_is_tried_again_when_it_says_and_not_at_once_with_wrong_credentials(
    desk, status, header, wait_ms
):
    class Refusing:
        async def request(self, *_args, **_options):
            return HttpAnswer(status=status, headers={"retry-after": header} if header else {})

    desk.ams = AmsJobs(CoreBanks(lambda _session: Refusing()))
    for act in MONEY_ACTS:
        with pytest.raises(JobFailedError) as caught:
            await desk.do(act)
        assert caught.value.retry_after_ms == wait_ms


@pytest.mark.parametrize("act", ["ams-credit", "ams-repay-loan"])
async def test_a_booking_refused_after_an_attempt_without_answer_is_left_to_people(desk, act):
    """The first attempt may still arrive, so the refusal must not be told as one."""
    desk.variables = {"transferId": "t", "loanAccount": "L9", "amount": {"amount": "40", "currency": "KES"}}
    if desk.kind == "contract":
        desk.bank.accounts["A2"].may_receive = False
    else:
        desk.bank.accounts["A2"].sub_status = "BLOCK_CREDIT"
    with pytest.raises(JobFailedError) as caught:
        await desk.do(act, 2)
    assert isinstance(caught.value, RefusedInDoubtError)
    assert caught.value.retry_after_ms >= 60_000
