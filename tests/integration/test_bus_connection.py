"""The connection to NATS ends when it is told to, whatever it is doing."""

import asyncio

from support.ports import free_ports

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
