"""Servers that NATS_URL and DATABASE_URL name: they must answer, and hold no other installation."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import nats
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from payhub_cli.demo.client import Api
from payhub_cli.demo.errors import DemoError
from payhub_cli.process import without_credentials
from payhub_platform.bus import subjects

CONNECT_WAIT_S: Final = 5
DATABASE_PORT: Final = 5432
USED: Final = "It holds another installation, or an earlier demonstration. The demonstration needs it empty."


async def check(environment: Mapping[str, str]) -> None:
    """Look at the servers that replace the bundled ones, before anything is started.

    Raises:
        DemoError: one does not answer, or NATS is not empty.
    """
    if url := environment.get("NATS_URL"):
        await _check_nats(url)
    if url := environment.get("DATABASE_URL"):
        await _check_database(url)


async def check_tenants(tenants: Api) -> None:
    """Look at the database as the tenants service sees it.

    Raises:
        DemoError: it has institutions already.
    """
    if (await tenants.get("/v1/tenants"))["tenants"]:
        raise DemoError(f"The database has institutions. {USED}")


async def _check_nats(url: str) -> None:
    shown = without_credentials(url)
    try:
        client = await nats.connect(
            url,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=_told_by_call,
        )
    except (OSError, NatsError, ValueError) as error:
        raise DemoError(f"NATS_URL ({shown}) cannot be used: {error or type(error).__name__}.") from error
    try:
        stream = await client.jetstream().stream_info(f"KV_{subjects.CONFIG_BUCKET}")
    except NotFoundError:
        return
    except (APIError, NatsError, TimeoutError) as error:
        raise DemoError(f"NATS_URL ({shown}) has no JetStream that answers: {error}.") from error
    finally:
        await client.close()
    if stream.state.messages:
        raise DemoError(f"NATS_URL ({shown}) cannot be used. {USED}")


async def _told_by_call(_error: Exception) -> None:
    """Say nothing: the call that failed raises the same."""


async def _check_database(url: str) -> None:
    address = urlsplit(url)
    shown = without_credentials(url)
    if address.scheme not in ("postgres", "postgresql") or not address.hostname:
        raise DemoError(f"DATABASE_URL ({shown}) is no address of a PostgreSQL server.")
    try:
        async with asyncio.timeout(CONNECT_WAIT_S):
            _, writer = await asyncio.open_connection(address.hostname, address.port or DATABASE_PORT)
    except (OSError, TimeoutError) as error:
        raise DemoError(f"DATABASE_URL ({shown}) cannot be used: {error or 'no answer'}.") from error
    writer.close()
