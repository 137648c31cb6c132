"""Limits and own fees of an institution: each payment of a bulk is held against them as a single one is."""

import itertools
from collections import Counter
from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.bulk_flows import (
    BULK_FLOWS,
    FIRST,
    NEIGHBOUR,
    SECOND,
    bulk_house,
    pay_bulk,
    start_bulk,
    status_of,
    told,
)
from unit.engines.connectors.flow_troubles import points, run, troubles_of
from unit.engines.connectors.process_house import engine_with_processes
from unit.engines.connectors.test_limited_payments import LIMITS, counted
from unit.engines.connectors.test_service_fees import FEES

from payhub_engines.connectors.bulk import bulk_variables
from payhub_engines.connectors.variables import NOTE_CHARACTERS_MAX
from payhub_engines.core import usage
from payhub_platform import ids
from payhub_platform.contracts.bulk_payments import BULK_PAYMENTS_MAX
from payhub_platform.money import Money

ELSEWHERE, ON_US = [(FIRST, 3000), (SECOND, 2050), (FIRST, 1000)], [(NEIGHBOUR, 3000), (NEIGHBOUR, 2050)] * 2


@pytest.fixture
def make_house(tenants, secrets):
    def made(**changed):
        limits = msgspec.structs.replace(LIMITS, **changed)
        limited = {name: msgspec.structs.replace(one, limits=limits) for name, one in tenants.items()}
        return bulk_house(limited, secrets)

    return made


def pay(house, payments, number=0, **change):
    fsp = "buffalo" if payments[0][0] == NEIGHBOUR else None
    if number:
        house.payment = house.payment[:-1] + str(number)
    pay_bulk(house, *payments, fsp=fsp, **change)


def limits_told(house):
    return [one.error.limit if one.error else one.state for one in status_of(house).payments]


def minor(told):
    return Money.parse(told.amount, told.currency).minor


def held(house):
    return house.banks["buffalo"].accounts["A1"].held()


@pytest.mark.parametrize("payments", [ELSEWHERE, ON_US], ids=["elsewhere", "on-us"])
@pytest.mark.parametrize(
    ("changed", "limit", "paid"),
    [
        ({"per_payment_minor": 2_999}, "payment", None),
        ({"per_day_minor": 5_050}, "day", 2),
        ({"per_member_day_minor": 5_050}, "member-day", 2),
        ({"velocity_payments": 2}, "velocity", 2),
    ],
)
def test_payments_within_the_limits_are_paid_and_the_others_refused_each_for_itself(
    make_house, payments, changed, limit, paid
):
    house = make_house(**changed)
    pay(house, payments)
    house.run_until_all_ended()
    if paid is None:
        expected = [limit if minor > 2_999 else "COMPLETED" for _, minor in payments]
    else:
        expected = ["COMPLETED"] * paid + [limit] * (len(payments) - paid)
    assert limits_told(house) == expected
    moved = sum(minor for (_, minor), one in zip(payments, expected, strict=True) if one == "COMPLETED")
    assert (counted(house), counted(house, "A1")) == (moved, moved)
    assert house.banks["buffalo"].accounts["A1"].balance == Decimal(1000) - Decimal(moved) / 100
    assert held(house) == 0


@pytest.mark.parametrize("payments", [ELSEWHERE, ON_US], ids=["elsewhere", "on-us"])
def test_what_one_bulk_has_taken_the_next_cannot(make_house, payments):
    house = make_house(per_member_day_minor=sum(minor for _, minor in payments), velocity_payments=99)
    pay(house, payments)
    house.run_until_all_ended()
    pay(house, payments, 1)
    house.run_until_all_ended()
    assert limits_told(house) == ["member-day"] * len(payments)


@pytest.mark.parametrize("payments", [ELSEWHERE, ON_US], ids=["elsewhere", "on-us"])
def test_what_the_payers_bank_does_not_hold_counts_no_more(make_house, payments):
    house = make_house()
    house.banks["buffalo"].accounts["A1"].balance = Decimal(30)
    pay(house, payments)
    house.run_until_all_ended()
    assert told(house) == ["paid"] + ["4001"] * (len(payments) - 1)
    assert counted(house) == counted(house, "A1") == 3_000


def test_what_the_scheme_refuses_or_lets_expire_counts_no_more(make_house):
    house = make_house()
    house.weather["PUT bulkTransfers"] = ["drop"] * 99
    house.switch.expires = True
    pay(house, ELSEWHERE)
    assert counted(house) == 6_050  # its outcome is not known
    house.run_until_all_ended()
    assert set(told(house)) == {"3303"}
    assert counted(house) == counted(house, "A1") == 0


def test_limits_are_by_currency_and_where_one_has_some_the_others_may_have_none(make_house):
    house = make_house()
    start = start_bulk(house.payment, (FIRST, 3000), (SECOND, 2050))
    dollars = msgspec.structs.replace(start.payments[1], amount=Money(2050, "USD"))
    mixed = msgspec.structs.replace(start, payments=[start.payments[0], dollars])
    limits = bulk_variables(mixed, house.tenants["buffalo"])["limits"]
    assert limits["KES"] == msgspec.to_builtins(LIMITS)
    assert limits["USD"]["per_payment_minor"] == 0
    free = msgspec.structs.replace(house.tenants["buffalo"], limits=None)
    assert "limits" not in bulk_variables(mixed, free)


@pytest.mark.parametrize("payments", [ELSEWHERE, ON_US], ids=["elsewhere", "on-us"])
def test_own_fees_are_held_and_taken_for_each(tenants, secrets, payments):
    charging = {name: msgspec.structs.replace(one, fees=FEES) for name, one in tenants.items()}
    house = bulk_house(charging, secrets)
    pay(house, payments)
    house.run_until_all_ended()
    assert told(house) == ["paid"] * len(payments)
    paid = Decimal(sum(minor for _, minor in payments)) / 100
    fees = 5 * len(payments)  # by the tariff below 100
    assert house.banks["buffalo"].accounts["A1"].balance == 1000 - paid - fees
    assert {Decimal(one.terms.payer_fee.amount) for one in status_of(house).payments} == {5}
    assert held(house) == 0


@pytest.mark.parametrize("flow", BULK_FLOWS, ids=[flow.name for flow in BULK_FLOWS])
def test_whatever_happens_to_bank_or_engine_what_was_paid_counts_once_and_nothing_else(
    tenants, secrets, flow
):
    engine, numbers, wrong = engine_with_processes(), itertools.count(), []
    strict = {name: msgspec.structs.replace(one, limits=LIMITS, fees=FEES) for name, one in tenants.items()}

    def make_house():
        return bulk_house(strict, secrets, engine, ids.derive("limits", str(next(numbers))))

    for point in points(flow, make_house):
        if point.kind == "message":
            continue
        for trouble in troubles_of(point):
            engine.now_ms += usage.DAY_MS  # what the one before has paid does not count today
            house, result = run(flow, make_house, point, trouble)
            payments = status_of(house).payments
            paid = [minor(one.terms.transfer_amount) for one in payments if one.state == "COMPLETED"]
            if counted(house) != sum(paid) or counted(house, "A1") != sum(paid):
                result.wrong.append(f"{counted(house)} counts, {paid} was paid")
            wrong += [f"{point.shown}, {trouble}: {text}" for text in result.wrong]
    assert wrong == []


@pytest.mark.parametrize("number", [FIRST, NEIGHBOUR], ids=["elsewhere", "on-us"])
def test_the_largest_bulk_fits_with_limits_and_fees_and_its_messages_are_answered_again(
    tenants, secrets, number
):
    limits = msgspec.structs.replace(
        LIMITS, per_day_minor=9_900, per_member_day_minor=9_900, velocity_payments=100
    )
    strict = {name: msgspec.structs.replace(one, limits=limits, fees=FEES) for name, one in tenants.items()}
    house = bulk_house(strict, secrets)
    fsp = "buffalo" if number == NEIGHBOUR else None
    start = start_bulk(house.payment, *[(number, 100)] * BULK_PAYMENTS_MAX, fsp=fsp)
    noted = [msgspec.structs.replace(one, note="€" * NOTE_CHARACTERS_MAX) for one in start.payments]
    pay_bulk(house, *[(number, 100)] * BULK_PAYMENTS_MAX, fsp=fsp, payments=noted)
    house.run_until_all_ended()
    assert house.running() == []
    assert Counter(told(house)) == {"paid": 99, "4200": 1}
    assert (counted(house), held(house)) == (9_900, 0)
    for asked in [one for one in house.sent if one.name in ("POST bulkQuotes", "POST bulkTransfers")]:
        house.engine.advance(1)
        house.say("POST", asked.path, asked.content, "lion", source="buffalo")
        house.settle()
        assert house.sent[-1].name == asked.name.replace("POST", "PUT")
    assert house.refused == []
