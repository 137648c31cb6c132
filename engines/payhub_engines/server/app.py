"""The replica's process: Litestar on uvicorn in the same event loop as Raft."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from payhub_engines.server.api import PaymentsController, RequestsController, live, ready
from payhub_engines.server.bulk_api import BulkPaymentsController
from payhub_engines.server.engine import Engine
from payhub_engines.server.forward import Forwarder
from payhub_engines.server.fspiop_api import fspiop
from payhub_engines.server.leadership import Replica
from payhub_engines.server.members_api import (
    AccountsController,
    PartiesController,
    RegistrationsController,
)
from payhub_engines.server.operator_api import OperatorController
from payhub_engines.server.recalls_api import RecallsController
from payhub_engines.server.received_requests import ReceivedRequestsController
from payhub_engines.server.settings import EngineSettings
from payhub_engines.server.tenants_api import TenantsController
from payhub_platform import event_loop
from payhub_platform.errors import PayhubError
from payhub_platform.garbage import spare_what_lives
from payhub_platform.http import BODY_BYTES_MAX, exception_handlers
from payhub_platform.serving import server, start

_logger = logging.getLogger(__name__)

HAND_OVER_WAIT_S: Final = 4.0  # the log bounds it as well, more tightly
DRAIN_S: Final = 0.5  # connections that stay open are closed after their next answer within this time

CONTROLLERS: Final = (
    PaymentsController,
    RequestsController,
    BulkPaymentsController,
    AccountsController,
    PartiesController,
    RegistrationsController,
    ReceivedRequestsController,
    RecallsController,
    OperatorController,
    TenantsController,
)


def create_app(engine: Engine, started: asyncio.Event) -> Litestar:
    """Build the HTTP interface of an engine that has started; it sets ``started``, and stops the engine."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            started.set()
            yield
        finally:
            await engine.stop()

    return Litestar(
        route_handlers=[
            *CONTROLLERS,
            live,
            ready,
            fspiop,
        ],
        dependencies={"engine": Provide(lambda: engine, sync_to_thread=False, use_cache=True)},
        exception_handlers=exception_handlers(),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )


def main() -> None:
    """Run one replica until SIGTERM; exit 1 when it can no longer go on."""
    sys.exit(event_loop.run(_serve(start("engine", EngineSettings))))


async def _serve(settings: EngineSettings) -> int:
    engine: Engine | None = None
    try:
        engine, started = Engine(settings), asyncio.Event()
        await engine.start()
    except PayhubError as error:
        if engine is not None:
            await engine.stop()  # what it has opened would keep the process alive
        _logger.critical("the engine does not start: %s", error)
        return 1
    return await run(engine, create_app(engine, started), settings, started, _has_started)


async def run(
    replica: Replica,
    app: ASGIApp,
    settings: EngineSettings,
    started: asyncio.Event,
    stop_asked: Callable[[], asyncio.Event],
) -> int:
    """Serve until a stop is asked for or the replica fails; return the process's exit status.

    Args:
        replica: what is served; ``app`` stops it.
        app: its HTTP interface, which sets ``started``.
        settings: where to listen, and the group.
        started: set once the replica has started.
        stop_asked: called once the replica has started; the event that it returns asks for the stop.
    """
    async with contextlib.AsyncExitStack() as stack:
        if not settings.is_alone:
            forwarder = Forwarder(app, replica, settings.replica, settings.urls())
            app = await stack.enter_async_context(forwarder)
        http = server(app, settings.host, settings.port, lifespan="on")
        serving = asyncio.create_task(http.serve(), name="http")
        await _first(serving, asyncio.create_task(started.wait(), name="started"))
        failing = asyncio.create_task(replica.failure(), name="failure")
        asked = asyncio.create_task(stop_asked().wait(), name="stop")
        await _first(serving, failing, asked)
        if asked.done() and not failing.done():
            # Others lead and this replica still answers, by asking them, when the first connection is closed.
            await _first(failing, asyncio.create_task(_hand_over(replica), name="hand-over"))
            await asyncio.wait({failing, serving}, timeout=0.0 if settings.is_alone else DRAIN_S)
        failure = failing.result() if failing.done() else None
        failing.cancel()
        asked.cancel()
        # Money first: a replica whose log, state or workers failed must not go on answering.
        http.should_exit = True
        await serving
    if failure is not None:
        _logger.critical(
            "the engine stops: %s", failure if isinstance(failure, PayhubError) else repr(failure)
        )
    return 0 if started.is_set() and failure is None else 1


async def _hand_over(replica: Replica) -> None:
    try:
        async with asyncio.timeout(HAND_OVER_WAIT_S):
            await replica.prepare_stop()
    except (TimeoutError, PayhubError) as error:
        # The others elect a leader without its help, a little later.
        _logger.warning("stopping without a hand-over: %s", error or "nobody took over in time")


def _has_started() -> asyncio.Event:
    """Set the process for its work, and return the event that asks for its end."""
    spare_what_lives()
    return _stop_signals()


def _stop_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; until now they have stopped the server at once."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
