"""A handler answers the same with Litestar's layers and without them."""

import logging
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from payhub_gateway.limits import read_body
from payhub_gateway.shortcuts import Shortcuts
from payhub_platform.errors import UnavailableError
from payhub_platform.http import exception_handlers


class Told(msgspec.Struct, rename="camel"):
    what_was_said: str


class Word(str):
    """What the application provides."""

    __slots__ = ()


@post("/a", status_code=202)
async def said(request: Request[Any, Any, Any], word: NamedDependency[Word]) -> Response[Told]:
    body = (await read_body(request)).decode()
    return Response(Told(f"{word} {body}"), status_code=202, headers={"Location": "/a/1", "X-Case": "é"})


@get(["/a/{name:str}", "/b/{name:str}"])
async def read(request: Request[Any, Any, Any], name: FromPath[str]) -> Told:
    match name:
        case "busy":
            raise UnavailableError("busy", "Later.", retry_after_s=3)
        case "gone":
            raise NotFoundException("gone")
        case "defect":
            raise KeyError("password=1")
    return Told(f"{name} {request.path_params['name']}")


REQUESTS = [
    ("POST", "/a"),
    ("POST", "/a/"),
    ("PUT", "/a"),
    ("GET", "/a"),
    ("GET", "/a/x"),
    ("GET", "/a/x/"),
    ("GET", "/a//x"),
    ("GET", "/a/x%2Fy"),
    ("GET", "/a/%C3%A4%20%25"),
    ("GET", "/b/x?a=b"),
    ("GET", "/b/x/y"),
    ("GET", "/c/x"),
    ("DELETE", "/b/x"),
    ("GET", "/a/busy"),
    ("GET", "/a/gone"),
    ("GET", "/a/defect"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_the_answer_is_the_same(method: str, path: str, caplog: pytest.LogCaptureFixture):
    word = Word("hello")
    app = Litestar(
        [said, read],
        dependencies={"word": Provide(lambda: word, use_cache=True, sync_to_thread=False)},
        exception_handlers=exception_handlers(),
        openapi_config=None,
        logging_config=None,
    )
    answers = []
    for is_short in (False, True):
        if is_short:
            app.asgi_handler = Shortcuts(app.asgi_handler, [said, read], {"word": word})
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            with caplog.at_level(logging.CRITICAL):
                answer = await client.request(method, path, content=b"all")
        answers.append((answer.status_code, sorted(answer.headers.raw), answer.content))
    assert answers[0] == answers[1]
    assert answers[0][0] != 500 or path.endswith("defect")
