"""What never becomes a request is refused as a problem too."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
from litestar import Litestar, Request, post

from payhub_platform import http1, serving
from payhub_platform.errors import PROBLEM_MEDIA_TYPE
from payhub_platform.http import exception_handlers


@post("/echo")
async def echo(request: Request) -> int:
    return len(await request.body())


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[int]:
    app = Litestar([echo], exception_handlers=exception_handlers(), openapi_config=None, logging_config=None)
    http = serving.server(app, "127.0.0.1", 0)
    running = asyncio.create_task(http.serve())
    while not http.started:
        await asyncio.sleep(0.01)
    try:
        yield http.servers[0].sockets[0].getsockname()[1]
    finally:
        http.should_exit = True
        await running


async def exchange(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        writer.write(sent)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        writer.close()
        await writer.wait_closed()
    return int(head[0].split()[1]), headers, body


HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02 no http\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: ten\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"X-Nul: a\x00b\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_malformed_http_is_a_problem(sent: bytes):
    async with served() as port:
        status, headers, body = await exchange(port, sent)
    assert (status, headers["content-type"]) == (400, PROBLEM_MEDIA_TYPE)
    assert headers["connection"] == "close"
    assert msgspec.json.decode(body)["code"] == "malformed-http"


async def test_headers_without_end_are_a_problem():
    async with served() as port:
        status, headers, body = await exchange(port, HEAD + b"X-Junk: " + b"a" * 300_000)
    assert (status, headers["content-type"]) == (400, PROBLEM_MEDIA_TYPE)
    assert msgspec.json.decode(body)["code"] == "malformed-http"


async def test_a_full_server_asks_to_come_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http1, "CONNECTIONS_MAX", 0)
    async with served() as port:
        status, headers, body = await exchange(port, HEAD + b"Content-Length: 0\r\n\r\n")
    assert (status, headers["content-type"]) == (503, PROBLEM_MEDIA_TYPE)
    assert headers["retry-after"] == "1"
    assert msgspec.json.decode(body)["code"] == "overloaded"


async def test_a_broken_body_of_a_request_at_work_breaks_nothing(caplog: pytest.LogCaptureFixture):
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    with caplog.at_level(logging.ERROR):
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            await asyncio.sleep(0.1)
            writer.write(b"zz\r\n")
            assert b"malformed-http" in await asyncio.wait_for(reader.read(), 20)
            writer.close()
            status, _, _ = await exchange(port, HEAD + b"Content-Length: 2\r\n\r\nhi")
    assert status == 201
    assert caplog.records == []


@pytest.mark.parametrize("sent", [b"", HEAD, b"P"])
async def test_who_does_not_send_a_head_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes):
    monkeypatch.setattr(http1, "HEAD_WAIT_S", 0.2)
    async with served() as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert await reader.read() == b""
        writer.close()


async def test_a_second_head_that_comes_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http1, "HEAD_WAIT_S", 0.3)
    async with served() as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
        assert await reader.readexactly(1) == b"0"
        reading = asyncio.create_task(reader.read())
        for sent in itertools.chain(HEAD + b"X-Junk: ", itertools.repeat(ord("x"))):
            if reading.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([sent]))
                await writer.drain()
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            assert reading.result() == b""
        writer.close()


async def test_a_connection_that_is_used_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http1, "HEAD_WAIT_S", 0.2)
    async with served() as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
            assert await reader.readexactly(1) == b"0"
            await asyncio.sleep(0.3)
        writer.close()
