"""HTTP/1.1 against h11, which is written independently and in another way: what h11 refuses is refused."""

import asyncio
import random
import re
from typing import Any

import h11
import msgspec
import pytest
import uvicorn
from uvicorn.server import ServerState

from payhub_platform import http1

GET = b"GET /e?a=b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /e HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"

# What one side of a proxy could take for one request, and the other for another.
HOSTILE = {
    "folded": POST + b"X-A: a\r\n b\r\n\r\n",
    "folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded length": POST + b"Content-Length: 1\r\n 2\r\n\r\nhi",
    "folded at once": b"POST /e HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    "LF for CRLF": b"POST /e HTTP/1.1\nHost: x\n\n",
    "one LF": POST + b"X: y\nZ: y\r\n\r\n",
    "one CR": POST + b"X: y\rZ: y\r\n\r\n",
    "CRCRLF": POST + b"X: y\r\r\n\r\n",
    "head ends LFLF": POST + b"X: y\r\n\n",
    "blank before colon": POST + b"Content-Length : 2\r\n\r\nhi",
    "no name": POST + b": y\r\n\r\n",
    "no colon": POST + b"abc\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 said": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "http/1.1": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\nabc",
    "blank at the end of the line": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "tabs in the line": b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "lengths in a list": POST + b"Content-Length: 2, 2\r\n\r\nhi",
    "length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 1\r\n\r\nhi",
    "length with sign": POST + b"Content-Length: +2\r\n\r\nhi",
    "negative length": POST + b"Content-Length: -2\r\n\r\nhi",
    "no length": POST + b"Content-Length:\r\n\r\n",
    "length in two": POST + b"Content-Length: 1 2\r\n\r\nhi",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "length and chunks": POST
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "gzip, chunked": WHOLE.replace(b"chunked", b"gzip, chunked"),
    "chunked, identity": WHOLE.replace(b"chunked", b"chunked, identity"),
    "chunked twice": WHOLE.replace(b"chunked", b"chunked\r\nTransfer-Encoding: chunked"),
    "identity and chunked": WHOLE.replace(b"chunked", b"identity\r\nTransfer-Encoding: chunked"),
    "vertical tab": WHOLE.replace(b"chunked", b"\x0bchunked"),
    "xchunked": WHOLE.replace(b"chunked", b"xchunked"),
    "no encoding": WHOLE.replace(b"chunked", b""),
    "0x": CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
    "LF after a chunk's size": CHUNKED + b"2\nhi\r\n0\r\n\r\n",
    "LF after an extension": CHUNKED + b"2;a\nhi\r\n0\r\n\r\n",
    "line in an extension": CHUNKED + b'2;a="b\r\nc"\r\nhi\r\n0\r\n\r\n',
    "blank before a size": CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n",
    "chunk without end": CHUNKED + b"2\r\nhi0\r\n\r\n",
    "chunk too long": CHUNKED + b"2\r\nhixx\r\n0\r\n\r\n",
    "huge chunk": CHUNKED + b"ffffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\nhi\r\n0\r\n\r\n",
    "NUL": POST + b"X: a\x00b\r\n\r\n",
    "name not ASCII": POST + b"X\xff: b\r\n\r\n",
    "target not ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in target": b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
}
HONEST = {
    "without a body": GET,
    "length": POST + b"Content-Length: 2 \r\n\r\nhi",
    "chunks": WHOLE,
    "chunks with extension": CHUNKED + b"1;a=b\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
    "two": POST + b"Content-Length: 2\r\n\r\nhi" + GET,
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "blanks round values": POST + b"X:  \t a b \t \r\nY:\r\nAuthorization: z \r\n\r\n",
    "bytes that are no text": POST + b"X: a\xffb\r\n\r\n",
    "whole address": b"GET http://a/b HTTP/1.1\r\nHost: x\r\n\r\n",
    "percent": b"GET /a%2Fb%C3%A4?c=%20 HTTP/1.1\r\nHost: x\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "headers after the body": CHUNKED + b"2\r\nhi\r\n0\r\nX-T: 1\r\nAuthorization: y\r\n\r\n" + GET,
    "offers HTTP/2": POST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    + b"Content-Length: 2\r\n\r\nhi"
    + GET,
}
# What llhttp takes and h11 does not, and what changes no request's meaning: empty lines before a request, and
# more blanks in its first line (RFC 9112 sections 2.2 and 3).
LENIENT = re.compile(rb"(\A|hi)[\r\n]+[A-Z]|\r?\n\r?\n[\r\n]+|  HTTP/|(GET|POST|OPTIONS)  ")
Taken = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]


class Wire(asyncio.Transport):
    """A connection in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Served:
    """What an application was given over one connection, and what the client got."""

    def __init__(self, wait: asyncio.Event | None = None) -> None:
        self.taken: list[Taken] = []
        self.wire = Wire()
        self._wait = wait
        config = uvicorn.Config(
            self._app, interface="asgi3", proxy_headers=False, lifespan="off", log_config=None
        )
        self.state = ServerState()
        self.protocol = http1.Protocol(config, self.state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.wire)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        if self._wait is not None:
            await self._wait.wait()
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        self.taken.append((scope["method"].encode(), target, scope["headers"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def feed(self, *parts: bytes) -> None:
        for part in parts:
            if not self.wire.closed:
                self.protocol.data_received(part)
        for _ in range(3 + 3 * len(self.state.tasks) * http1.WAITING_MAX):
            await asyncio.sleep(0)
            if not self.state.tasks:
                break

    def end(self) -> None:
        self.protocol.connection_lost(None)

    @property
    def is_refused(self) -> bool:
        return b"malformed-http" in self.wire.written


def by_h11(data: bytes) -> tuple[list[Taken], bool]:
    """Return the requests that h11 reads, and whether it refuses what follows."""
    connection = h11.Connection(h11.SERVER, http1.HEAD_BYTES_MAX)
    connection.receive_data(data)
    taken: list[Taken] = []
    try:
        while True:
            read = _request_by_h11(connection)
            if read is None:
                return taken, False
            if read[0] == b"CONNECT":
                return taken, True
            taken.append(read)
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                return taken, False
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return taken, True


def _request_by_h11(connection: h11.Connection) -> Taken | None:
    request: Any = connection.next_event()
    if not isinstance(request, h11.Request):
        return None
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            return None
        body += bytes(event.data)
    return (
        request.method,
        request.target,
        [(bytes(name), bytes(value)) for name, value in request.headers],
        body,
    )


def without_offer(taken: list[Taken]) -> list[Taken]:
    hidden = (b"upgrade", b"http2-settings", b"connection")
    return [
        (method, target, [each for each in headers if each[0] not in hidden], body)
        for method, target, headers, body in taken
    ]


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_can_be_read_in_two_ways_is_refused(name: str):
    served = Served()
    await served.feed(HOSTILE[name])
    served.end()
    assert served.taken == []
    head, _, body = bytes(served.wire.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert msgspec.json.decode(body)["code"] == "malformed-http"
    assert served.wire.closed


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_what_is_taken_is_what_h11_reads(name: str, step: int):
    served, data = Served(), HONEST[name]
    await served.feed(*(data[at : at + step] for at in range(0, len(data), step)))
    served.end()
    assert not served.is_refused
    read, is_refused = by_h11(data)
    assert (without_offer(served.taken), is_refused) == (without_offer(read), False)
    assert served.wire.written.count(b"HTTP/1.1 200 OK") == len(read)


async def test_nothing_is_taken_that_h11_refuses_whatever_bytes_are_changed():
    rng = random.Random(7)
    originals = [*HONEST.values(), *HONEST.values(), *HOSTILE.values()]
    inserts = [b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b":", b",", b"0", b"2", b"\x0b", b"chunked", b"; "]
    compared = 0
    for _ in range(6_000):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 0, 1, 2))] = rng.choice(inserts)
        if LENIENT.search(data):
            continue
        served = Served()
        await served.feed(bytes(data))
        served.end()
        read, _ = by_h11(bytes(data))
        taken = without_offer(served.taken)
        assert taken == without_offer(read)[: len(taken)], bytes(data)
        compared += len(taken)
    assert compared > 300


async def test_a_refusal_waits_for_the_answers_before_it():
    may_go = asyncio.Event()
    served = Served(may_go)
    await served.feed(POST + b"Content-Length: 2\r\n\r\nhi" + GET + b"no http\r\n\r\n")
    assert served.wire.written == b""
    may_go.set()
    await served.feed()
    served.end()
    assert [body for *_, body in served.taken] == [b"hi", b""]
    assert bytes(served.wire.written).index(b"HTTP/1.1 400") > bytes(served.wire.written).rindex(b"200 OK")
    assert served.wire.closed


async def test_a_broken_body_that_waits_is_not_served_and_does_not_hide_the_answer_before_it():
    may_go = asyncio.Event()
    served = Served(may_go)
    await served.feed(GET + CHUNKED + b"2\r\nhi\r\n", b"zz\r\n")
    may_go.set()
    await served.feed()
    served.end()
    assert [method for method, *_ in served.taken] == [b"GET"]
    assert served.wire.written.count(b"HTTP/1.1 200") == served.wire.written.count(b"HTTP/1.1 400") == 1


async def test_only_so_many_requests_wait_on_a_connection():
    may_go = asyncio.Event()
    served = Served(may_go)
    await served.feed(GET * 5_000)
    may_go.set()
    await served.feed()
    served.end()
    assert len(served.taken) == 1 + http1.WAITING_MAX
    assert served.is_refused


@pytest.mark.parametrize(
    "sent",
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",),
        (POST, *[b"X: " + b"a" * 200 + b"\r\n"] * 400),
        (POST + b"X: ", *[b"a" * 1_000] * 100),
        (CHUNKED + b"2;", *[b"a" * 1_000] * 100),
        (CHUNKED + b"2\r\nhi\r\n0\r\nX: ", *[b"a" * 1_000] * 100),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", *[b"X: y\r\n" * 100] * 300),
        (*[b"\r\n" * 500] * 100,),
    ],
    ids=["target", "headers", "one header", "extension", "one trailer", "trailers", "empty lines"],
)
async def test_nothing_without_end_is_read_on(sent: tuple[bytes, ...]):
    served = Served()
    await served.feed(*sent)
    served.end()
    assert (served.taken, served.is_refused, served.wire.closed) == ([], True, True)


async def test_a_client_may_ask_before_it_sends_its_body():
    served = Served()
    await served.feed(POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert served.wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    await served.feed(b"hi")
    served.end()
    assert [body for *_, body in served.taken] == [b"hi"]


async def test_what_follows_the_last_request_is_not_read():
    served = Served()
    await served.feed(GET.replace(b"Host", b"Connection: close\r\nHost") + GET)
    served.end()
    assert len(served.taken) == 1
    assert b"connection: close" in served.wire.written
    assert served.wire.closed
