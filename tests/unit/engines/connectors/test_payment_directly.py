"""Payments between two institutions of the aggregator without the scheme: both books, and who may decide."""

from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.flow_troubles import run
from unit.engines.connectors.flows import FLOWS
from unit.engines.connectors.process_house import House, assert_completed, assert_failed, balances, payee
from unit.engines.connectors.two_engines import TwoEngines

from payhub_engines.connectors.mojaloop.headers import source_of
from payhub_engines.connectors.mojaloop.received.message import DIRECTLY
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal
from payhub_engines.processes import PAYEE_QUOTE_TRANSFER, PAYER_FUND_TRANSFER
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartRefund
from payhub_platform.errors import UnavailableError
from payhub_platform.money import Money

DIRECT = [
    "direct GET parties",
    "direct PUT parties",
    "direct POST quotes",
    "direct PUT quotes",
    "direct POST transfers",
    "direct PUT transfers",
]


@pytest.fixture
def house(tenants, secrets):
    house = House(tenants, secrets)
    house.agree_to_pay_directly()
    return house


@pytest.fixture
def at_lion(request_to_pay):
    return msgspec.structs.replace(
        request_to_pay, payee=msgspec.structs.replace(request_to_pay.payee, fsp_id="lion")
    )


def clearing_of(house):
    return {
        "transferId": house.status().transfer_id,
        "debtorFsp": "buffalo",
        "creditorFsp": "lion",
        "amount": {"amount": "100.5", "currency": "KES"},
    }


def payer(house, tenant="buffalo", payment=""):
    return house.find(PAYER_FUND_TRANSFER, tenant, payment)


def test_the_switch_hears_nothing_and_both_books_have_the_same_entry(house, at_lion):
    house.pay(at_lion)
    assert house.names() == DIRECT
    assert_completed(house)
    assert payee(house).variables["paymentState"] == "COMPLETED"
    for record in (payer(house), payee(house)):
        assert record.variables["clearing"] == clearing_of(house)


def test_a_payee_whose_institution_is_not_named_is_looked_up_at_the_scheme(house, request_to_pay):
    house.pay(request_to_pay)
    assert house.names() == ["GET parties", "PUT parties", *DIRECT[2:]]
    assert_completed(house)


@pytest.mark.parametrize("who", [["buffalo"], ["lion"], []])
def test_both_must_agree_or_the_scheme_is_between(tenants, secrets, at_lion, who):
    house = House(tenants, secrets)
    if who:
        house.agree_to_pay_directly(*who)
    house.pay(at_lion)
    assert not [name for name in house.names() if name.startswith("direct")]
    assert_completed(house)
    assert "clearing" not in payer(house).variables


@pytest.mark.parametrize("change", [{"status": "suspended"}, {"currency": "UGX"}])
def test_who_is_suspended_or_keeps_another_currency_is_not_paid_directly(house, at_lion, change):
    house.tenants["lion"] = msgspec.structs.replace(house.tenants["lion"], **change)
    house.pay(at_lion)
    assert not [name for name in house.names() if name.startswith("direct")]


@pytest.mark.parametrize("after", DIRECT[:-1])
def test_an_agreement_that_ends_on_the_way_ends_no_payment(house, at_lion, after):
    """Up to the quote the payment goes through the scheme then; later it is ended as it was begun."""
    given = house.give

    async def giving(engine_id, callback):
        await given(engine_id, callback)
        if house.names()[-1] == after:
            house.tenants["lion"] = msgspec.structs.replace(house.tenants["lion"], direct_with=[])

    house.give = giving
    house.pay(at_lion)
    house.run_until_all_ended()
    assert_completed(house)


def test_a_member_who_is_not_there_is_told_at_once(house, request_to_pay):
    nobody = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700999999", fsp_id="lion")
    house.pay(msgspec.structs.replace(request_to_pay, payee=nobody))
    assert_failed(house, "3204")


def test_an_account_that_is_shut_at_the_last_moment_is_not_credited_and_the_payer_keeps_the_money(
    house, at_lion
):
    house.weather["direct POST transfers"] = ["overtaken"]
    house.pay(at_lion)
    house.banks["lion"].accounts["A2"].status = "CLOSED"
    house.run_until_all_ended()
    assert house.status().state == "FAILED"
    assert balances(house) == (Decimal(1000), Decimal(0))
    assert house.banks["buffalo"].accounts["A1"].held() == 0
    for record in (payer(house), payee(house)):
        assert "clearing" not in record.variables


def test_while_the_payees_bank_is_down_nothing_is_released_and_then_it_is_paid(house, at_lion):
    """The transfer's own time is over long before: only what the payee's engine has committed counts."""
    crediting = house.handlers["ams-deposit"]

    async def shutting(job, context):
        house.banks["lion"].down = True
        house.handlers["ams-deposit"] = crediting
        return await crediting(job, context)

    house.handlers["ams-deposit"] = shutting
    house.pay(at_lion)
    house.wait(300)
    assert house.status().state == "PENDING"
    assert house.banks["buffalo"].accounts["A1"].held() == Decimal("100.50")
    house.banks["lion"].down = False
    house.run_until_all_ended()
    assert_completed(house)


def test_a_secret_that_is_replaced_twice_on_the_way_changes_nothing(house, at_lion, secrets):
    crediting = house.handlers["ams-deposit"]

    async def replacing(job, context):
        newer = [secrets.seal("another", "ilp:lion"), secrets.seal("and another", "ilp:lion")]
        tenant = house.tenants["lion"]
        other = house.tenants["buffalo"].signing_key
        sealed = secrets.seal(secrets.open(other.private_key_sealed, "jws:buffalo"), "jws:lion")
        key = msgspec.structs.replace(
            tenant.signing_key, private_key_sealed=sealed, public_key_pem=other.public_key_pem
        )
        house.tenants["lion"] = msgspec.structs.replace(tenant, ilp_secrets_sealed=newer, signing_key=key)
        return await crediting(job, context)

    house.handlers["ams-deposit"] = replacing
    house.weather["direct PUT transfers"] = ["drop", "drop"]
    house.pay(at_lion)
    house.run_until_all_ended()
    assert_completed(house)


def test_a_quote_that_can_no_longer_be_fulfilled_is_refused_before_anything_is_credited(
    house, at_lion, secrets
):
    house.weather["direct POST transfers"] = ["overtaken"]
    house.pay(at_lion)
    tenant, other = house.tenants["lion"], house.tenants["buffalo"].signing_key
    sealed = secrets.seal(secrets.open(other.private_key_sealed, "jws:buffalo"), "jws:lion")
    key = msgspec.structs.replace(
        tenant.signing_key, private_key_sealed=sealed, public_key_pem=other.public_key_pem
    )
    house.tenants["lion"] = msgspec.structs.replace(tenant, signing_key=key)
    house.run_until_all_ended()
    assert_failed(house, "3302")


def test_nobody_else_reaches_a_direct_payment_not_even_in_its_payers_name(house, at_lion):
    """Through the scheme one is another speaker: its transfers and outcomes are not those of the line."""
    house.weather["direct POST transfers"] = ["late"]
    house.pay(at_lion)
    quoted = payee(house).variables["ownQuote"]
    transfer = {
        "transferId": "33333333-3333-4333-8333-333333333333",
        "payerFsp": "buffalo",
        "payeeFsp": "lion",
        "amount": quoted["transferAmount"],
        "ilpPacket": quoted["ilpPacket"],
        "condition": quoted["condition"],
        "expiration": iso(house.engine.now_ms + 20_000),
    }
    house.say("POST", "/transfers", transfer, "lion", source="buffalo")
    path = f"/transfers/{house.status().transfer_id}"
    for source in ("switch", "lion", "buffalo"):
        house.say("PUT", path, {"transferState": "ABORTED"}, "buffalo", source=source)
        refused = {"errorInformation": {"errorCode": "3208", "errorDescription": "no"}}
        house.say("PUT", f"{path}/error", refused, "buffalo", source=source)
    house.settle()
    assert house.status().state != "FAILED"
    house.run_until_all_ended()
    assert_completed(house)
    assert payee(house).variables["transferId"] == house.status().transfer_id
    with pytest.raises(FspiopRefusal):
        source_of({"fspiop-source": f"{DIRECTLY}lion"})


def test_two_institutions_pay_each_other_under_the_same_ids_at_once(house, at_lion):
    house.banks["lion"].accounts["A2"].balance = Decimal(300)
    back = msgspec.structs.replace(
        at_lion,
        payer=at_lion.payee,
        payee=msgspec.structs.replace(at_lion.payer, fsp_id="buffalo"),
        amount=Money(2000, "KES"),
    )
    house.weather["direct GET parties"] = ["overtaken"]
    house.pay(at_lion)
    house.pay(back, "lion")
    house.run_until_all_ended()
    assert balances(house) == (Decimal("919.50"), Decimal("380.50"))
    for tenant, amount in (("buffalo", "100.5"), ("lion", "20")):
        entry = payer(house, tenant).variables["clearing"]
        assert (entry["debtorFsp"], entry["amount"]["amount"]) == (tenant, amount)
    for tenant, amount in (("lion", "100.5"), ("buffalo", "20")):
        entry = house.find(PAYEE_QUOTE_TRANSFER, tenant).variables["clearing"]
        assert (entry["creditorFsp"], entry["amount"]["amount"]) == (tenant, amount)


def test_what_is_paid_back_is_cleared_the_other_way(house, at_lion):
    house.pay(at_lion)
    start = StartRefund(
        payment_id="r", idempotency_key="k-2", fingerprint="f", client_id="till", amount=Money(4025, "KES")
    )
    transaction = house.pay_back(start, house.payment)
    house.run_until_all_ended()
    assert balances(house) == (Decimal("939.75"), Decimal("60.25"))
    entry = payer(house, "lion", transaction).variables["clearing"]
    assert (entry["debtorFsp"], entry["creditorFsp"], entry["amount"]["amount"]) == (
        "lion",
        "buffalo",
        "40.25",
    )


@pytest.mark.parametrize("flow", FLOWS, ids=[flow.name for flow in FLOWS])
def test_every_flow_runs_between_institutions_that_pay_each_other_directly(flow, tenants, secrets):
    """Requests to pay and passwords go through the scheme, and the payment that follows does not."""

    def make_house():
        house = House(tenants, secrets)
        house.agree_to_pay_directly()
        return house

    house, result = run(flow, make_house, None, "")
    assert result.wrong == []
    assert "POST transfers" not in house.names()


def both_books(pair):
    return (
        pair.north.banks["buffalo"].accounts["A1"].balance,
        pair.south.banks["lion"].accounts["A2"].balance,
    )


def assert_paid(pair):
    assert pair.north.status().state == "COMPLETED"
    assert both_books(pair) == (Decimal("899.50"), Decimal("100.50"))
    theirs = pair.south.find(PAYEE_QUOTE_TRANSFER, "lion")
    assert theirs.variables["clearing"] == payer(pair.north).variables["clearing"]
    assert list(pair.north.engine.state.outbox()) == list(pair.south.engine.state.outbox()) == []


def assert_agreed(pair):
    """Check that all has ended, paid in both books or in none, and nothing is held; return the outcome."""
    assert not pair.north.running()
    assert not pair.south.running()
    assert pair.north.banks["buffalo"].accounts["A1"].held() == 0
    outcome = pair.north.status().state
    if outcome == "COMPLETED":
        assert_paid(pair)
    else:
        assert both_books(pair) == (Decimal(1000), Decimal(0))
        records = pair.north.instances() + pair.south.instances()
        assert {record.variables.get("clearing") for record in records} == {None}
    return outcome


@pytest.mark.parametrize("way", ["in order", "reversed", "twice"])
def test_between_two_engines_the_hand_over_carries_all(tenants, secrets, at_lion, way):
    ways = {"in order": list, "reversed": lambda said: said[::-1], "twice": lambda said: said * 2}
    pair = TwoEngines(tenants, secrets, ways[way])
    pair.north.pay(at_lion)
    pair.settle()
    assert_paid(pair)
    assert pair.north.sent == pair.south.sent == []


@pytest.mark.parametrize("after", range(1, 7))
@pytest.mark.parametrize("seconds", [15, 45])
def test_while_the_bus_is_down_nothing_is_released_on_a_guess(tenants, secrets, at_lion, after, seconds):
    """It goes down after so many messages; what has waited comes all at once, the youngest first."""
    pair = TwoEngines(tenants, secrets, lambda said: said[::-1])
    deliver = pair._hand_over

    def breaking(origin, owner):
        handed = deliver(origin, owner) if len(pair.handed_over) < after else False
        pair.is_bus_up = len(pair.handed_over) < after
        return handed

    pair._hand_over = breaking
    pair.north.pay(at_lion)
    pair.settle()
    pair.wait(seconds)
    held = pair.north.banks["buffalo"].accounts["A1"].held()
    sent = any(kind == "mojaloop-send-transfer" for _, kind in pair.north.jobs)
    if sent and pair.north.status().state == "PENDING":
        assert held == Decimal("100.50")
    pair._hand_over, pair.is_bus_up = deliver, True
    pair.settle()
    pair.wait(130, step=5)
    assert_agreed(pair)


@pytest.mark.parametrize("name", ["north", "south"])
def test_an_engine_that_goes_down_after_any_job_does_it_again_and_both_books_agree(
    tenants, secrets, at_lion, name
):
    """And its clock is a minute ahead of the other's from then on."""
    quiet = TwoEngines(tenants, secrets)
    quiet.north.pay(at_lion)
    quiet.settle()
    outcomes = []
    for index in range(len(quiet.houses[name].jobs)):
        pair = TwoEngines(tenants, secrets)
        pair.houses[name].crashes.add(index)
        pair.north.pay(at_lion)
        pair.settle()
        pair.wait(130, step=5)
        outcomes.append(assert_agreed(pair))
    assert set(outcomes) == {"COMPLETED", "FAILED"}


def test_a_refusal_while_an_earlier_try_is_on_its_way_releases_nothing(tenants, secrets, at_lion):
    """The first try waits in the outbox, the second is refused, and the question overtakes the first."""
    pair = TwoEngines(
        tenants, secrets, lambda said: sorted(said, key=lambda one: one.name != "transfer-query")
    )
    given, tries = pair.north.give, []

    async def giving(engine_id, callback):
        if callback.name != "transfer-prepare":
            await given(engine_id, callback)
            return
        pair.is_bus_up = bool(tries)
        tries.append(callback)
        if len(tries) == 2:
            pair.is_bus_up = False
            raise FspiopRefusal(400, "3100", "no")
        await given(engine_id, callback)
        if len(tries) == 1:
            raise UnavailableError("engine-stopping", "it is taken, but nobody hears so")

    pair.north.give = giving
    pair.north.pay(at_lion)
    pair.settle()
    pair.wait(12)
    assert len(tries) == 2
    pair.is_bus_up = True
    pair.settle()
    assert pair.handed_over.index("transfer-query") < pair.handed_over.index("transfer-prepare")
    pair.wait(60)
    assert assert_agreed(pair) == "COMPLETED"


def test_what_is_answered_goes_to_the_engine_that_asked_wherever_the_payer_is_placed_by_now(
    tenants, secrets, at_lion
):
    """And once the terms are asked for, the payee's part stays at the engine that was asked, too."""
    pair = TwoEngines(tenants, secrets)
    pair.is_bus_up = False
    pair.north.pay(at_lion)
    asked = pair.north.context.neighbours.give

    async def moving(engine_id, callback):
        await asked(engine_id, callback)
        if callback.name == "quote-request":
            for house in pair.houses.values():
                for fsp, tenant in list(house.tenants.items()):
                    house.tenants[fsp] = msgspec.structs.replace(tenant, placement=["east"], epoch=2)

    pair.north.give = moving
    pair.is_bus_up = True
    pair.settle()
    assert_paid(pair)
