"""Receives webhooks as the paying institution's channel would: what is not signed counts for nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from payhub_cli.demo.client import Api
from payhub_cli.demo.errors import DemoError
from payhub_cli.demo.story import PAYER_FSP
from payhub_operations.webhooks.signature import signed_headers
from payhub_platform.contracts.channel import TransferStatus

HOST: Final = "127.0.0.1"
TOLD_WAIT_S: Final = 20.0
KNOWN_WAIT_S: Final = 20.0
POLL_S: Final = 0.1
_ENDPOINTS: Final = f"/v1/tenants/{PAYER_FSP}/endpoints"


class Receiver:
    """Remembers the state that was told of each payment."""

    def __init__(self) -> None:
        self.url = ""
        self._secret = ""
        self._taken = asyncio.Event()
        self.told: dict[str, str] = {}

    async def subscribe(self, tenants: Api, operations: Api) -> None:
        """Have the institution told here, and wait until operations knows.

        Raises:
            DemoError: it was refused, or operations does not hear of it.
        """
        endpoint = {
            "url": self.url,
            "purpose": "callback",
            "events": ["payment.completed", "payment.failed"],
        }
        made = await tenants.put(_ENDPOINTS, {"endpoints": [endpoint]})
        self._secret = made["endpoints"][0]["secret"]
        deadline = time.monotonic() + KNOWN_WAIT_S
        while not (await operations.get(f"/api/v1/webhooks/{PAYER_FSP}/endpoints"))["endpoints"]:
            if time.monotonic() > deadline:
                raise DemoError("Operations did not hear of the webhook.")
            await asyncio.sleep(POLL_S)

    async def until_told(self, statuses: Sequence[TransferStatus]) -> dict[str, str]:
        """Wait, with a limit, until each payment's state has been told; return what was."""
        expected = {status.transaction_id: status.state for status in statuses}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_WAIT_S):
                while expected.items() - self.told.items():
                    self._taken.clear()
                    await self._taken.wait()
        return self.told

    async def unsubscribe(self, tenants: Api) -> None:
        """Have nothing told here any more: nobody listens when the demonstration is over."""
        await tenants.put(_ENDPOINTS, {"endpoints": []})

    async def take(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        body, headers = await request.read(), request.headers
        at_s = int(headers["webhook-timestamp"])
        expected = signed_headers(headers["webhook-id"], at_s, body, [self._secret])
        if headers["webhook-signature"] != expected["webhook-signature"]:
            return web.Response(status=401)
        data: dict[str, Any] = msgspec.json.decode(body)["data"]
        self.told[data["transactionId"]] = data["state"]
        self._taken.set()
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Listen on a free port of this machine."""
    listening, application = Receiver(), web.Application()
    application.router.add_post("/webhooks", listening.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        listening.url = f"http://{HOST}:{runner.addresses[0][1]}/webhooks"
        yield listening
    finally:
        await runner.cleanup()
