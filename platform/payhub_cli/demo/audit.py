"""Compares the engines' logs with what operations has stored."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from payhub_cli.demo.client import Api
from payhub_cli.demo.result import AuditFigures, AuditState, TenantRecords

COMPLETE_WAIT_S: Final = 20.0
POLL_S: Final = 0.2


async def until_complete(engines: Sequence[Api], operations: Api) -> AuditState:
    """Wait, with a limit, until every event is stored; return how far it came.

    Args:
        engines: each engine's own API, with the internal token.
        operations: the operations API, with the operator's token.
    """
    deadline = time.monotonic() + COMPLETE_WAIT_S
    while True:
        state = await _look(engines, operations)
        if state.is_complete or time.monotonic() > deadline:
            return state
        await asyncio.sleep(POLL_S)


async def _look(engines: Sequence[Api], operations: Api) -> AuditState:
    overviews = [await engine.get("/engine/v1/overview") for engine in engines]
    stored = await operations.get("/api/v1/audit")
    return AuditState(
        figures=AuditFigures(
            # Positions are counted from 1.
            engine_events=sum(overview["nextPosition"] - 1 for overview in overviews),
            stored_events=sum(engine["storedEvents"] for engine in stored["engines"]),
            gaps=sum(engine["gaps"] for engine in stored["engines"]),
        ),
        tenants=msgspec.convert(stored["tenants"], list[TenantRecords]),
    )
