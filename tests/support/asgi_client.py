"""An HttpClient that speaks to an application in the same process: no sockets."""

from collections.abc import Mapping

import httpx
from litestar import Litestar

from payhub_engines.connectors.http import HttpAnswer


class AsgiClient:
    def __init__(self, app: Litestar, base_url: str) -> None:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
        self.http = httpx.AsyncClient(transport=transport, base_url=base_url)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        **_options: object,
    ) -> HttpAnswer:
        assert timeout_s > 0
        answer = await self.http.request(method, url, headers=dict(headers), content=body)
        told = {name.lower(): value for name, value in answer.headers.items()}
        return HttpAnswer(status=answer.status_code, body=answer.content, headers=told)
