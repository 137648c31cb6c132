"""`payhub bench payments` finds what was lost and what was done twice, and says what it measured."""

import asyncio
import json
from array import array

import pytest

from payhub_cli.bench.load import Load, Plan
from payhub_cli.bench.payments.bank import Booking, Books
from payhub_cli.bench.payments.channel import PAYER, drive, payee_of
from payhub_cli.bench.payments.report import PaymentFigures, as_json, text, with_peer
from payhub_cli.bench.payments.verdict import is_settled, judge

KEYS = {
    "payments_per_s",
    "p50_ms",
    "p99_ms",
    "engine_cpu_ms_per_payment",
    "gateway_cpu_ms_per_payment",
    "peer_payments_per_s",
    "peer_cpu_ms_per_payment",
    "signed",
    "replicas",
    "lost",
    "duplicated",
}


def booking(payment, reference="", state="COMMITTED", amount="100"):
    money = {"amount": amount, "currency": "KES"}
    named = reference or f"r-{payment}"
    return Booking(reference=named, transaction_id=payment, account_id="A1", amount=money, state=state)


def judged(debits, credits_, *, completed=("p",), failed=(), accepted=("p",), is_credited=True):
    books = Books(debits, credits_)
    return judge(set(accepted), set(failed), set(completed), books, "100", is_credited=is_credited)


def test_one_debit_and_one_credit_are_right():
    found = judged([booking("p"), booking("p", "r2", "RELEASED")], [booking("p")])
    assert (found.lost, found.duplicated, found.examples) == (0, 0, [])
    assert judged([booking("p")], [], is_credited=False).lost == 0


@pytest.mark.parametrize(
    ("debits", "credits_", "completed"),
    [
        ([booking("p")], [booking("p")], ()),  # no end
        ([], [booking("p")], ("p",)),
        ([booking("p")], [], ("p",)),
        ([booking("p", state="HELD")], [booking("p")], ("p",)),
    ],
)
def test_what_has_no_end_or_not_its_money_is_lost(debits, credits_, completed):
    found = judged(debits, credits_, completed=completed)
    assert (found.lost, found.duplicated) == (1, 0)


@pytest.mark.parametrize(
    ("debits", "credits_"),
    [
        ([booking("p"), booking("p", "r2")], [booking("p")]),
        ([booking("p")], [booking("p"), booking("p", "r2")]),
        ([booking("p", amount="99")], [booking("p")]),
    ],
)
def test_what_moved_more_than_once_or_otherwise_is_doubled(debits, credits_):
    found = judged(debits, credits_)
    assert (found.lost, found.duplicated) == (0, 1)


def test_a_refused_payment_moves_nothing():
    assert judged([booking("p", state="RELEASED")], [], completed=(), failed=("p",)).duplicated == 0
    assert judged([booking("p")], [], completed=(), failed=("p",)).duplicated == 1


def test_the_books_are_settled_when_every_payee_has_got_the_money():
    books = Books([booking("p"), booking("q")], [booking("p")])
    assert not is_settled({"p", "q"}, books, is_credited=True)
    assert is_settled({"p", "q"}, books, is_credited=False)
    assert is_settled({"p"}, books, is_credited=True)


def test_payees_follow_one_another_and_are_never_the_payer():
    payees = [payee_of(f"x-load-{number}") for number in range(1, 10_001)]
    assert len(set(payees)) == 10_000
    assert PAYER not in payees
    assert {len(each) for each in payees} == {len(PAYER)}


def test_a_load_keeps_so_many_under_way_and_ends_with_the_last():
    load = Load(Plan("x", "", 60.0, in_flight=3, payments_max=10))
    most = 0

    async def pay(payment: str) -> None:
        nonlocal most
        most = max(most, len(load.due_at))
        await asyncio.sleep(0)
        load.complete(payment, load.began_at + 1.0)

    asyncio.run(drive(load, pay))
    assert (load.completed, load.due_at) == (10, {})
    assert 1 <= most <= 3


def test_what_a_payment_raises_ends_the_load():
    async def pay(payment: str) -> None:
        raise ValueError(payment)

    with pytest.raises(ValueError, match="x-1"):
        asyncio.run(drive(Load(Plan("x", "", 60.0, in_flight=1)), pay))


def figures(**changes):
    values = {
        "payments": 100,
        "seconds": 2.0,
        "payments_per_s": 50.0,
        "p50_ms": 10.04,
        "p99_ms": 20.0,
        "engine_cpu_ms_per_payment": 1.23456,
        "gateway_cpu_ms_per_payment": 0.5,
        "scheme_cpu_ms_per_payment": 0.5,
        "nats_cpu_ms_per_payment": 0.1,
        "client_cpu_ms_per_payment": 0.4,
        "signed": True,
        "replicas": 3,
        "in_flight": 64,
        "payee": "payhub",
        "refusals": 0,
        "failed": 0,
        "lost": 0,
        "duplicated": 0,
        "undelivered": 0,
        "refused_messages": 0,
    }
    return PaymentFigures(**{**values, **changes})


def test_json_has_the_agreed_keys_and_null_without_a_peer():
    told = json.loads(as_json(figures()))
    assert told.keys() >= KEYS
    assert (told["peer_payments_per_s"], told["peer_cpu_ms_per_payment"]) == (None, None)
    assert told["engine_cpu_ms_per_payment"] == 1.235


def test_people_are_told_what_ran_and_what_did_not():
    assert "3 replicas, sync on, RS256 made and verified" in text(figures())
    assert "1 replica, sync on, unsigned" in text(figures(replicas=1, signed=False))
    assert "not run: npm is not on this machine" in text(figures(peer_not_run="npm is not on this machine"))


def test_the_peers_figures_stand_beside():
    load = Load(Plan("x", "", 10.0), began_at=5.0, last_at=7.0, latencies_ms=array("d", [30.0, 10.0]))
    found = with_peer(figures(), load, 0.5, {"x-3": "504"})
    assert (found.peer_payments_per_s, found.peer_cpu_ms_per_payment) == (1.0, 250.0)
    assert (found.peer_p50_ms, found.peer_p99_ms, found.peer_failed) == (10.0, 30.0, 1)
    assert found.problems() == []  # it is the peer's own affair
    assert "1 payments/s  p50 10  p99 30  250.00 CPU ms a payment  1 failed" in text(found)


def test_a_peer_that_completes_nothing_was_not_run():
    found = with_peer(figures(), Load(Plan("x", "", 10.0)), 0.5, {"x-1": "504 Timeout"})
    assert (found.peer_payments_per_s, found.peer_not_run) == (None, "It completed no payment. 504 Timeout")


@pytest.mark.parametrize("name", ["lost", "duplicated", "failed", "undelivered", "refused_messages"])
def test_whatever_must_not_be_is_a_problem(name):
    assert figures().problems() == []
    assert len(figures(**{name: 2}).problems()) == 1
