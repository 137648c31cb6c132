"""The HTTP client against servers that answer byte for byte what a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from payhub_platform import event_loop, http_client
from payhub_platform.http_client import AnswerTooLongError, HttpClient, UnansweredError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Scripted:
    """Gives each request of a connection the next answer; after the last one it closes the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.received: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.received.append(head + await reader.readexactly(int(length or b"0")))
                for part in answer.split(b"|"):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.01 if b"|" in answer else 0)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[HttpClient]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/e"
        try:
            async with asyncio.timeout(30), HttpClient() as client:
                yield client
        finally:
            server.close()
            await asyncio.gather(*filter(None, self.serving))


async def get(client: HttpClient, url: str, bytes_max: int = 100) -> http_client.Answer:
    return await client.request("GET", url, [("X-A", "b")], answer_bytes_max=bytes_max)


async def test_a_connection_is_used_again():
    server = Scripted(
        OK, b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", OK
    )
    async with server.running() as client:
        assert [(each.status, each.body) for each in [await get(client, server.url) for _ in range(3)]] == [
            (200, b"hi"),
            (404, b"a"),
            (200, b"hi"),
        ]
        while client._open:  # the server closes the connection after its third answer
            await asyncio.sleep(0.01)
        sent = await client.request("POST", server.url + "?a=%20", [], b"body", answer_bytes_max=9)
    assert sent.status == 200
    assert server.connections == 2
    assert server.received[0].startswith(b"GET /e HTTP/1.1\r\nhost: 127.0.0.1:")
    assert server.received[3].startswith(b"POST /e?a=%20 HTTP/1.1\r\n")
    assert server.received[3].endswith(b"content-length: 4\r\n\r\nbody")


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 2|00 OK\r\nContent-Le|ngth: 2\r\n\r|\nh|i", 200, b"hi"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the |end", 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", 200, b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 103 Early\r\nX: y\r\n\r\n" + OK, 200, b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", 302, b""),
    ],
)
async def test_answers_of_every_form(answer: bytes, status: int, body: bytes):
    server = Scripted(answer)
    async with server.running() as client:
        got = await get(client, server.url)
    assert (got.status, got.body) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nhi",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_none(answer: bytes):
    server = Scripted(answer)
    async with server.running() as client:
        with pytest.raises(UnansweredError) as caught:
            await client.request("POST", server.url, [], b"", answer_bytes_max=100)
    assert caught.value.is_sent


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"a" * 101,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 101,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_too_long_is_not_read(answer: bytes):
    server = Scripted(answer)
    async with server.running() as client:
        with pytest.raises(AnswerTooLongError):
            await get(client, server.url)


async def test_what_follows_an_answer_is_never_taken_for_the_next_one():
    server = Scripted(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK)
    async with server.running() as client:
        bodies = [(await get(client, server.url)).body for _ in range(2)]
    assert bodies == [b"hi", b"hi"]
    assert server.connections == 2


async def test_only_what_may_be_repeated_is_sent_again_when_a_kept_connection_has_ended():
    server = Scripted(OK, b"")  # takes the second request, and closes without a word
    async with server.running() as client:
        await get(client, server.url)
        assert (await get(client, server.url)).body == b"hi"
        with pytest.raises(UnansweredError):
            await client.request("POST", server.url, [], answer_bytes_max=100)
    assert [head.split()[0] for head in server.received] == [b"GET", b"GET", b"GET", b"POST"]


async def test_nobody_there_means_that_nothing_was_sent():
    async with HttpClient() as client:
        with pytest.raises(UnansweredError) as caught:
            await get(client, "http://127.0.0.1:1/")
    assert not caught.value.is_sent


async def test_who_does_not_wait_leaves_no_answer_for_the_next_one():
    server = Scripted(b"HTTP/1.1 200 OK\r\n|Content-Length: 4\r\n|\r\nlate", OK)
    async with server.running() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await get(client, server.url)
        server.answers = (OK,)
        assert (await get(client, server.url)).body == b"hi"
    assert server.connections == 2


async def test_so_many_at_once_and_no_more():
    server = Scripted(*[b"HTTP/1.1 200 OK\r\n|Content-Length: 2\r\n\r\nhi"] * 10)
    async with server.running(), HttpClient(connections_max=2) as client:
        answers = await asyncio.gather(*(get(client, server.url) for _ in range(8)))
    assert [answer.body for answer in answers] == [b"hi"] * 8
    assert server.connections == 2


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://x/a b", []),
        ("http://x/a\r\nX: y", []),
        ("http://x/ä", []),
        ("http://x/a#b", []),
        ("http://user:password@x/", []),
        ("http:///a", []),
        ("ftp://x/", []),
        ("x/a", []),
        ("http://x/", [("X-A", "b\r\nAuthorization: c")]),
        ("http://x/", [("X-A", "b\nc")]),
        ("http://x/", [("X-A\r", "b")]),
        ("http://x/", [("X-A", "b\0")]),
    ],
)
async def test_what_cannot_be_written_is_not_sent(url: str, headers: list[tuple[str, str]]):
    async with HttpClient() as client:
        with pytest.raises(ValueError, match=r".+"):
            await client.request("GET", url, headers, answer_bytes_max=1)


def test_the_loop_of_busy_processes_will_do():
    async def once() -> bytes:
        server = Scripted(OK)
        async with server.running() as client:
            return (await get(client, server.url)).body

    assert event_loop.run(once()) == b"hi"


async def test_connections_that_nobody_uses_are_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_client, "KEPT_S", 0.05)
    server = Scripted(OK, OK)
    async with server.running() as client:
        await get(client, server.url)
        while client._kept:
            await asyncio.sleep(0.01)
        await get(client, server.url)
    assert server.connections == 2
