"""What the tests of webhooks share: receivers, endpoints, and Standard Webhooks as a receiver knows it."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from payhub_operations.webhooks.model import Endpoint
from payhub_platform.contracts.tenant import WebhookSecret
from payhub_platform.security.secrets import SecretBox

BOX = SecretBox(SecretBox.new_key())
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
EVENTS = ["payment.completed", "payment.failed", "refund.completed", "refund.failed"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def verified(secret: str, headers: Any, body: bytes) -> bool:
    """Check a signature as the specification tells a receiver to: this shares no code with the sender."""
    identity, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    key = base64.b64decode(secret.split("_", 1)[1])
    content = b".".join([identity.encode(), timestamp.encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    versions = [signature.split(",", 1) for signature in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(found, expected) for version, found in versions)


@dataclass
class Receiver:
    """An endpoint that answers what it is told to, in turn, and then 204."""

    answers: list[int | Handler] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.received.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        answer = self.answers.pop(0) if self.answers else 204
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _body in self.received]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _headers, body in self.received]


@asynccontextmanager
async def receiving(
    *answers: int | Handler, context: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Run a receiver on this machine."""
    receiver = Receiver(list(answers))
    application = web.Application(client_max_size=2**20)
    application.router.add_post("/hook", receiver.take)
    server = TestServer(application, scheme="https" if context else "http")
    await server.start_server(ssl=context)
    try:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
    finally:
        await server.close()


async def hang(_request: web.Request) -> web.StreamResponse:
    """Answer never."""
    await asyncio.Event().wait()
    raise AssertionError


def endpoint(
    url: str, tenant: str = "buffalo", name: str = "hook", *secrets: str, **changes: Any
) -> Endpoint:
    """An endpoint of a tenant that is told everything."""
    sealed = [
        WebhookSecret(secret_sealed=BOX.seal(each, f"webhook:{tenant}")) for each in secrets or (SECRET,)
    ]
    given = {"purpose": "webhook", "events": list(EVENTS), "secrets": sealed, **changes}
    return Endpoint(tenant=tenant, endpoint=name, url=url, **given)
