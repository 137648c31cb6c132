"""Tells engines how far their logs are stored; they keep what is not."""

import asyncio
import logging
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from payhub_operations.audit import repository
from payhub_operations.database import Database, DatabaseError
from payhub_platform.bus import subjects
from payhub_platform.contracts.audit import Confirmed

_logger = logging.getLogger(__name__)

QUEUE: Final = "operations"  # one copy of the service answers
RETRY_S: Final = 0.2


class ConfirmedService:
    """Answers out of the database, so that any copy of the service can."""

    def __init__(self, bus: Client, database: Database) -> None:
        self._bus = bus
        self._database = database

    async def start(self) -> None:
        """Answer from now on; returns as soon as NATS is there."""
        while True:
            try:
                await self._bus.subscribe(subjects.confirmed("*"), queue=QUEUE, cb=self._on_request)
            except NatsError:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _on_request(self, message: Msg) -> None:
        engine = message.subject.removeprefix(subjects.confirmed(""))
        try:
            async with self._database.overseer() as connection:
                next_position = await repository.next_position(connection, engine)
        except DatabaseError as error:
            # No answer is an answer: the engine keeps its log.
            _logger.info("engine %s is not told how far its log is stored: %s", engine, error.detail)
            return
        await message.respond(msgspec.msgpack.encode(Confirmed(next_position=next_position)))
