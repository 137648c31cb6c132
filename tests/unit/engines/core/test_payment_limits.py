"""Limits of payments: random histories against a model that adds up everything again, and the edges."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from unit.engines.core.conftest import Model
from unit.engines.core.limited_payment import LIMITS, payment, variables
from unit.engines.core.state_checks import check_engine

from payhub_engines.core import events, tables, usage
from payhub_engines.core.commands import (
    Activation,
    CancelInstance,
    Charge,
    ForgetUsage,
    ModifyInstance,
    StartInstance,
)
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.usage import DAY_MS
from payhub_engines.testkit import START_MS, BpmnError, Engine
from payhub_platform.contracts.tenant import PaymentLimits
from payhub_platform.money import Money

STEPS = 800
WINDOW_MS = 6 * 3_600_000


def limits_of(**changed):
    return {**LIMITS, **changed}


@pytest.fixture
def engine():
    made = Engine()
    made.deploy(payment())
    yield made
    check_engine(made)


@dataclass
class Books:
    """The model: every payment that counts, added up anew at each question."""

    taken: dict = field(default_factory=dict)  # payment -> tenant, member, currency, minor, at_ms

    def refusal(self, tenant, member, currency, minor, limits, now_ms):
        same_day = [
            one
            for one in self.taken.values()
            if one[0] == tenant and one[4] // DAY_MS == now_ms // DAY_MS and one[2] == currency
        ]
        window_ms = limits["velocity_window_ms"]
        times = sorted(
            one[4]
            for one in self.taken.values()
            if one[:2] == (tenant, member) and abs(one[4] - now_ms) < window_ms
        )
        midnight = (now_ms // DAY_MS + 1) * DAY_MS
        if minor > limits["per_payment_minor"]:
            return "payment", 0
        if sum(one[3] for one in same_day) + minor > limits["per_day_minor"]:
            return "day", midnight
        if sum(one[3] for one in same_day if one[1] == member) + minor > limits["per_member_day_minor"]:
            return "member-day", midnight
        if len(times) >= limits["velocity_payments"]:
            return "velocity", times[-limits["velocity_payments"]] + window_ms
        return None


@pytest.mark.parametrize("seed", range(12))
def test_limits_hold_in_any_history_as_a_model_adds_up(seed):
    chance, engine, books = random.Random(seed), Engine(), Books()
    engine.deploy(payment())
    held, met, latest_ms = {}, Counter(), 0
    for step in range(STEPS):
        latest_ms = max(latest_ms, engine.now_ms)
        act = chance.choices(
            ["begin", "settle", "fail", "repeat", "wait", "back", "forget"], [9, 3, 3, 2, 4, 1, 1]
        )
        if act == ["begin"]:
            tenant, member = chance.choice(["lion", "rhino"]), f"A{chance.randint(1, 4)}"
            currency, minor = chance.choice(["UGX", "UGX", "RWF"]), chance.choice([20, 400, 900, 1_100])
            limits = limits_of(
                velocity_payments=chance.choice([3, 3, 4]),
                velocity_window_ms=WINDOW_MS,
                per_member_day_minor=chance.choice([1_000, 2_500]),
                per_day_minor=chance.choice([2_500, 9_000]),
            )
            told = books.refusal(tenant, member, currency, minor, limits, engine.now_ms)
            key = engine.start("p", variables(member, minor, currency, limits), tenant, f"tx-{step}")
            refused = [one for one in last_events(engine) if isinstance(one, events.AllowanceRefused)]
            assert [(one.limit, one.retry_at_ms) for one in refused] == ([told] if told else [])
            met[told[0] if told else "taken"] += 1
            if told is None:
                held[key] = (f"tx-{step}", tenant)
                books.taken[f"tx-{step}"] = (tenant, member, currency, minor, engine.now_ms)
        elif act in (["settle"], ["fail"]) and held:
            key = chance.choice(list(held))
            name, _ = held.pop(key)
            finish(engine, key, fails=act == ["fail"])
            if act == ["fail"]:
                del books.taken[name]
        elif act == ["repeat"] and held:
            name, tenant = chance.choice(list(held.values()))
            again = StartInstance(process="p", tenant=tenant, payment=name, fingerprint="", variables={})
            assert engine.execute(again).duplicate
        elif act == ["wait"]:
            engine.now_ms += chance.choice([1, 1, 60_000, 60_000, 1_800_000, 3_600_000, DAY_MS // 3])
        elif act == ["back"]:
            engine.now_ms = chance.randint(latest_ms - WINDOW_MS + 1, engine.now_ms)
        elif act == ["forget"]:
            engine.execute(ForgetUsage())
    assert set(met) == {"taken", "payment", "day", "member-day", "velocity"}
    check_engine(engine)


def finish(engine, key, *, fails):
    """Settle a payment, or let its bank refuse it."""

    def hold(_):
        if fails:
            raise BpmnError("refused")

    job = next(job for job in engine.state.jobs() if job.instance == key)
    engine._functions["hold"] = hold
    engine._execute(engine._do(job))
    engine._functions.clear()


def last_events(engine):
    return events.decode_entry(engine.entries[-1]).events


def usage_rows(engine):
    return dict(engine.store.scan(tables.USAGE))


def took(engine, key):
    return "hold" in engine.instance(key).path


def test_without_limits_nothing_is_counted_and_one_element_is_passed(engine):
    key = engine.start("p", variables(limits=None))
    assert took(engine, key)
    assert usage_rows(engine) == {}
    assert [type(one).__name__ for one in last_events(engine)][:3] == [
        "InstanceStarted",
        "ElementPassed",
        "ElementPassed",
    ]
    finish(engine, key, fails=True)
    assert usage_rows(engine) == {}


def test_a_payment_that_certainly_failed_leaves_no_trace_in_what_counts(engine):
    before = usage_rows(engine)
    key = engine.start("p", variables())
    assert len(usage_rows(engine)) == 2
    finish(engine, key, fails=True)
    assert usage_rows(engine) == before == {}
    assert engine.instance(key).path[-1] == "failed"


def test_a_settled_payment_counts_until_its_day_is_over(engine):
    limits = limits_of(per_member_day_minor=150)
    finish(engine, engine.start("p", variables(limits=limits)), fails=False)
    key = engine.start("p", variables(limits=limits))
    refusal = engine.instance(key).variables["error"]
    assert refusal == {
        "code": "4200",
        "description": "The member's limit of the day is reached. Try again from 2026-01-02T00:00:00.000Z.",
        "limit": "member-day",
        "retryAt": "2026-01-02T00:00:00.000Z",
    }
    engine.now_ms = START_MS + DAY_MS
    assert took(engine, engine.start("p", variables(limits=limits)))


def test_a_payment_held_over_midnight_is_given_back_to_the_day_that_it_was_taken_of(engine):
    key = engine.start("p", variables())
    engine.now_ms += DAY_MS
    engine.start("p", variables())
    finish(engine, key, fails=True)
    days = {int.from_bytes(row[1:9], "big") for row in usage_rows(engine)}
    assert days == {usage.day_of(engine.now_ms)}


def test_many_at_one_moment_take_exactly_what_there_is(engine):
    limits = limits_of(velocity_payments=1_000, per_day_minor=1_000, per_member_day_minor=1_000)
    keys = [engine.start("p", variables(f"A{number % 3}", 30, limits=limits)) for number in range(50)]
    assert sum(took(engine, key) for key in keys) == 1_000 // 30


def test_velocity_reaches_over_midnight_and_frees_one_at_a_time(engine):
    engine.now_ms = START_MS + DAY_MS - 1_000
    for _ in range(3):
        assert took(engine, engine.start("p", variables()))
        engine.now_ms += 1_000
    refused = engine.start("p", variables())
    assert engine.instance(refused).variables["error"]["retryAt"] == "2026-01-02T00:59:59.000Z"
    engine.now_ms = START_MS + DAY_MS - 1_000 + 3_600_000
    assert took(engine, engine.start("p", variables()))
    assert not took(engine, engine.start("p", variables()))


def test_a_window_beyond_all_sense_is_one_of_as_long_as_times_are_kept(engine):
    endless = limits_of(velocity_payments=1, velocity_window_ms=2**62)
    assert took(engine, engine.start("p", variables(limits=endless)))
    refused = engine.start("p", variables(limits=endless))
    assert engine.instance(refused).variables["error"]["retryAt"] == "2026-01-03T00:00:00.000Z"


def test_tenants_and_currencies_count_apart_and_members_by_account(engine):
    limits = limits_of(per_member_day_minor=100, per_day_minor=100, velocity_payments=9)
    assert took(engine, engine.start("p", variables(limits=limits), "lion"))
    assert took(engine, engine.start("p", variables(limits=limits), "rhino"))
    assert took(engine, engine.start("p", variables(currency="RWF", limits=limits), "lion"))
    assert not took(engine, engine.start("p", variables("A2", limits=limits), "lion"))


def test_a_lowered_limit_holds_at_once_against_what_was_moved_before(engine):
    finish(engine, engine.start("p", variables(minor=900)), fails=False)
    lowered = variables(minor=1, limits=limits_of(per_member_day_minor=500))
    assert not took(engine, engine.start("p", lowered))


@pytest.mark.parametrize(
    "wrong",
    [
        {"limits": {"per_payment_minor": "much"}},
        {"limits": {**LIMITS, "surprise": 1}},
        {"amount": {"amount": "1.5", "currency": "UGX"}},
        {"amount": None},
        {"member": None},
        {"member": "x" * 600},
    ],
)
def test_what_cannot_be_held_against_a_limit_stops_before_any_money_is(engine, wrong):
    key = engine.start("p", {**variables(), **wrong})
    view = engine.instance(key)
    assert [incident.element for incident in view.incidents] == ["take"]
    assert usage_rows(engine) == {}
    engine.resolve_incident(view.incidents[0].key, variables())
    assert took(engine, key)
    assert len(usage_rows(engine)) == 2


def test_a_refusal_that_nothing_catches_is_an_incident_that_can_be_tried_again(engine):
    headers = {"limits": "= limits", "member": "= member", "amount": "= amount"}
    bare = Model("q").start().job("take", "payhub:take-allowance", headers=headers).job("hold").end()
    engine.deploy(bare.path("start", "take", "hold", "end").xml())
    key = engine.start("q", variables(minor=2_000))
    [incident] = engine.instance(key).incidents
    assert incident.code == "unhandled-error"
    engine.resolve_incident(incident.key, variables(minor=10))
    assert took(engine, key)


def test_an_operator_who_leads_a_token_back_does_not_count_it_twice(engine):
    key = engine.start("p", variables())
    rows = usage_rows(engine)
    [hold] = [one for one in engine.state.document(key).elements if one]
    engine.execute(ModifyInstance(instance=key, activate=(Activation(element="take"),), terminate=(hold,)))
    assert usage_rows(engine) == rows
    engine.execute(CancelInstance(instance=key))
    assert usage_rows(engine) == rows  # nobody knows what was moved


def test_days_that_count_no_more_are_forgotten_and_the_clock_may_go_back_by_two(engine):
    for _ in range(5):
        engine.start("p", variables())
        engine.now_ms += DAY_MS
    engine.now_ms -= DAY_MS
    reply = engine.execute(ForgetUsage())
    assert reply == Accepted(4)  # of the first two days: the tenant's and the member's
    kept = {int.from_bytes(row[1:9], "big") for row in usage_rows(engine)}
    assert kept == {usage.day_of(START_MS) + day for day in (2, 3, 4)}
    assert engine.execute(ForgetUsage()) == Accepted(0)
    engine.now_ms -= 2 * DAY_MS
    assert not took(engine, engine.start("p", variables(limits=limits_of(per_member_day_minor=150))))


def test_a_payment_may_be_given_back_after_its_day_was_forgotten(engine):
    key = engine.start("p", variables())
    engine.now_ms += 5 * DAY_MS
    engine.execute(ForgetUsage())
    finish(engine, key, fails=True)
    assert usage_rows(engine) == {}


def charge(minor, limits=LIMITS):
    return Charge(limits=PaymentLimits(**limits), amount=Money(minor, "UGX"))


def start(engine, minor, payment="tx", fingerprint="f"):
    command = StartInstance(
        process="p",
        tenant="lion",
        payment=payment,
        fingerprint=fingerprint,
        variables=variables(minor=minor),
        charge=charge(minor),
    )
    return engine.execute(command)


def test_a_payment_beyond_a_limit_does_not_begin_and_its_key_stays_free(engine):
    assert start(engine, 1_001) == Rejected(
        "payment-limit-exceeded", "The amount is more than one payment may have.", None
    )
    assert engine.state.find_instance("lion", "p", "tx") is None
    assert isinstance(start(engine, 1_000), Accepted)


def test_a_full_day_is_told_with_the_time_of_the_next(engine):
    for number in range(10):
        values = variables(f"A{number}", 1_000)
        engine.start("p", values, "lion", f"tx-{number}")
    refused = start(engine, 1)
    assert (refused.code, refused.retry_at_ms) == ("day-limit-reached", START_MS + DAY_MS)
    # One that had begun before is the same payment still.
    again = StartInstance(
        process="p", tenant="lion", payment="tx-1", fingerprint="", variables={}, charge=charge(1_000)
    )
    assert engine.execute(again).duplicate


def test_a_clock_that_was_far_ahead_for_a_moment_shuts_nobody_out(engine):
    engine.now_ms = START_MS + 300 * DAY_MS
    for _ in range(3):
        engine.start("p", variables())
    engine.now_ms = START_MS
    assert took(engine, engine.start("p", variables()))


def test_parts_of_one_instance_take_and_return_each_for_itself_and_a_refusal_ends_no_other(engine, loop):
    headers = {"limits": "= limits", "member": "= member", "amount": "= amount", "part": "= item.id"}
    limits = limits_of(per_member_day_minor=250)
    took_each = loop("= items", "item", "refusals", "= refused")
    return_some = loop("= back", "item")
    many = Model("many").start()
    many.job(
        "take",
        "payhub:take-allowance",
        headers={**headers, "refusal": "refused"},
        inputs={"amount": "= item.amount", "refused": "= null"},
        loop=took_each,
    )
    many.job("hold").job(
        "give-back", "payhub:return-allowance", headers={"part": "= item.id"}, loop=return_some
    )
    engine.deploy(many.end().path("start", "take", "hold", "give-back", "end").xml())
    items = [
        {"id": f"i{minor}", "amount": {"amount": str(minor), "currency": "UGX"}} for minor in (100, 200, 150)
    ]
    key = engine.start(
        "many", {**variables(limits=limits), "items": items, "back": [*items[:2], {"id": "x"}]}, "t"
    )
    refused = engine.instance(key).variables["refusals"]
    assert [None if one is None else one["limit"] for one in refused] == [None, "member-day", None]

    def counted():
        found = usage.find(engine.state.rows, usage.day_of(engine.now_ms), "t", "A1")
        return found.spent, len(found.times)

    assert counted() == ({"UGX": 250}, 2)
    finish(engine, key, fails=False)
    assert counted() == ({"UGX": 150}, 1)
    assert engine.state.document(key).allowances.keys() == {"i150"}
