"""The replica's process: Litestar on uvicorn in the same event loop as Raft."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar
from litestar.di import Provide

from payhub_engines.server.api import PaymentsController, live, overview, ready
from payhub_engines.server.engine import Engine
from payhub_engines.server.fspiop_api import fspiop
from payhub_engines.server.settings import EngineSettings
from payhub_platform.errors import PayhubError
from payhub_platform.http import BODY_BYTES_MAX, exception_handlers
from payhub_platform.serving import server, start

_logger = logging.getLogger(__name__)


def create_app(engine: Engine, started: asyncio.Event) -> Litestar:
    """Build the HTTP interface of an engine; starting the app starts the engine and sets ``started``."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            await engine.start()
            started.set()
            yield
        finally:
            # Also when the start failed half-way: what it opened would keep the process alive.
            await engine.stop()

    return Litestar(
        route_handlers=[PaymentsController, overview, live, ready, fspiop],
        dependencies={"engine": Provide(lambda: engine, sync_to_thread=False, use_cache=True)},
        exception_handlers=exception_handlers(),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )


def main() -> None:
    """Run one replica until SIGTERM; exit 1 when it can no longer go on."""
    sys.exit(asyncio.run(_serve(start("engine", EngineSettings))))


async def _serve(settings: EngineSettings) -> int:
    try:
        engine, started = Engine(settings), asyncio.Event()
    except PayhubError as error:
        _logger.critical("the engine does not start: %s", error)
        return 1
    http = server(create_app(engine, started), settings.host, settings.port, lifespan="on")
    serving = asyncio.create_task(http.serve(), name="http")
    await _first(serving, asyncio.create_task(started.wait(), name="started"))
    failing = asyncio.create_task(engine.failure(), name="failure")
    await _first(serving, failing)
    failure = failing.result() if failing.done() else None
    failing.cancel()
    if failure is not None:
        # Money first: a replica whose log, state or workers failed must not go on answering.
        _logger.critical("the engine stops: %r", failure)
        http.should_exit = True
    await serving
    return 0 if started.is_set() and failure is None else 1


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
