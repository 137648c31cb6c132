import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from payhub_engines.connectors.http import ANSWER_BYTES_MAX, SharedConnections, UnreachableError
from payhub_platform.http_client import HttpClient


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    return web.Response(status=202, body=f"{request.method} {request.raw_path} ".encode() + body)


async def slow(_request: web.Request) -> web.Response:
    await asyncio.sleep(5)
    return web.Response()


async def long(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * (ANSWER_BYTES_MAX + 1))


async def moved(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})


async def session(request: web.Request) -> web.Response:
    answer = web.Response(text=request.headers.get("Cookie", ""))
    answer.set_cookie("JSESSIONID", "of-the-first-tenant")
    return answer


@pytest.fixture
async def server():
    app = web.Application()
    app.router.add_route("*", "/slow", slow)
    app.router.add_route("*", "/long", long)
    app.router.add_route("*", "/moved", moved)
    app.router.add_route("*", "/session", session)
    app.router.add_route("*", "/{rest:.*}", echo)
    async with TestServer(app) as running:
        yield running


@pytest.fixture
async def client():
    async with HttpClient() as shared:
        yield SharedConnections(shared)


async def test_a_request_keeps_its_encoded_path_and_body(server, client):
    url = str(server.make_url("/")) + "parties/EMAIL/a%20b+c@d"
    answer = await client.request("PUT", url, headers={"X-A": "1"}, body=b"body", timeout_s=20)
    assert (answer.status, answer.body) == (202, b"PUT /parties/EMAIL/a%20b+c@d body")


@pytest.mark.parametrize("path", ["/slow", "/long"])
async def test_an_answer_out_of_bounds_is_no_answer(server, client, path):
    with pytest.raises(UnreachableError):
        await client.request("GET", str(server.make_url(path)), headers={}, body=b"", timeout_s=0.5)


async def test_nothing_is_kept_of_a_tenants_session_for_the_next_one(server, client):
    """Two tenants may be at one host, which knows them apart by what each request says."""
    url = f"http://localhost:{server.port}/session"
    for _ in range(2):
        answer = await client.request("GET", url, headers={}, body=b"", timeout_s=20)
        assert (answer.status, answer.body) == (200, b"")


async def test_redirects_are_not_followed(server, client):
    url = str(server.make_url("/moved"))
    assert (await client.request("GET", url, headers={}, body=b"", timeout_s=20)).status == 302


async def test_nobody_listening_is_no_answer(client):
    with pytest.raises(UnreachableError):
        await client.request("GET", "http://127.0.0.1:1/", headers={}, body=b"", timeout_s=20)
