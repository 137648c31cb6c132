"""The receiving half: commit the callback first, then acknowledge; a repeated one takes effect once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from payhub_engines.core.commands import CorrelateMessage, QueueHandover
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.handover.placing import Belongs, sent_on
from payhub_engines.server.stream import StreamProcessor
from payhub_platform import cancellation
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.contracts.handover import Callback, HandoverReply, HandoverRequest
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

AT_ONCE_MAX: Final = 128


FindOwner = Callable[[Callback], Awaitable[Belongs]]


async def _here(_callback: Callback) -> Belongs:
    return Belongs(here=True)


class HandoverReceiver:
    """Takes callbacks from other engines and gives them to this engine's stream processor."""

    def __init__(self, engine_id: str, stream: StreamProcessor, bus: Bus, belongs: FindOwner = _here) -> None:
        self._subject = subjects.handover(engine_id)
        self._stream = stream
        self._bus = bus
        self._belongs = belongs
        self._places = asyncio.Semaphore(AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take what is handed over, as soon as NATS is there, until cancelled: only the leader does."""
        await self._bus.serve(self._subject, self._on_request)

    async def stop(self) -> None:
        """Drop what is under way; the senders repeat it."""
        await cancellation.end(self._tasks)

    async def _on_request(self, message: Msg) -> None:
        # Waiting for a place here holds NATS's delivery back, which bounds what is under way.
        await self._places.acquire()
        task = asyncio.create_task(self._take(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._places.release()
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("a hand-over could not be taken", exc_info=task.exception())

    async def _take(self, message: Msg) -> None:
        try:
            request = msgspec.msgpack.decode(message.data, type=HandoverRequest)
        except msgspec.DecodeError:
            _logger.exception("a hand-over that cannot be read was dropped")
            return
        reply = await self._commit(request)
        try:
            await message.respond(msgspec.msgpack.encode(reply))
        except NatsError as error:
            _logger.info("hand-over reply lost, it will be asked again: %s", type(error).__name__)

    async def _commit(self, request: HandoverRequest) -> HandoverReply:
        command = CorrelateMessage(
            callback=request.callback,
            origin=request.origin,
            sequence=request.sequence,
            lowest_open=request.lowest_open,
        )
        try:
            reply = await self._take_or_send_on(command)
        except PayhubError as error:
            # Nothing was committed; the origin asks again, less and less often, and tells the code.
            return HandoverReply(sequence=request.sequence, committed=False, reason=error.code)
        if isinstance(reply, Rejected):
            # Nothing was committed, so the origin keeps it and goes on asking: an operator sees it there.
            _logger.warning("a handed-over callback was refused: %s", reply.code)
            return HandoverReply(sequence=request.sequence, committed=False, reason=reply.code)
        return HandoverReply(sequence=request.sequence, committed=True)

    async def _take_or_send_on(self, command: CorrelateMessage) -> Reply:
        """Commit a callback here, or for the engine where it belongs since the tenant moved.

        One that is repeated after it was sent on is sent on again: whoever takes it has taken it then.
        """
        callback, stream = command.callback, self._stream
        if stream.machine.state.was_received(command.origin, command.sequence):
            return await stream.submit(command, callback.tenant)
        belongs, reply = await self._belongs(callback), None
        for owner in belongs.owners:
            on = QueueHandover(owner=owner, callback=sent_on(callback))
            reply = await stream.submit(on, callback.tenant)
            if isinstance(reply, Rejected):
                return reply
        if reply is None or belongs.here:
            begun = msgspec.structs.replace(command, epoch=belongs.epoch)
            reply = await stream.submit(begun, callback.tenant)
        return reply
