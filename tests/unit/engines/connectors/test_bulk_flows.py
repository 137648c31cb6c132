"""Bulks of payments: each payment has its own end, whatever others say or repeat."""

from decimal import Decimal

import msgspec
import pytest
from support.fspiop_specification import faults
from unit.engines.connectors.bulk_flows import (
    FIRST,
    NEIGHBOUR,
    NOBODY,
    SECOND,
    SHUT,
    bulk_house,
    pay_bulk,
    start_bulk,
    status_of,
    told,
)
from unit.engines.connectors.connector_kit import make_tenant
from unit.engines.connectors.fake_bank import BankAccount

from payhub_engines.connectors.bulk import bulk_variables
from payhub_engines.core.reply import Rejected
from payhub_engines.processes import PAYEE_BULK_QUOTE_TRANSFER, PAYER_BULK_PAYMENT
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.security import jws

TWO = ((FIRST, 3000), (SECOND, 2050))
OTHER = "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def house(tenants, secrets):
    return bulk_house(tenants, secrets)


@pytest.fixture(scope="module")
def rhino(secrets):
    return make_tenant(secrets, "rhino", jws.new_private_key_pem())


@pytest.fixture
def three(tenants, secrets, rhino):
    """A house with a third institution."""
    house = bulk_house({**tenants, "rhino": rhino}, secrets)
    house.banks["rhino"].accounts["R1"] = BankAccount(Decimal(500))
    house.banks["rhino"].parties["MSISDN/254700300001"] = "R1"
    house.switch.numbers["MSISDN/254700300001"] = "rhino"
    return house


def all_sent(house, name):
    return [message for message in house.sent if message.name == name]


def first(house, name):
    return all_sent(house, name)[0]


def code_in(message):
    return message.content["errorInformation"]["errorCode"]


def refused(code):
    return {"errorInformation": {"errorCode": code, "errorDescription": "no"}}


def balances(house):
    accounts = {**house.banks["buffalo"].accounts, **house.banks["lion"].accounts}
    return {name: account.balance for name, account in accounts.items()}


def assert_nothing_moved(house):
    house.weather.clear()
    house.switch.expires = True
    house.run_until_all_ended()
    assert balances(house) == {"A1": 1000, "A3": 0, "A2": 0, "A4": 0, "A5": 0}
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def assert_paid(house):
    house.run_until_all_ended()
    assert told(house) == ["paid", "paid"]
    assert balances(house)["A1"] == Decimal("949.50")
    assert (balances(house)["A2"], balances(house)["A4"]) == (30, Decimal("20.50"))
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def payee_of(house, tenant="lion"):
    [found] = [
        one for one in house.instances() if (one.process, one.tenant) == (PAYEE_BULK_QUOTE_TRANSFER, tenant)
    ]
    return found


def quoted(house, *payments):
    """Let lion quote a bulk, and nothing more of it arrive."""
    house.weather["POST bulkTransfers"] = ["drop"] * 99
    pay_bulk(house, *payments)
    return first(house, "POST bulkTransfers").content


def prepare(house, bulk, **change):
    house.say("POST", "/bulkTransfers", {**bulk, **change}, "lion", source="buffalo")
    house.settle()


def results_of(house):
    results = first(house, "PUT bulkTransfers").content["individualTransferResults"]
    return [one.get("errorInformation", {}).get("errorCode", "fulfilled") for one in results]


def test_each_payment_has_its_own_end(house):
    payments = ((FIRST, 3000), (NOBODY, 700), (SHUT, 100), (NEIGHBOUR, 500), (SECOND, 2050), (FIRST, 100))
    pay_bulk(house, *payments)
    house.run_until_all_ended()
    assert told(house) == ["paid", "3204", "5400", "paid", "paid", "paid"]
    assert status_of(house).state == "COMPLETED"
    assert balances(house) == {
        "A1": Decimal("943.50"),
        "A3": 5,
        "A2": 31,
        "A4": Decimal("20.50"),
        "A5": 0,
    }
    assert house.banks["buffalo"].accounts["A1"].held() == 0
    assert len(all_sent(house, "GET parties")) == 5  # who is paid twice is looked up once
    assert len(all_sent(house, "POST bulkTransfers")) == 1
    [sent] = all_sent(house, "POST bulkTransfers")
    assert len(sent.content["individualTransfers"]) == 3


def test_fees_of_both_sides_are_quoted_for_each(house):
    house.banks["buffalo"].fee, house.banks["lion"].payee_fee = "1.500000", "2.000000"
    pay_bulk(house, *TWO)
    house.run_until_all_ended()
    terms = [one.terms for one in status_of(house).payments]
    assert [(one.payer_fee.amount, one.payee_fee.amount) for one in terms] == [("1.50", "2.00")] * 2
    assert [one.payee_receive_amount.amount for one in terms] == ["28.00", "18.50"]
    assert (balances(house)["A2"], balances(house)["A4"]) == (28, Decimal("18.50"))


def test_what_the_payer_cannot_pay_is_not_sent_and_the_rest_is(house):
    house.banks["buffalo"].accounts["A1"].balance = Decimal(25)
    pay_bulk(house, *TWO)
    house.run_until_all_ended()
    assert told(house) == ["4001", "paid"]
    [sent] = all_sent(house, "POST bulkTransfers")
    assert [one["transferAmount"]["amount"] for one in sent.content["individualTransfers"]] == ["20.5"]
    assert balances(house)["A1"] == Decimal("4.50")


def test_a_bulk_of_which_nothing_can_be_paid_ends_before_it_is_sent(house):
    house.banks["buffalo"].accounts["A1"].balance = Decimal(1)
    pay_bulk(house, *TWO)
    house.run_until_all_ended()
    assert (told(house), status_of(house).state) == (["4001", "4001"], "FAILED")
    assert all_sent(house, "POST bulkTransfers") == []


def test_payments_to_two_institutions_are_two_bulks_and_one_fails_alone(three):
    three.weather["POST bulkQuotes"] = ["", "drop"]
    pay_bulk(three, (FIRST, 3000), ("254700300001", 700), (SECOND, 2050))
    three.run_until_all_ended()
    assert told(three) == ["paid", "2004", "paid"]
    quotes = [message.content for message in all_sent(three, "POST bulkQuotes")]
    assert [len(quote["individualQuotes"]) for quote in quotes] == [2, 1]
    assert len({quote["bulkQuoteId"] for quote in quotes}) == 2
    assert three.banks["rhino"].accounts["R1"].balance == 500


def test_a_payment_is_over_for_its_payer_while_others_are_open(three):
    three.switch.decides = False
    pay_bulk(three, (FIRST, 3000), (SHUT, 100), ("254700300001", 700), (NEIGHBOUR, 500))
    assert told(three) == ["pending", "5400", "pending", "paid"]
    assert status_of(three).state == "PENDING"
    three.switch.decides = True
    three.run_until_all_ended()
    assert told(three) == ["paid", "5400", "paid", "paid"]


def test_who_is_said_to_bank_elsewhere_is_not_paid(house):
    start = start_bulk(house.payment, *TWO)
    payee = PartyIdInfo(party_id_type="MSISDN", party_identifier=FIRST, fsp_id="rhino")
    payments = [msgspec.structs.replace(start.payments[0], payee=payee), start.payments[1]]
    start = msgspec.structs.replace(start, payments=payments)
    house.begin(
        PAYER_BULK_PAYMENT, "buffalo", start.payment_id, bulk_variables(start, house.tenants["buffalo"])
    )
    house.run_until_all_ended()
    assert told(house) == ["3204", "paid"]


def test_a_bulk_whose_own_time_is_over_is_not_sent(house):
    house.weather["PUT bulkQuotes"] = ["late"]
    pay_bulk(house, *TWO, expires_at_ms=house.engine.now_ms + 10_000)
    house.run_until_all_ended()
    assert told(house) == ["3303", "3303"]
    assert_nothing_moved(house)


def test_the_same_bulk_again_is_the_same(house):
    pay_bulk(house, *TWO)
    pay_bulk(house, *TWO)
    assert_paid(house)
    assert len(all_sent(house, "POST bulkTransfers")) == 1


@pytest.mark.parametrize(
    ("source", "codes"), [("lion", ["5103"] * 2), ("switch", ["5103"] * 2), ("rhino", None)]
)
def test_a_bulk_quote_is_refused_by_who_may(house, source, codes):
    house.weather["PUT bulkQuotes"] = ["drop"]
    pay_bulk(house, *TWO)
    genuine = first(house, "PUT bulkQuotes")
    house.say("PUT", f"{genuine.path}/error", refused("5103"), "buffalo", source=source)
    if source == "rhino":
        house.say("PUT", genuine.path, genuine.content, "buffalo", source="rhino")
    house.settle()
    if codes is None:
        assert told(house) == ["pending", "pending"]
        house.switch.forward("buffalo", genuine)
        assert_paid(house)
    else:
        assert told(house) == codes
        assert_nothing_moved(house)


def test_terms_that_are_not_as_asked_for_are_refused_for_themselves(house):
    house.weather["PUT bulkQuotes"] = ["drop"]
    pay_bulk(house, (FIRST, 3000), (SECOND, 2050), (FIRST, 100))
    genuine = first(house, "PUT bulkQuotes")
    one, other, _ = genuine.content["individualQuoteResults"]
    dearer = {**one, "transferAmount": {"amount": "31", "currency": "KES"}}
    house.say(
        "PUT",
        genuine.path,
        {**genuine.content, "individualQuoteResults": [dearer, {**other, "ilpPacket": one["ilpPacket"]}]},
        "buffalo",
        source="lion",
    )
    house.settle()
    assert told(house) == ["4100", "4100", "5103"]
    assert_nothing_moved(house)


def test_a_bulk_quote_asked_for_again_gets_the_same_answer(house):
    quoted(house, *TWO)
    house.switch.forward("lion", first(house, "POST bulkQuotes"))
    house.settle()
    one, again = all_sent(house, "PUT bulkQuotes")
    assert one.body == again.body
    house.engine.advance(1)
    house.say("GET", one.path, {}, "lion", source="switch")
    house.settle()
    assert all_sent(house, "PUT bulkQuotes")[2].body == one.body
    house.weather.clear()
    assert_paid(house)


@pytest.mark.parametrize("source", ["buffalo", "rhino"])
def test_other_contents_under_a_bulk_quote_are_refused_and_the_quotes_stand(house, source):
    quoted(house, *TWO)
    asked = first(house, "POST bulkQuotes").content
    if source == "buffalo":
        asked["individualQuotes"] = asked["individualQuotes"][:1]
    house.say("POST", "/bulkQuotes", asked, "lion", source=source)
    house.settle()
    told_to = first(house, "PUT bulkQuotes error")
    assert (code_in(told_to), told_to.headers["fspiop-destination"]) == ("3106", source)
    assert len(all_sent(house, "PUT bulkQuotes")) == 1
    house.weather.clear()
    assert_paid(house)


def test_a_bulk_prepared_again_is_fulfilled_again(house):
    house.switch.decides = False
    pay_bulk(house, *TWO)
    house.switch.forward("lion", first(house, "POST bulkTransfers"))
    house.settle()
    house.engine.advance(1)
    bulk_id = first(house, "POST bulkTransfers").content["bulkTransferId"]
    house.say("GET", f"/bulkTransfers/{bulk_id}", {}, "lion", source="switch")
    house.settle()
    assert len({message.body for message in all_sent(house, "PUT bulkTransfers")}) == 1
    assert len(all_sent(house, "PUT bulkTransfers")) == 3
    house.switch.decides = True
    assert_paid(house)


@pytest.mark.parametrize("bulk_id", ["", OTHER])
def test_another_bulk_with_the_same_quotes_is_refused_and_changes_nothing(house, bulk_id):
    house.switch.decides = False
    pay_bulk(house, *TWO)
    bulk = first(house, "POST bulkTransfers").content
    other = {**bulk, "individualTransfers": bulk["individualTransfers"][:1]}
    house.weather["PUT bulkTransfers error"] = ["drop"]
    prepare(house, other, bulkTransferId=bulk_id or bulk["bulkTransferId"])
    answer = first(house, "PUT bulkTransfers error")
    assert code_in(answer) == "3106"
    assert answer.path == f"/bulkTransfers/{bulk_id or bulk['bulkTransferId']}/error"
    assert payee_of(house).variables["bulkTransferId"] == bulk["bulkTransferId"]
    house.switch.decides = True
    assert_paid(house)


FORGED = {
    "error": ("/error", refused("5104")),
    "unknown": ("/error", refused("3210")),
    "rejected": ("", {"bulkTransferState": "REJECTED"}),
    "completed": ("", {"bulkTransferState": "COMPLETED"}),
}


@pytest.mark.parametrize("case", FORGED)
def test_an_outcome_told_by_somebody_else_decides_nothing(house, case):
    house.switch.decides = False
    pay_bulk(house, *TWO)
    path, body = FORGED[case]
    [bulk_id] = house.switch.bulks
    ids_of = [one["transferId"] for one in first(house, "POST bulkTransfers").content["individualTransfers"]]
    if case == "completed":
        rows = [{"transferId": one, "fulfilment": "A" * 43} for one in ids_of]
        body = {**body, "individualTransferResults": rows}
    for victim, method in (("buffalo", "PUT"), ("lion", "PUT"), ("lion", "PATCH")):
        house.say(method, f"/bulkTransfers/{bulk_id}{path}", body, victim, source="rhino")
    house.settle()
    assert told(house) == ["pending", "pending"]
    assert house.banks["buffalo"].accounts["A1"].held() == Decimal("50.50")
    assert payee_of(house).ended_at_ms is None
    assert (balances(house)["A2"], balances(house)["A4"]) == (0, 0)
    house.switch.decides = True
    assert_paid(house)


def test_results_that_name_only_some_settle_those_and_leave_the_rest_open(house):
    house.weather["PUT bulkTransfers"] = ["silent"]
    pay_bulk(house, *TWO)
    genuine = first(house, "PUT bulkTransfers")
    some = {**genuine.content, "individualTransferResults": genuine.content["individualTransferResults"][:1]}
    house.say("PUT", genuine.path, some, "buffalo", source="switch")
    house.say("PUT", genuine.path, some, "lion", source="switch")
    house.settle()
    assert told(house) == ["paid", "pending"]
    assert house.banks["buffalo"].accounts["A1"].held() == Decimal("20.50")
    assert (balances(house)["A2"], balances(house)["A4"]) == (30, 0)
    assert_paid(house)


def test_a_scheme_that_tells_the_payee_by_patch_is_heard(house):
    house.switch.tells_payees = True
    pay_bulk(house, *TWO)
    assert (balances(house)["A2"], balances(house)["A4"]) == (30, Decimal("20.50"))
    assert all_sent(house, "GET bulkTransfers") == []
    assert_paid(house)


@pytest.mark.parametrize(("state", "fulfilled"), [("ACCEPTED", 2), ("PROCESSING", 1)])
def test_a_scheme_that_has_no_fulfilments_gets_them_again_and_one_that_works_on_them_does_not(
    house, state, fulfilled
):
    house.weather["PUT bulkTransfers"] = ["drop"]
    pay_bulk(house, *TWO)
    path = first(house, "PUT bulkTransfers").path
    house.say("PUT", path, {"bulkTransferState": state}, "lion", source="switch")
    house.settle()
    assert len(all_sent(house, "PUT bulkTransfers")) == fulfilled
    assert_paid(house)


def test_an_account_that_is_shut_after_the_quote_is_refused_for_itself(house):
    bulk = quoted(house, *TWO)
    house.banks["lion"].accounts["A2"].sub_status = "BLOCK"
    house.weather.clear()
    prepare(house, bulk)
    assert results_of(house) == ["5400", "fulfilled"]
    house.run_until_all_ended()
    assert told(house) == ["5400", "paid"]
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def test_a_bulk_of_which_nothing_can_be_credited_is_rejected(house):
    house.weather["POST bulkTransfers"] = ["late"]
    pay_bulk(house, *TWO)
    for account in ("A2", "A4"):
        house.banks["lion"].accounts[account].sub_status = "BLOCK"
    house.wait(16)
    assert first(house, "PUT bulkTransfers").content["bulkTransferState"] == "REJECTED"
    assert payee_of(house).variables["paymentState"] == "FAILED"
    house.run_until_all_ended()
    assert told(house) == ["5400", "5400"]
    assert_nothing_moved(house)


def test_transfers_that_are_not_as_quoted_are_refused_for_themselves(house):
    bulk = quoted(house, (FIRST, 3000), (SECOND, 2050), (FIRST, 100), (SECOND, 200), (FIRST, 300))
    one, other, third, fourth, fifth = bulk["individualTransfers"]
    changed = [
        {**one, "transferAmount": {"amount": "300", "currency": "KES"}},
        {**other, "condition": "B" * 43},
        third,
        {**fourth, "ilpPacket": third["ilpPacket"], "condition": third["condition"]},
        {**fifth, "ilpPacket": fifth["ilpPacket"][:-8] + "AAAAAAAA"},
    ]
    house.weather["PUT bulkTransfers"] = ["drop"]
    prepare(house, bulk, individualTransfers=changed)
    assert results_of(house) == ["3106", "3106", "fulfilled", "3106", "3205"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"payerFsp": "rhino"}, "3106"),
        ({"payeeFsp": "rhino"}, "3106"),
        ({"expiration": "2020-01-01T00:00:00.000Z"}, "3303"),
        ({"doubled": True}, "3101"),
    ],
)
def test_a_bulk_that_is_wrong_as_a_whole_is_refused_as_a_whole(house, change, code):
    bulk = quoted(house, *TWO)
    if change.pop("doubled", False):
        change = {"individualTransfers": bulk["individualTransfers"][:1] * 2}
    prepare(house, bulk, **change)
    assert code_in(first(house, "PUT bulkTransfers error")) == code
    assert payee_of(house).variables["paymentState"] == "FAILED"
    assert_nothing_moved(house)


def test_a_bulk_that_comes_after_its_quotes_expired_is_refused(house):
    bulk = quoted(house, *TWO)
    house.engine.now_ms += 31_000  # the machine's clock jumps; the quotes' timer has not fired yet
    house.say(
        "POST",
        "/bulkTransfers",
        {**bulk, "expiration": iso(house.engine.now_ms + 20_000)},
        "lion",
        source="buffalo",
    )
    house.settle()
    assert code_in(first(house, "PUT bulkTransfers error")) == "3302"
    assert_nothing_moved(house)


def test_two_payees_may_be_asked_under_the_same_ids(three):
    """Who chooses its ids badly, or wants to see what happens, harms nobody."""
    three.switch.decides = False
    pay_bulk(three, *TWO)
    quote, bulk = first(three, "POST bulkQuotes").content, first(three, "POST bulkTransfers").content
    three.weather["PUT bulkQuotes"] = ["drop"]
    three.weather["PUT bulkTransfers"] = ["drop"]
    three.say("POST", "/bulkQuotes", quote, "rhino", source="lion")
    three.settle()
    three.say(
        "POST", "/bulkTransfers", {**bulk, "payerFsp": "lion", "payeeFsp": "rhino"}, "rhino", source="lion"
    )
    three.settle()
    assert all_sent(three, "PUT bulkQuotes")[-1].headers["fspiop-source"] == "rhino"
    assert payee_of(three, "rhino").variables["paymentState"] == "FAILED"  # they are no members there
    assert payee_of(three).ended_at_ms is None
    three.switch.decides = True
    assert_paid(three)


def test_the_same_bulk_of_two_payers_is_two(three):
    """Channels of two institutions may choose the same key; here even the derived ids are the same."""
    pay_bulk(three, *TWO)
    three.run_until_all_ended()
    start = start_bulk(three.payment, *TWO)
    payer = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700300001")
    start = msgspec.structs.replace(start, payer=payer)
    reply = three.begin(
        PAYER_BULK_PAYMENT, "rhino", start.payment_id, bulk_variables(start, three.tenants["rhino"])
    )
    assert not isinstance(reply, Rejected)
    three.run_until_all_ended()
    assert len(three.switch.bulks) == 2
    assert len({quote.content["bulkQuoteId"] for quote in all_sent(three, "POST bulkQuotes")}) == 2
    assert [one.state for one in status_of(three, "rhino").payments] == ["COMPLETED"] * 2
    assert three.banks["rhino"].accounts["R1"].balance == Decimal("449.50")


def test_terms_that_were_given_are_given_again_and_fulfilled_whatever_secret_is_new(tenants, secrets):
    house = bulk_house(dict(tenants), secrets)
    bulk = quoted(house, *TWO)
    lion = house.tenants["lion"]
    newer = [secrets.seal("another secret", "ilp:lion"), *lion.ilp_secrets_sealed]
    house.tenants["lion"] = msgspec.structs.replace(lion, ilp_secrets_sealed=newer)
    house.switch.forward("lion", first(house, "POST bulkQuotes"))
    house.settle()
    one, again = all_sent(house, "PUT bulkQuotes")
    assert one.body == again.body
    assert bulk["individualTransfers"][0]["condition"] in one.body.decode()
    house.weather.clear()
    assert_paid(house)


SCHEMES = {
    "1.0": {"versions": ("1.0",)},
    "1.1": {"versions": ("1.1",), "ilp_version": 4},
    "2.0": {"versions": ("2.0",), "iso20022": True},
}


@pytest.mark.parametrize("version", SCHEMES)
def test_every_message_is_as_the_specification_has_it(tenants, secrets, version):
    """Bulks have no ISO 20022 form: where the scheme uses that, they are FSPIOP's own."""
    spoken = {
        fsp: msgspec.structs.replace(
            tenant, scheme=msgspec.structs.replace(tenant.scheme, **SCHEMES[version])
        )
        for fsp, tenant in tenants.items()
    }
    house = bulk_house(spoken, secrets)
    house.banks["lion"].payee_fee = "2.000000"
    pay_bulk(house, *TWO, (SHUT, 100))
    house.run_until_all_ended()
    bulks = [message for message in house.sent if "bulk" in message.name]
    assert [message.name for message in bulks] == [
        "POST bulkQuotes",
        "PUT bulkQuotes",
        "POST bulkTransfers",
        "PUT bulkTransfers",
        "GET bulkTransfers",
    ]
    for message in bulks:
        body = message.content or None
        assert faults(version, message.method, message.path, message.headers, body) == []
