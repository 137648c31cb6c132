"""``python -m payhub_cli.bench.payments.scheme FILE``: the light switch and the light bank, one process."""

import asyncio
import contextlib
import itertools
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from payhub_cli.bench.payments.bank import Bank, Books
from payhub_cli.bench.payments.switch import Keys, Sent, Switch
from payhub_cli.local.ports import LOOPBACK
from payhub_platform.clock import system_clock
from payhub_platform.security.jws import SignatureError

BANK_PATH: Final = "bank"
BOOKS_PATH: Final = "/books"
ATTEMPTS_MAX: Final = 8
RETRY_FIRST_S: Final = 0.1  # doubled each time: a message is given up after half a minute
TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 256
CONNECTIONS_PER_HOST_MAX: Final = 128

_FAILURES: Final = 500
_ACCEPTED: Final = 202
_OK: Final = 200
_BAD_REQUEST: Final = 400
_logger = logging.getLogger(__name__)


class SchemeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told.

    Attributes:
        callbacks: base URLs of each institution's callbacks, taken in turn.
        is_payee: the switch answers for the payee's institution.
    """

    port: int
    callbacks: dict[str, list[str]]
    payee_fsp: str
    is_payee: bool
    keys: Keys


class SchemeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What ``GET /books`` answers: the bank's books, and what the switch could not do."""

    books: Books
    undelivered: int
    refused: int


class _Scheme:
    def __init__(self, settings: SchemeSettings, session: aiohttp.ClientSession) -> None:
        self._switch = Switch(settings.payee_fsp, settings.keys, is_payee=settings.is_payee)
        self._bank = Bank()
        self._session = session
        self._urls: dict[str, Iterator[str]] = {
            fsp: itertools.cycle(urls) for fsp, urls in settings.callbacks.items()
        }
        self._sending: set[asyncio.Task[None]] = set()
        self._undelivered = 0
        self._refused = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        path = request.rel_url.raw_path
        if path == "/health/ready":
            return _json(_OK, {"status": "ready"})
        if path == BOOKS_PATH:
            account = SchemeAccount(
                books=self._bank.books(), undelivered=self._undelivered, refused=self._refused
            )
            return _json(_OK, account)
        _, first, *rest = URL(path, encoded=True).path.split("/")
        if first == BANK_PATH:
            return _json(*self._bank.answer(request.method, rest, body))
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            following = self._switch.take(request.method, path, headers, body, system_clock())
        except (SignatureError, msgspec.DecodeError, KeyError) as error:
            self._refused += 1
            _logger.warning("%s %s refused: %s", request.method, path, error)
            return _json(_BAD_REQUEST, {"errorInformation": {"errorCode": "3100", "errorDescription": "No"}})
        for sent in following:
            task = asyncio.create_task(self._deliver(sent))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return web.Response(status=_ACCEPTED if request.method in ("GET", "POST") else _OK)

    async def _deliver(self, sent: Sent) -> None:
        for attempt in range(ATTEMPTS_MAX):
            url = URL(next(self._urls[sent.to]) + sent.path, encoded=True)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.request(
                    sent.method, url, headers=sent.headers, data=sent.body or None
                ) as response:
                    if response.status < _BAD_REQUEST:
                        return
                    text = (await response.read())[:300]
                    if response.status < _FAILURES:
                        _logger.warning("%s %s: %s %s", sent.method, sent.path, response.status, text)
                        break
            await asyncio.sleep(RETRY_FIRST_S * 2**attempt)
        self._undelivered += 1


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


async def serve(settings: SchemeSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, limit_per_host=CONNECTIONS_PER_HOST_MAX)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    own = ("Accept", "Accept-Encoding", "User-Agent")  # an Accept that names no FSPIOP is refused by some
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, skip_auto_headers=own) as session:
        runner = web.ServerRunner(web.Server(_Scheme(settings, session).handle, access_log=None))
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, settings.port).start()
            await stopped.wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """Run the process with the settings in the file that the command line names."""
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=SchemeSettings)))


if __name__ == "__main__":
    main()
