"""Has this engine begun it? Another one asks before it begins it; from the answer on this one will not."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from payhub_engines.core.commands import Command, FenceTenant
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.core.state import State
from payhub_platform import cancellation
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.contracts.engine import RecallReply, RecallRequest
from payhub_platform.errors import InvalidInputError, PayhubError, UnavailableError

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

ASK_TIMEOUT_S: Final = 2.0
AT_ONCE_MAX: Final = 128


class Stream(Protocol):
    """What is needed of an engine's ``StreamProcessor``."""

    async def submit(self, command: Command, tenant: str = "") -> Reply:
        """Decide a command and return its reply once it is committed."""
        ...

    async def read(self, function: Callable[[State], _T], tenant: str = "") -> _T:
        """Return what a function finds in the committed state."""
        ...


async def recalled(stream: Stream, tenant: str, epoch: int, find: Callable[[State], _T | None]) -> _T | None:
    """Return what this engine has begun; None: nothing, and nothing will begin here under an older epoch.

    The fence is in the log before anything is denied, so that neither a crash nor a new leader that has not
    heard of the placement begins afterwards what was denied.

    Raises:
        InvalidInputError: ``invalid-key``.
        UnavailableError: this replica cannot tell now.
    """
    while True:
        found, fence = await stream.read(lambda state: (find(state), state.fence(tenant)), tenant)
        if found is not None or fence >= epoch:
            return found
        reply = await stream.submit(FenceTenant(tenant=tenant, epoch=epoch), tenant)
        if isinstance(reply, Rejected):
            raise InvalidInputError(reply.code, reply.detail)


class RecallServer:
    """Answers other engines; only the leader does."""

    def __init__(self, engine_id: str, stream: Stream, bus: Bus) -> None:
        self._subject = subjects.recall(engine_id)
        self._stream = stream
        self._bus = bus
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer, as soon as NATS is there, until cancelled."""
        try:
            await self._bus.serve(self._subject, self._on_request)
        finally:
            await cancellation.end(self._tasks)

    async def _on_request(self, message: Msg) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._places.release()
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("a recall could not be answered", exc_info=task.exception())

    async def _answer(self, message: Msg) -> None:
        try:
            asked = msgspec.msgpack.decode(message.data, type=RecallRequest)
        except msgspec.DecodeError:
            _logger.exception("a recall that cannot be read was dropped")
            return
        try:
            found = await recalled(
                self._stream, asked.tenant, asked.epoch, lambda state: _begun(state, asked)
            )
            reply = RecallReply(known=found is not None)
        except PayhubError as error:
            reply = RecallReply(reason=error.code)
        try:
            await message.respond(msgspec.msgpack.encode(reply))
        except NatsError as error:
            _logger.info("recall reply lost, it will be asked again: %s", type(error).__name__)


def _begun(state: State, asked: RecallRequest) -> bool | None:
    waits = state.has_subscription(asked.tenant, asked.name, asked.correlation_key)
    return waits or state.find_key(asked.tenant, asked.process, asked.payment) is not None or None


async def ask(bus: Bus, engine: str, request: RecallRequest) -> bool:
    """Ask another engine whether it has begun something.

    Raises:
        UnavailableError: ``engine-unasked``; it did not tell.
    """
    try:
        answer = await bus.request(
            subjects.recall(engine), msgspec.msgpack.encode(request), timeout=ASK_TIMEOUT_S
        )
        reply = msgspec.msgpack.decode(answer.data, type=RecallReply)
    except (NatsError, TimeoutError, OSError, msgspec.DecodeError) as error:
        _logger.info("engine %s did not tell what it has begun: %s", engine, type(error).__name__)
        raise _unasked(engine) from error
    if reply.reason:
        _logger.info("engine %s cannot tell what it has begun: %s", engine, reply.reason)
        raise _unasked(engine)
    return reply.known


def _unasked(engine: str) -> UnavailableError:
    return UnavailableError("engine-unasked", f"Engine {engine} may have begun this, and does not answer.")
