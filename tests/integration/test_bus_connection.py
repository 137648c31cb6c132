"""The connection to NATS ends when it is told to, whatever it is doing."""

import asyncio

from support.ports import free_ports

from payhub_cli.local.server import LocalServer
from payhub_platform.bus.connection import connect

TURNS = 12  # of the event loop, more than an attempt to connect takes
WAIT_S = 20.0


async def test_it_closes_at_every_turn_of_an_attempt_that_fails() -> None:
    (nobody,) = free_ports(1)
    for turns in range(TURNS):
        bus = await connect(f"nats://127.0.0.1:{nobody}", "test")
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(bus.close())
        await asyncio.wait({closing}, timeout=WAIT_S)
        assert closing.done(), turns


async def test_it_closes_where_the_socket_has_lost_who_waited_for_its_end(nats_server: LocalServer) -> None:
    bus = await connect(nats_server.url, "test")
    async with asyncio.timeout(WAIT_S):
        while not bus.is_connected:
            await asyncio.sleep(0.01)
    bus._transport._io_writer._protocol._closed.cancel()
    closing = asyncio.create_task(bus.close())
    await asyncio.wait({closing}, timeout=WAIT_S)
    assert closing.done()
    assert not closing.cancelled()
    assert bus.is_closed
