"""One item's job is a single payment's job, and its refusal is its own."""

import pytest
from unit.engines.connectors.connector_kit import job

from payhub_engines.connectors.items import ITEM_JOBS, of_item
from payhub_engines.connectors.job import BpmnError, JobFailedError
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.registry import handlers

SEEN = []


async def single(told, _context):
    SEEN.append(told)
    if told.variables["amount"] == 0:
        raise refusal("payer-refused", "4001", "Not enough.")
    if told.variables["amount"] < 0:
        raise JobFailedError("later", 7)
    return {"payerAccount": "A1"}


@pytest.fixture(autouse=True)
def _forget():
    SEEN.clear()


def item_job(**item):
    return job("ams-reserve-item", {"payer": "p", "amount": 99, "item": item})


async def test_an_item_stands_over_what_is_around_it_and_keeps_what_it_becomes(context):
    told = await of_item(single)(item_job(transactionId="t-1", amount=5), context)
    assert told == {"item": {"transactionId": "t-1", "amount": 5, "payerAccount": "A1"}}
    [seen] = SEEN
    assert (seen.payment, seen.variables["amount"], seen.variables["payer"]) == ("t-1", 5, "p")


async def test_a_refusal_is_kept_and_such_an_item_goes_no_further(context):
    told = await of_item(single)(item_job(transactionId="t-1", amount=0), context)
    assert told["item"]["refusal"] == {"code": "4001", "description": "Not enough."}
    SEEN.clear()
    assert await of_item(single)(item_job(**told["item"]), context) == {}
    assert SEEN == []


async def test_what_may_be_tried_again_is_tried_again(context):
    with pytest.raises(JobFailedError, match="later") as failed:
        await of_item(single)(item_job(transactionId="t-1", amount=-1), context)
    assert failed.value.retry_after_ms == 7


async def test_an_item_without_its_own_transaction_is_an_incident(context):
    with pytest.raises(JobFailedError, match="no transactionId"):
        await of_item(single)(item_job(amount=5), context)
    assert SEEN == []


async def test_an_error_that_says_nothing_for_people_is_no_refusal(context):
    async def odd(_job, _context):
        raise BpmnError("odd", "odd")

    with pytest.raises(BpmnError):
        await of_item(odd)(item_job(transactionId="t-1"), context)


def test_every_item_job_is_served_beside_its_single_one():
    served = handlers()
    assert {f"{kind}-item" for kind in ITEM_JOBS} | set(ITEM_JOBS) <= set(served)
