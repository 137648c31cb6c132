"""Whole payments between two banks that speak the AMS contract, through the same process files."""

from decimal import Decimal

import msgspec
import pytest
from support.contract_bank import ContractAccount, ContractBank
from unit.engines.connectors.process_house import House


@pytest.fixture
def house(tenants, secrets):
    own = {
        name: msgspec.structs.replace(
            tenant,
            ams=msgspec.structs.replace(
                tenant.ams, kind="contract", base_url=f"http://{name}.test/payhub", platform_tenant=""
            ),
        )
        for name, tenant in tenants.items()
    }
    house = House(own, secrets)
    house.banks = {
        "buffalo": ContractBank(
            accounts={"A1": ContractAccount(Decimal(1000))}, identifiers={"MSISDN/254700200001": "A1"}
        ),
        "lion": ContractBank(
            accounts={"A2": ContractAccount(Decimal(0))}, identifiers={"MSISDN/254700100001": "A2"}
        ),
    }
    return house


def assert_books(house, state, payer, payee):
    assert house.status().state == state
    account = house.banks["buffalo"].accounts["A1"]
    assert (account.balance, account.held) == (Decimal(payer), Decimal(0))
    assert house.banks["lion"].accounts["A2"].balance == Decimal(payee)


def test_a_payment_completes(house, request_to_pay):
    house.pay(request_to_pay)
    assert_books(house, "COMPLETED", "899.50", "100.50")


@pytest.mark.parametrize("fault", ["lose_answers", "late"])
def test_answers_that_do_not_come_double_nothing(house, request_to_pay, fault):
    for bank in house.banks.values():
        setattr(bank, fault, 2)
    house.pay(request_to_pay)
    house.wait(90)
    for bank in house.banks.values():
        bank.catch_up()
    assert_books(house, "COMPLETED", "899.50", "100.50")


def test_what_is_delivered_twice_is_done_once(house, request_to_pay):
    for bank in house.banks.values():
        bank.doubled = True
    house.pay(request_to_pay)
    assert_books(house, "COMPLETED", "899.50", "100.50")


def test_a_payer_without_money_is_refused(house, request_to_pay):
    house.banks["buffalo"].accounts["A1"].balance = Decimal("100.49")
    house.pay(request_to_pay)
    assert_books(house, "FAILED", "100.49", "0")
    assert house.status().error.code == "4001"


def test_a_payee_who_cannot_receive_costs_the_payer_nothing(house, request_to_pay):
    house.banks["lion"].accounts["A2"].may_receive = False
    house.pay(request_to_pay)
    assert_books(house, "FAILED", "1000", "0")
    assert house.status().error.code == "5400"
