"""JetStream streams, described once."""

from typing import Final

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from payhub_platform.bus import subjects

AUDIT_MESSAGE_BYTES_MAX: Final = 900_000
AUDIT_STREAM_BYTES_MAX: Final = 1024 * 1024 * 1024
AUDIT_BATCH_BYTES: Final = 512 * 1024  # of entries in one message
AUDIT_ENTRY_BYTES_MAX: Final = 768 * 1024  # a larger entry is announced, and asked for in parts


async def ensure_audit_stream(stream: JetStreamContext) -> None:
    """Make the audit stream where it is missing.

    When it is full it drops the oldest: it is transport, and operations asks the engines for what it
    missed; refusing new records would only hold the exporters up.
    """
    try:
        await stream.stream_info(subjects.AUDIT_STREAM)
    except NotFoundError:
        await stream.add_stream(
            StreamConfig(
                name=subjects.AUDIT_STREAM,
                subjects=[subjects.AUDIT_SUBJECTS],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_bytes=AUDIT_STREAM_BYTES_MAX,
                max_msg_size=AUDIT_MESSAGE_BYTES_MAX,
            )
        )
