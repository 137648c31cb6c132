"""The story of the demonstration is one that can come true."""

import pytest

from payhub_cli.demo import story
from payhub_cli.profiles import ENGINES
from payhub_sandbox.seed import BANKS

MEMBERS = {member.msisdn: (bank, member) for bank in BANKS for member in bank.members}


def test_there_are_twenty_payments_with_keys_of_their_own():
    keys = [payment.key for payment in story.payments()]
    assert len(keys) == len(set(keys)) == 20


def test_every_kind_of_wrong_is_there_once():
    reasons = sorted(payment.why for payment in story.payments() if payment.why)
    assert reasons == ["expired quote", "insufficient funds", "payee rejects", "unknown party"]


@pytest.mark.parametrize("payment", story.payments(), ids=lambda payment: payment.key)
def test_payers_and_payees_are_members_of_the_sandbox(payment: story.PlannedPayment):
    payer_bank, _ = MEMBERS[payment.payer]
    assert payer_bank.fsp_id == story.PAYER_FSP
    if payment.payee_fsp:
        payee_bank, _ = MEMBERS[payment.payee]
        assert payee_bank.fsp_id == payment.payee_fsp != story.PAYER_FSP
    else:
        assert payment.payee not in MEMBERS


def test_all_three_other_institutions_are_paid():
    paid = {payment.payee_fsp for payment in story.payments() if payment.outcome == "COMPLETED"}
    assert paid == {"lion", "rhino", "elephant"}


def test_only_the_poor_member_runs_out_of_money():
    spent: dict[str, int] = {}
    for payment in story.payments():
        spent[payment.payer] = spent.get(payment.payer, 0) + payment.amount.minor
    over = {
        payer for payer, minor in spent.items() if minor > int(MEMBERS[payer][1].balance.replace(".", ""))
    }
    assert over == {payment.payer for payment in story.payments() if payment.why == "insufficient funds"}


def test_the_rejecting_payee_is_the_blocked_member():
    (rejected,) = [payment for payment in story.payments() if payment.why == "payee rejects"]
    assert MEMBERS[rejected.payee][1].sub_status == "BLOCK_CREDIT"


def test_the_delayed_quote_expires_before_the_payer_stops_waiting():
    callback_wait_ms = 10_000
    assert story.SHORT_QUOTE_VALIDITY_MS < story.QUOTE_DELAY_MS < callback_wait_ms - 2_000


def test_each_institution_has_a_home_engine_and_another():
    assert set(story.PLACEMENTS) == {bank.fsp_id for bank in BANKS} == set(story.NAMES)
    for placement in story.PLACEMENTS.values():
        assert sorted(placement) == sorted(ENGINES["full"])
    homes = [placement[0] for placement in story.PLACEMENTS.values()]
    assert homes.count("north") == homes.count("south") == 2


def test_movements_net_to_zero():
    completed = [payment for payment in story.payments() if payment.outcome == "COMPLETED"]
    moved = story.movements(completed)
    assert sum(moved.values()) == 0
    assert moved[story.msisdn("lion", 1)] == 15_000 + 200_000
