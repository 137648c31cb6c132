"""The HTTP front of a peer that has none of its own: the same one in every such peer's process.

``POST /start/{id}`` answers 202 when the workflow is durably accepted, the same id again changes
nothing. ``GET /done/{id}`` answers 200 when it has ended, 204 when it has not after a while, 404 when it is
unknown. ``GET /ready`` answers 200 where both are served.
"""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

LONG_POLL_S: Final = 10.0
SHUTDOWN_S: Final = 1.0
HTTP_ACCEPTED: Final = 202
HTTP_NOT_YET: Final = 204
HTTP_UNKNOWN: Final = 404
HTTP_UNAVAILABLE: Final = 503

_logger = logging.getLogger(__name__)


class Workflows(Protocol):
    """What a peer does behind the front."""

    @property
    def is_ready(self) -> bool:
        """Whether workflows are taken here."""

    async def open(self) -> None:
        """Start, and go on with what had not ended."""

    async def start(self, workflow_id: str) -> None:
        """Accept a workflow; return when that is durable. The same id again changes nothing."""

    async def wait(self, workflow_id: str) -> bool:
        """Wait for a workflow's end; False where it is unknown."""

    async def close(self) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """How the runner starts a peer's process."""

    port: int
    data: Path
    effects: Path
    database: str
    replica: str
    peers: str


def arguments() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--effects", type=Path, required=True)
    parser.add_argument("--database", default="", help="address of the peer's database")
    parser.add_argument("--replica", default="1", help="own id in a group")
    parser.add_argument("--peers", default="", help="1=host:port,... for Raft; empty for a replica alone")
    return Arguments(**vars(parser.parse_args()))


def serve(workflows: Workflows, port: int) -> None:
    """Serve until SIGTERM. It listens only when the workflows are open."""
    logging.basicConfig(level=logging.WARNING)
    app = application(workflows)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, shutdown_timeout=SHUTDOWN_S)


def application(workflows: Workflows) -> web.Application:
    """Return the front, which opens the workflows when it starts."""

    async def start(request: web.Request) -> web.Response:
        try:
            await workflows.start(request.match_info["id"])
        except Exception:
            # The client asks again: whatever it was, the figures must show it and not a dead front.
            _logger.exception("a workflow was not accepted")
            return web.Response(status=HTTP_UNAVAILABLE)
        return web.Response(status=HTTP_ACCEPTED)

    async def done(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(LONG_POLL_S):
                is_known = await workflows.wait(request.match_info["id"])
        except TimeoutError:
            return web.Response(status=HTTP_NOT_YET)
        return web.Response() if is_known else web.Response(status=HTTP_UNKNOWN)

    async def ready(_request: web.Request) -> web.Response:
        return web.Response() if workflows.is_ready else web.Response(status=HTTP_UNAVAILABLE)

    async def lifetime(_app: web.Application) -> AsyncIterator[None]:
        await workflows.open()
        yield
        await workflows.close()

    app = web.Application()
    app.router.add_post("/start/{id}", start)
    app.router.add_get("/done/{id}", done)
    app.router.add_get("/ready", ready)
    app.cleanup_ctx.append(lifetime)
    return app
