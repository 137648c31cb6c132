"""A switch's HTTP edge for tests: an HttpClient that keeps what it is sent and answers as told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from payhub_engines.connectors.http import HttpAnswer, UnreachableError


@dataclass
class Sent:
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    query: str = ""

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


class FakeSwitch:
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.down = False
        self.status = 202
        self.error_code = ""

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
        if self.down:
            raise UnreachableError("down")
        parts = urlsplit(url)
        self.sent.append(Sent(method, parts.path, dict(headers), body, parts.query))
        if self.error_code:
            information = {"errorCode": self.error_code, "errorDescription": "refused by the switch"}
            return HttpAnswer(status=self.status, body=json.dumps({"errorInformation": information}).encode())
        return HttpAnswer(status=self.status)
