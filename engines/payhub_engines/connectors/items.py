"""One of many: what is done for a single payment is done for each item, and ends none of the others."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, Handler, Job, JobFailedError

ITEM: Final = "item"  # the loop's element of which the job is
REFUSAL: Final = "refusal"  # of an item: why it goes no further, an error value
ITEM_JOBS: Final = (
    "ams-quote-payee",
    "ams-reserve-credit",
    "ams-credit",
    "ams-quote-payer",
    "ams-reserve",
    "ams-commit",
    "ams-release",
    "ams-deposit",
)
"""Job types that a multi-instance task does for each item, as ``...-item``."""


def item_handlers(handlers: dict[str, Handler]) -> dict[str, Handler]:
    """Return job type to handler, for items."""
    return {f"{kind}-item": of_item(handlers[kind]) for kind in ITEM_JOBS}


def of_item(handler: Handler) -> Handler:
    """Return a handler that does the same for the variable ``item``, and answers what the item has become.

    The item's fields stand over the variables around it; it needs ``transactionId``, which its calls to a
    bank are made for. A refusal is kept in the item, and what was refused before is left alone.
    """

    async def handle(job: Job, context: ConnectorContext) -> dict[str, Any]:
        item: dict[str, Any] = job.variables[ITEM]
        if item.get(REFUSAL) is not None:
            return {}
        if not isinstance(item.get("transactionId"), str):
            raise JobFailedError(f"{job.type}: the item has no transactionId")
        single = msgspec.structs.replace(
            job, payment=item["transactionId"], variables={**job.variables, **item}
        )
        try:
            results = await handler(single, context)
        except BpmnError as error:
            if "error" not in error.variables:
                raise
            return {ITEM: {**item, REFUSAL: error.variables["error"]}}
        return {ITEM: {**item, **results}}

    return handle
