"""Requests to any replica of an engine, over real sockets: followers ask the leader, byte for byte."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict
from support import replica_group
from support.replica_group import ELECTION_S, Running, running_group

from payhub_engines.server import app, forward
from payhub_platform.http import BODY_BYTES_MAX


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(app, "DRAIN_S", 0.0)
    async with running_group() as held:
        yield held


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def exchange(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(30):
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        writer.close()
    return int(head[0].split()[1]), headers, body


async def test_the_leader_names_itself(running: Running, http: aiohttp.ClientSession):
    for name, url in running.group.urls.items():
        async with http.post(url + "/engine/v1/payments", data=b"{}") as answer:
            assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "1"), name
    assert [by for by, _ in running.group.committed] == ["1", "1", "1"]


async def test_a_follower_sends_on_bytes_and_gives_them_back(running: Running):
    body = b'{ "amount" : "1.00",\r\n "note":"\xc3\xa9" }'
    sent = (
        b"PUT /fspiop/parties/MSISDN/%2B254%2F1/../x;y=1?a=%20b&a=+&c HTTP/1.1\r\nHost: Switch.Example\r\n"
        b'FSPIOP-Signature: {"signature":"x", "protectedHeader":"y"}\r\n'
        b"Content-Type: application/vnd.interoperability.parties+json;version=1.1\r\n"
        b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\nX-Twice: one\r\nX-Twice: two\r\nX-Name: J\xc3\xb6rg\r\n"
        b"Connection: keep-alive, X-Private\r\nX-Private: hop\r\nTE: trailers\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    status, headers, content = await exchange(running.group.members["2"].port, sent)
    assert (status, content) == (206, b"\x00raw")
    assert (headers["x-of"], headers["x-payhub-leader"]) == ("1", "1")
    assert "x-hop" not in headers
    [(_, request, received)] = running.group.seen
    assert received == body
    assert request.scope["raw_path"] == b"/fspiop/parties/MSISDN/%2B254%2F1/../x;y=1"
    assert request.scope["query_string"] == b"a=%20b&a=+&c"
    got = sorted(request.scope["headers"])
    assert got == sorted(
        [
            (b"host", b"Switch.Example"),
            (b"fspiop-signature", b'{"signature":"x", "protectedHeader":"y"}'),
            (b"content-type", b"application/vnd.interoperability.parties+json;version=1.1"),
            (b"date", b"Tue, 15 Nov 1994 08:12:31 GMT"),
            (b"x-twice", b"one"),
            (b"x-twice", b"two"),
            (b"x-name", "Jörg".encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-payhub-forwarded", b"2"),
        ]
    )


async def test_a_request_without_a_body_stays_without(running: Running):
    sent = b"GET /fspiop/transfers/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await exchange(running.group.members["3"].port, sent))[0] == 206
    [(_, request, received)] = running.group.seen
    assert received == b""
    assert {name for name, _ in request.scope["headers"]} == {b"host", b"x-payhub-forwarded"}


async def test_a_chunked_body_arrives_whole(running: Running):
    head = b"POST /fspiop/quotes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert (await exchange(running.group.members["2"].port, head + chunks))[0] == 206
    assert running.group.seen[0][2] == b"abcde"


@pytest.mark.parametrize("target", [b"http://127.0.0.1:1/fspiop/x", b"@127.0.0.1:1/fspiop/x", b"/fspiop/x#y"])
async def test_no_target_leads_to_another_host(running: Running, target: bytes):
    status, _, body = await exchange(
        running.group.members["2"].port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert (status, msgspec.json.decode(body)["code"]) == (400, "malformed-http")
    assert running.group.seen == []


async def test_a_header_that_cannot_be_sent_on_unchanged_is_refused(running: Running):
    sent = b"GET /engine/v1/payments/1 HTTP/1.1\r\nHost: x\r\nX-Name: J\xf6rg\r\n\r\n"
    status, _, body = await exchange(running.group.members["2"].port, sent)
    assert (status, msgspec.json.decode(body)["code"]) == (400, "malformed-http")


async def test_a_body_that_is_too_large_is_refused_by_any_replica(
    running: Running, http: aiohttp.ClientSession
):
    for url in running.group.urls.values():
        async with http.post(url + "/engine/v1/payments", data=b"x" * (BODY_BYTES_MAX + 1)) as answer:
            assert answer.status == 413
            assert (await answer.json(content_type=None))["code"] == "body-too-large"


async def test_one_hop_only(running: Running, http: aiohttp.ClientSession):
    url = running.group.urls["2"]
    async with http.post(
        url + "/engine/v1/payments", data=b"{}", headers={"X-Payhub-Forwarded": "3"}
    ) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "X-Payhub-Leader" not in answer.headers
        assert (await answer.json(content_type=None))["code"] == "engine-not-leader"
    assert running.group.committed == []


async def test_a_request_waits_for_an_election(running: Running, http: aiohttp.ClientSession):
    running.group.elect_another("1")
    async with http.post(running.group.urls["3"] + "/engine/v1/payments", data=b"{}") as answer:
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")
    running.group.elect_another("2")
    async with http.post(running.group.urls["1"] + "/engine/v1/payments", data=b"{}") as answer:
        # The one that waited leads now, and answers itself.
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "1")
    assert [by for by, _ in running.group.committed] == ["2", "1"]


async def test_nobody_is_waited_for_without_end(
    running: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forward, "LEADER_WAIT_S", 0.1)
    running.group.leader = None
    async with http.post(running.group.urls["1"] + "/engine/v1/payments", data=b"{}") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        problem = await answer.json(content_type=None)
        assert (problem["code"], problem["instance"]) == ("engine-not-leader", "/engine/v1/payments")
    async with http.put(running.group.urls["2"] + "/fspiop/transfers/1", data=b"{}") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["errorInformation"]["errorCode"] == "2003"


async def test_a_leader_that_is_gone_is_not_waited_for(running: Running, http: aiohttp.ClientSession):
    await running.stop("1")
    running.group.leader = "1"  # the others have not noticed yet
    asyncio.get_running_loop().call_later(ELECTION_S, running.group.elect_another, "1")
    async with http.post(running.group.urls["3"] + "/engine/v1/payments", data=b"{}") as answer:
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")


async def test_one_that_led_until_now_is_not_taken_at_its_word(running: Running, http: aiohttp.ClientSession):
    late = running.group.members["3"]
    late.believes, running.group.leader = "1", "2"
    asyncio.get_running_loop().call_later(ELECTION_S, setattr, late, "believes", None)
    async with http.post(running.group.urls["3"] + "/engine/v1/payments", data=b"{}") as answer:
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")
    assert len(running.group.committed) == 1


async def test_an_answer_that_hangs_is_given_up_when_another_one_leads(
    running: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replica_group, "COMMIT_S", 60.0)
    sending = asyncio.create_task(http.post(running.group.urls["3"] + "/engine/v1/payments", data=b"{}"))
    await running.group.deciding.wait()
    monkeypatch.setattr(replica_group, "COMMIT_S", 0.0)
    running.group.elect_another("1")
    async with asyncio.timeout(30), await sending as answer:
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")


async def test_too_many_waiting_requests_are_refused(
    running: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forward, "FORWARDS_MAX", 0)
    async with http.post(running.group.urls["2"] + "/engine/v1/payments", data=b"{}") as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "overloaded")


async def test_health_is_each_replicas_own(running: Running, http: aiohttp.ClientSession):
    async with http.get(running.group.urls["2"] + "/health/ready") as answer:
        assert await answer.json() == {"status": "ready", "replica": "2", "leader": "1"}
        assert "X-Payhub-Leader" not in answer.headers
    running.group.members["2"].hears_of_leader = False
    async with http.get(running.group.urls["2"] + "/health/ready") as answer:
        assert (await answer.json())["status"] == "starting"
    running.group.members["2"].is_stopping = True
    async with http.get(running.group.urls["2"] + "/health/ready") as answer:
        assert (await answer.json())["status"] == "stopping"


async def test_a_body_that_was_read_before_the_lead_was_lost_goes_to_the_next_leader(
    running: Running, http: aiohttp.ClientSession
):
    url = running.group.urls["1"] + "/engine/v1/payments"
    sending = asyncio.create_task(http.post(url, data=b'{"n":1}'))
    await running.group.deciding.wait()
    running.group.elect_another("1")
    async with await sending as answer:
        assert (answer.status, answer.headers["X-Payhub-Leader"]) == (202, "2")
    assert running.group.committed == [("2", b'{"n":1}')]


async def test_repeated_headers_of_an_answer_are_kept(running: Running, http: aiohttp.ClientSession):
    headers = CIMultiDict([("X-A", "1"), ("X-A", "2")])
    async with http.get(running.group.urls["2"] + "/fspiop/x", headers=headers) as answer:
        assert answer.headers.getall("Date") == [answer.headers["Date"]]
        assert answer.headers.getall("Content-Length") == ["4"]
