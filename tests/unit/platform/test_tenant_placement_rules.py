"""Where a payment begins under one epoch, and who may have begun it under another."""

import pytest
from unit.gateway.gateway_kit import tenant_config

from payhub_platform import ids
from payhub_platform.contracts.tenant import FormerEngine

PAYMENTS = [ids.payment_id("lion", "app", str(number)) for number in range(5_000)]


@pytest.mark.parametrize("weights", [[60, 40], [0, 100], [100, 0], [1, 99]])
def test_payments_are_spread_by_their_ids_as_weights_say(weights: list[int]):
    tenant = tenant_config("lion", [], placement=["north", "south"], weights=weights)
    begun = [tenant.engine_of(payment) for payment in PAYMENTS]
    assert begun == [tenant.engine_of(payment) for payment in PAYMENTS]
    for engine, weight in zip(tenant.placement, weights, strict=True):
        assert abs(100 * begun.count(engine) / len(begun) - weight) < 3
        assert weight or engine not in begun


def test_without_weights_all_begin_at_home():
    tenant = tenant_config("lion", [], placement=["north", "south"])
    assert {tenant.engine_of(payment) for payment in PAYMENTS} == {"north"}
    assert tenant.begins == ["north"]


def test_who_is_asked_and_who_may_wait():
    former = [FormerEngine(engine=each, is_drained=each == "south") for each in ("south", "west", "north")]
    tenant = tenant_config("lion", [], placement=["north", "east"], weights=[0, 100], former=former)
    assert tenant.begins == ["north", "east"]
    assert tenant.formers(but="north") == ["south", "west"]
    assert tenant.undrained(but="east") == ["west", "north"]
    assert tenant.open_engines(but="east") == ["north", "west"]
