"""A NATS connection that never gives up, and says when it is cut."""

import logging

import nats
from nats.aio.client import Client
from nats.errors import NoServersError

_logger = logging.getLogger(__name__)

RECONNECT_WAIT_S = 0.25
PENDING_BYTES_MAX = 8 * 1024 * 1024
CONNECT_TIMEOUT_S = 2


async def connect(url: str, name: str) -> Client:
    """Connect to NATS; when no server answers yet, go on trying in the background.

    The client is usable at once: what needs the bus fails or waits until it is there. That is why an
    engine starts with NATS down.
    """

    async def on_disconnected() -> None:
        _logger.warning("NATS: connection lost")

    async def on_reconnected() -> None:
        _logger.info("NATS: connected again")

    async def on_error(error: Exception) -> None:
        if not isinstance(error, NoServersError | ConnectionRefusedError):
            _logger.warning("NATS: %s", type(error).__name__)

    return await nats.connect(
        url,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,
        connect_timeout=CONNECT_TIMEOUT_S,
        pending_size=PENDING_BYTES_MAX,
        allow_reconnect=True,
        disconnected_cb=on_disconnected,
        reconnected_cb=on_reconnected,
        error_cb=on_error,
    )
