"""How far the audit trail got, as JetStream itself tells."""

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus


class _Batch(msgspec.Struct, frozen=True):
    """Where a message ends, whether it carries records or a count of raw events."""

    first_position: int
    count: int = 0
    records: list[msgspec.Raw] = []


async def exported_position(bus: Bus, engine: str) -> int:
    """Return the last position that an engine's audit stream holds, 0 for none or while NATS does not answer.

    A message is in the stream once it is acknowledged, and each names the one before it: the last one's end
    is how far all of them go without a gap.
    """
    try:
        last = await bus.jetstream().get_last_msg(subjects.AUDIT_STREAM, subjects.audit(engine))
    except (NotFoundError, NatsError, TimeoutError):
        return 0
    batch = msgspec.msgpack.decode(last.data or b"", type=_Batch)
    return batch.first_position + (batch.count or len(batch.records)) - 1
