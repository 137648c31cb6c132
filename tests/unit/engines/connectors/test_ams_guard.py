"""The circuit breaker as a machine, and what it and the places mean for the jobs of several tenants."""

import asyncio
import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engines.connectors.connector_kit import job

from payhub_engines.connectors.ams.breaker import (
    FAILURES_TO_OPEN,
    PROBE_WAIT_MS,
    WAIT_FIRST_MS,
    WAIT_MAX_MS,
    Breaker,
    Circuit,
)
from payhub_engines.connectors.ams.errors import BankBusyError, CircuitOpenError
from payhub_engines.connectors.ams.guard import CALLS_PER_TENANT_MAX, SLOW_MS
from payhub_engines.connectors.expiring import ExpiringCache
from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_engines.connectors.job import JobFailedError

QUESTION = {"partyId": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"}, "requesterFsp": "x"}


def opened(now_ms: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(breaker.admit(now_ms), now_ms)
    return breaker


def test_it_opens_after_failures_in_a_row_only():
    breaker = Breaker()
    for _ in range(3 * FAILURES_TO_OPEN):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed(breaker.admit(0), 0)
        breaker.answered(breaker.admit(0))
    assert breaker.circuit is Circuit.CLOSED
    assert opened().circuit is Circuit.OPEN


def test_one_call_tries_the_bank_when_the_wait_is_over():
    breaker = opened()
    assert breaker.admit(WAIT_FIRST_MS - 1).wait_ms == 1
    probe = breaker.admit(WAIT_FIRST_MS)
    assert probe.is_probe
    assert breaker.admit(WAIT_FIRST_MS).wait_ms == PROBE_WAIT_MS
    breaker.answered(probe)
    assert breaker.circuit is Circuit.CLOSED
    assert breaker.admit(WAIT_FIRST_MS).wait_ms == 0


def test_each_failed_probe_doubles_the_wait_up_to_a_bound():
    breaker, now_ms, waits = opened(), 0, []
    for _ in range(10):
        wait_ms = breaker.admit(now_ms).wait_ms
        waits.append(wait_ms)
        now_ms += wait_ms
        breaker.failed(breaker.admit(now_ms), now_ms)
    assert waits[0] == WAIT_FIRST_MS
    assert waits[-1] == WAIT_MAX_MS
    assert all(later == min(2 * one, WAIT_MAX_MS) for one, later in pairwise(waits))


def test_calls_that_went_out_before_say_nothing_of_an_open_circuit():
    breaker = Breaker()
    early = [breaker.admit(0) for _ in range(20)]
    for admission in early[:FAILURES_TO_OPEN]:
        breaker.failed(admission, 0)
    for admission in early[FAILURES_TO_OPEN:-1]:
        breaker.failed(admission, 900)
    breaker.answered(early[-1])
    assert breaker.circuit is Circuit.OPEN
    assert breaker.admit(WAIT_FIRST_MS).is_probe


def test_a_probe_that_was_given_up_lets_another_probe():
    breaker = opened()
    breaker.abandoned(breaker.admit(WAIT_FIRST_MS))
    assert breaker.admit(WAIT_FIRST_MS).is_probe


@pytest.mark.parametrize("jump_ms", [-10_000_000, -1, 1, 10_000_000])
def test_a_clock_that_jumps_shuts_nobody_out_for_longer(jump_ms):
    breaker = opened(1_000_000)
    now_ms = 1_000_000 + jump_ms
    assert breaker.admit(now_ms).wait_ms <= WAIT_FIRST_MS
    breaker = opened(1_000_000)
    breaker.wait_ms(now_ms)
    assert breaker.admit(now_ms + WAIT_FIRST_MS).is_probe


@given(st.lists(st.sampled_from(["answer", "fail", "give up", "wait"]), max_size=200))
def test_whatever_happens_there_is_one_probe_at_most_and_the_bank_is_tried_again(steps):
    breaker, now_ms, out = Breaker(), 0, []
    for step in steps:
        admission = breaker.admit(now_ms)
        assert 0 <= admission.wait_ms <= WAIT_MAX_MS
        if admission.wait_ms == 0:
            out.append(admission)
        assert sum(one.is_probe for one in out) <= 1
        if step == "wait":
            now_ms += 700
        elif out:
            ended = out.pop(0)
            if step == "answer":
                breaker.answered(ended)
            elif step == "fail":
                breaker.failed(ended, now_ms)
            else:
                breaker.abandoned(ended)
    for ended in out:
        breaker.failed(ended, now_ms)
    assert breaker.admit(now_ms + WAIT_MAX_MS).wait_ms == 0


async def test_jobs_fail_with_retry_after_while_the_circuit_is_open_and_nothing_is_sent(
    ams, bank, context, clock, caplog
):
    caplog.set_level(logging.WARNING)
    bank.down = True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(UnreachableError):
            await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    with pytest.raises(CircuitOpenError) as caught:
        await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    assert caught.value.retry_after_ms == WAIT_FIRST_MS
    assert len(bank.requests) == FAILURES_TO_OPEN
    bank.down = False
    clock.now_ms += WAIT_FIRST_MS
    await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "the bank of tenant buffalo does not answer and is left alone",
        "the bank of tenant buffalo answers again",
    ]


async def test_one_tenants_bank_that_is_down_shuts_out_no_other_tenant(ams, bank, context):
    bank.down = True
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(JobFailedError):
            await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    bank.down = False
    with pytest.raises(CircuitOpenError):
        await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    await ams.look_up_party(job("ams-look-up-party", QUESTION, "lion"), context)


@pytest.mark.parametrize(
    ("status", "opens"), [(503, True), (502, True), (429, True), (500, False), (401, False)]
)
async def test_only_a_bank_that_cannot_answer_opens_its_circuit(ams, bank, context, status, opens):
    """A 500 for one poisoned request must not shut out the others."""

    async def refuse(*_args, **_options):
        return HttpAnswer(status=status)

    bank.request = refuse
    caught = []
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(JobFailedError) as failure:
            await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
        caught.append(failure.type)
    assert (caught[-1] is CircuitOpenError) == opens


async def test_a_slow_bank_takes_its_own_places_only(ams, bank, context):
    bank.gate.clear()
    slow = [
        asyncio.create_task(ams.look_up_party(job("ams-look-up-party", question(number)), context))
        for number in range(40)
    ]
    await asyncio.sleep(0)
    while bank.running < CALLS_PER_TENANT_MAX:
        await asyncio.sleep(0)
    assert bank.running_most == CALLS_PER_TENANT_MAX
    other = asyncio.create_task(ams.look_up_party(job("ams-look-up-party", QUESTION, "lion"), context))
    while bank.running == CALLS_PER_TENANT_MAX:
        await asyncio.sleep(0)
    bank.gate.set()
    await asyncio.gather(*slow, other)
    assert bank.running_most == CALLS_PER_TENANT_MAX + 1


async def test_nobody_waits_behind_calls_that_take_long(ams, bank, context, clock):
    """Jobs that wait for a slow bank would fill the places that the engine has for the jobs of all."""
    bank.gate.clear()
    slow = [
        asyncio.create_task(ams.look_up_party(job("ams-look-up-party", question(number)), context))
        for number in range(CALLS_PER_TENANT_MAX)
    ]
    while bank.running < CALLS_PER_TENANT_MAX:
        await asyncio.sleep(0)
    clock.now_ms += SLOW_MS + 1
    with pytest.raises(BankBusyError):
        await ams.look_up_party(job("ams-look-up-party", question(39)), context)
    bank.gate.set()
    await asyncio.gather(*slow)
    await ams.look_up_party(job("ams-look-up-party", question(39)), context)


async def test_a_job_that_is_cancelled_gives_its_place_back(ams, bank, context):
    bank.gate.clear()
    tasks = [
        asyncio.create_task(ams.look_up_party(job("ams-look-up-party", question(number)), context))
        for number in range(CALLS_PER_TENANT_MAX)
    ]
    while bank.running < CALLS_PER_TENANT_MAX:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bank.gate.set()
    await ams.look_up_party(job("ams-look-up-party", QUESTION), context)


def question(number):
    return {**QUESTION, "partyId": {"partyIdType": "MSISDN", "partyIdentifier": f"{number}"}}


@pytest.fixture(autouse=True)
def everybody_is_known(bank):
    bank.parties |= {f"MSISDN/{number}": "A2" for number in range(40)}


async def test_an_identifier_is_remembered_for_a_while_by_each_tenant(ams, bank, context, clock):
    for _ in range(3):
        await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    assert len(bank.requests) == 1
    await ams.look_up_party(job("ams-look-up-party", QUESTION, "lion"), context)
    assert len(bank.requests) == 2
    clock.now_ms += 61_000
    await ams.look_up_party(job("ams-look-up-party", QUESTION), context)
    assert len(bank.requests) == 3


async def test_an_account_that_is_gone_is_forgotten_with_its_identifier(ams, bank, context, started):
    await ams.quote_payer(job("ams-quote-payer", started), context)
    bank.accounts["A3"] = bank.accounts.pop("A1")
    bank.parties["MSISDN/254700200001"] = "A3"
    with pytest.raises(Exception, match="payer-refused"):
        await ams.quote_payer(job("ams-quote-payer", started), context)
    told = await ams.quote_payer(job("ams-quote-payer", started), context)
    assert told["payerAccount"] == "A3"


def test_the_memory_is_bounded_and_forgets_with_time():
    cache = ExpiringCache[int, int](3, 100)
    for number in range(5):
        cache.keep(number, number, 0)
    assert len(cache) == 3
    assert [cache.get(number, 99) for number in range(5)] == [None, None, 2, 3, 4]
    assert cache.get(4, 100) is None
    cache.keep(9, 9, 1_000)
    assert cache.get(9, 999) is None  # a clock that was set back
    assert len(cache) == 2
