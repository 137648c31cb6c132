"""A channel that costs little itself: requests over open connections, each under a key of its own."""

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable
from typing import Final

import msgspec

from payhub_cli.bench.errors import BenchError

ANSWER_WAIT_S: Final = 20.0
_ACCEPTED: Final = b"HTTP/1.1 202"
_LENGTH: Final = b"content-length:"

Request = Callable[[str], bytes]
"""Writes the whole HTTP request that is sent under an idempotency key."""


class Sent(msgspec.Struct, frozen=True):
    """What came of a load: how long each request took, the shortest first, and how long all."""

    took_ms: list[float]
    seconds: float

    @property
    def per_s(self) -> float:
        """How many requests were answered in a second."""
        return len(self.took_ms) / self.seconds


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - no stream has another
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Give an answer that is complete to who waits for it."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        head = bytes(self._received[:end]).lower()
        length = head.find(_LENGTH)
        size = int(head[length + len(_LENGTH) :].split(b"\r\n", 1)[0]) if length >= 0 else 0
        if len(self._received) >= end + 4 + size:
            self._answer.set_result(bytes(self._received[: end + 4 + size]))
            self._received.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BenchError(f"A connection was lost: {exc}."))

    async def ask(self, request: bytes) -> None:
        """Send a request and wait until it is accepted.

        Raises:
            BenchError: it was not.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        answer = await self._answer
        if not answer.startswith(_ACCEPTED):
            raise BenchError(f"A request was not accepted: {answer[-300:].decode(errors='replace')}")


class Channel:
    """Sends requests to one port.

    Args:
        port: of a server on this machine.
        request: writes requests.
        lanes: connections, and requests at once.
        tls: how to connect; None without TLS.
    """

    def __init__(self, port: int, request: Request, lanes: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._request = request
        self._lanes = lanes
        self._keys = map(str, itertools.count())

    async def closed_loop(self, seconds: float) -> Sent:
        """Send on each lane as soon as the last request was answered."""
        return await self._run(seconds, 0.0)

    async def open_loop(self, seconds: float, per_s: float) -> Sent:
        """Send at a steady rate; time counts from when a request was due."""
        return await self._run(seconds, self._lanes / per_s)

    async def _run(self, seconds: float, every_s: float) -> Sent:
        took_ms: list[float] = []
        loop = asyncio.get_running_loop()
        lanes = [
            (await loop.create_connection(Connection, "127.0.0.1", self._port, ssl=self._tls))[1]
            for _ in range(self._lanes)
        ]
        began_s = time.perf_counter()
        end_s = began_s + seconds

        async def lane(number: int, connection: Connection) -> None:
            due_s = began_s + every_s * number / self._lanes
            while due_s < end_s:
                if every_s:
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                await connection.ask(self._request(next(self._keys)))
                now_s = time.perf_counter()
                took_ms.append((now_s - due_s) * 1000)
                due_s = due_s + every_s if every_s else now_s

        try:
            async with asyncio.timeout(seconds + ANSWER_WAIT_S), asyncio.TaskGroup() as group:
                for number, connection in enumerate(lanes):
                    group.create_task(lane(number, connection))
        except* BenchError as errors:
            raise errors.exceptions[0] from None
        finally:
            for connection in lanes:
                connection.transport.close()
        return Sent(sorted(took_ms), time.perf_counter() - began_s)
