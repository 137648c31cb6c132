"""Fetching a client's key set over TLS: what is read of an answer, and what is not followed."""

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from support.authority import Authority

from payhub_gateway.oauth2.key_sets import KEY_SET_BYTES_MAX, HttpsKeyFetcher, KeyFetchError

HOST = "keys.example.com"


class Here(AbstractResolver):
    """Every name is this machine's."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)
        return [{**found, "family": socket.AF_INET}]  # type: ignore[list-item]

    async def close(self) -> None:
        """Nothing is held."""


async def answer(request: web.Request) -> web.StreamResponse:
    match request.path:
        case "/keys":
            return web.Response(body=b'{"keys": []}')
        case "/longest":
            return web.Response(body=b"x" * KEY_SET_BYTES_MAX)
        case "/too-long":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(4):
                await response.write(b"x" * (KEY_SET_BYTES_MAX // 2))
            return response
        case "/elsewhere":
            return web.Response(status=302, headers={"Location": "https://keys.example.com/keys"})
    return web.Response(status=404)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[HttpsKeyFetcher, HttpsKeyFetcher, str]]:
    """A fetcher that trusts the server, one that does not, and the server's address."""
    authority = Authority("keys")
    certificate, key = authority.issue(HOST)
    (tmp_path / "cert.pem").write_text(certificate)
    (tmp_path / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    trusting = HttpsKeyFetcher(Here(), ssl.create_default_context(cadata=authority.pem))
    wary = HttpsKeyFetcher(Here())
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=context)
    yield trusting, wary, f"https://{HOST}:{server.port}"
    await trusting.close()
    await wary.close()
    await server.close()


async def test_an_answer_is_short_and_direct_or_none(served: tuple[HttpsKeyFetcher, HttpsKeyFetcher, str]):
    trusting, wary, url = served
    assert await trusting.fetch(url + "/keys") == b'{"keys": []}'
    assert len(await trusting.fetch(url + "/longest")) == KEY_SET_BYTES_MAX
    for path, why in (("/too-long", "too long"), ("/elsewhere", "302"), ("/none", "404")):
        with pytest.raises(KeyFetchError, match=why):
            await trusting.fetch(url + path)
    with pytest.raises(KeyFetchError, match="Certificate"):
        await wary.fetch(url + "/keys")
    with pytest.raises(KeyFetchError, match="Certificate"):
        await trusting.fetch(url.replace(HOST, "other.example.com") + "/keys")
