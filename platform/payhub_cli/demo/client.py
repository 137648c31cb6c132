"""HTTP as the demonstration speaks it: JSON in, JSON out, problems told in one sentence."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from payhub_cli.demo.errors import DemoError

REQUEST_WAIT_S: Final = 10.0
AGAIN_WAIT_S: Final = 20.0  # how long a service that asks for another try is tried again
AGAIN_PAUSE_S: Final = 0.1
_SERVICE_UNAVAILABLE: Final = 503
_BAD_REQUEST: Final = 400


class Api:
    """One service's HTTP interface, with the headers that each request carries."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._session = session
        self.base_url = base_url
        self._headers = dict(headers or {})

    def with_headers(self, headers: Mapping[str, str]) -> "Api":
        """Return the same interface with more headers."""
        return Api(self._session, self.base_url, {**self._headers, **headers})

    async def get(self, path: str) -> Any:
        """Return what GET answers, decoded."""
        return await self._checked("GET", path, None, {})

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Return what POST answers, decoded; sent again while the service is unavailable or at it.

        Raises:
            DemoError: the service refused, or did not become available in time.
        """
        return await self._checked("POST", path, body, headers or {})

    async def put(self, path: str, body: Any) -> Any:
        """Return what PUT answers, as ``post``."""
        return await self._checked("PUT", path, body, {})

    async def form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Any]:
        """Post a form once and return status and decoded answer, whatever they are."""
        url = self.base_url + path
        async with self._session.post(
            url, data=dict(fields), headers=self._headers, timeout=_TIMEOUT
        ) as answer:
            return answer.status, _decoded(await answer.read())

    async def _checked(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        deadline = time.monotonic() + AGAIN_WAIT_S
        while True:
            status, answer = await self._once(method, path, body, headers)
            if not _asks_for_another_try(status, answer) or time.monotonic() > deadline:
                break
            await asyncio.sleep(AGAIN_PAUSE_S)
        if status >= _BAD_REQUEST:
            raise DemoError(f"{method} {self.base_url}{path} answered {status}: {_reason(answer)}")
        return answer

    async def _once(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**self._headers, **headers, **({"Content-Type": "application/json"} if content else {})}
        try:
            async with self._session.request(
                method, self.base_url + path, data=content, headers=sent, timeout=_TIMEOUT
            ) as answer:
                return answer.status, _decoded(await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return _SERVICE_UNAVAILABLE, {"detail": f"{type(error).__name__}"}


_TIMEOUT: Final = aiohttp.ClientTimeout(total=REQUEST_WAIT_S)


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {"detail": content[:200].decode(errors="replace")}


def _asks_for_another_try(status: int, answer: Any) -> bool:
    is_under_way = isinstance(answer, dict) and answer.get("code") == "request-in-progress"
    return status == _SERVICE_UNAVAILABLE or is_under_way


def _reason(answer: Any) -> str:
    if not isinstance(answer, dict):
        return "no reason given"
    where = "".join(f" at {error.get('pointer')}" for error in answer.get("errors", [])[:1])
    return f"{answer.get('code', 'no code')}{where}: {answer.get('detail', answer)}"
