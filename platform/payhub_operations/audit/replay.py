"""Asks engines for the records that are missing."""

import contextlib
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from payhub_operations.audit.errors import MalformedBatchError, NobodyHoldsError, ReplayError
from payhub_operations.audit.model import Gap, RecordBatch, decode_message, read_batch
from payhub_platform.bus import subjects
from payhub_platform.contracts.audit import AuditBatch, ReplayRequest

REPLAY_WAIT_S: Final = 3.0
REPLAY_RECORDS_MAX: Final = 100_000  # the engine bounds an answer's bytes
ENTRY_BYTES_MAX: Final = 16 * 1024 * 1024


class BusReplay:
    """Asks engines for records over NATS."""

    def __init__(self, bus: Client, wait_s: float = REPLAY_WAIT_S) -> None:
        self._bus = bus
        self._wait_s = wait_s

    async def __call__(self, engine: str, gap: Gap) -> RecordBatch:
        """Return a batch that holds the gap's first record; it may begin earlier and end anywhere.

        It begins later where neither the leader nor any other replica that answers holds that record.

        Raises:
            ReplayError: the engine does not answer, or with something else.
        """
        count = min(gap.to_position - gap.from_position + 1, REPLAY_RECORDS_MAX)
        request = ReplayRequest(from_position=gap.from_position, count=count)
        batch = await self._ask(subjects.replay(engine), engine, request)
        if batch.first_position <= gap.from_position:
            return batch
        with contextlib.suppress(NobodyHoldsError):
            return await self._ask(subjects.replay_held(engine), engine, request)
        # A broken bus is silent, too; the leader's second answer tells that it is not.
        return await self._ask(subjects.replay(engine), engine, request)

    async def _ask(self, subject: str, engine: str, request: ReplayRequest) -> RecordBatch:
        try:
            batch = await self._request(subject, engine, request)
            if isinstance(batch, AuditBatch) and batch.entry_bytes:
                batch = await self._whole(subject, engine, batch)
            return read_batch(batch)
        except MalformedBatchError as error:
            raise ReplayError(engine, error.detail) from error

    async def _whole(self, subject: str, engine: str, first: AuditBatch) -> AuditBatch:
        """Ask for the other parts of an entry too large for one message."""
        if first.entry_bytes > ENTRY_BYTES_MAX:
            raise ReplayError(engine, f"an entry of {first.entry_bytes} bytes is too large")
        data = b"".join(first.entries)
        while len(data) < first.entry_bytes:
            request = ReplayRequest(from_position=first.first_position, count=1, offset=len(data))
            part = await self._request(subject, engine, request)
            if (
                not isinstance(part, AuditBatch)
                or part.entry_bytes != first.entry_bytes
                or not any(part.entries)
            ):
                raise ReplayError(engine, f"the parts of entry {first.first_position} do not fit together")
            data += b"".join(part.entries)
        return msgspec.structs.replace(first, entries=[data], entry_bytes=0)

    async def _request(self, subject: str, engine: str, request: ReplayRequest) -> AuditBatch | RecordBatch:
        try:
            answer = await self._bus.request(subject, msgspec.msgpack.encode(request), timeout=self._wait_s)
        except (NoRespondersError, TimeoutError) as error:
            raise NobodyHoldsError(engine, f"nobody answers on {subject}") from error
        except (NatsError, OSError) as error:
            raise ReplayError(engine, f"the bus did not bring an answer ({type(error).__name__})") from error
        batch = decode_message(answer.data)
        if batch.engine != engine:
            raise ReplayError(engine, f"engine {batch.engine} answered in its place")
        return batch
