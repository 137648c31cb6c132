"""Keys and value codecs of the state: one-byte table prefixes, big-endian numbers, msgpack values.

Texts inside a key carry their length, so that no text can reach into its neighbour's place and the keys
of one (tenant, name, correlation key) share an exact prefix.
"""

from typing import Final

import msgspec

META_FORMAT: Final = b"mf"
META_NEXT_KEY: Final = b"mk"
META_NEXT_POSITION: Final = b"mp"
META_ORIGIN: Final = b"mo"

RUNNING: Final = b"r"  # + instance -> Instance
ENDED: Final = b"e"  # + instance -> Instance
ENDED_AT: Final = b"E"  # + ended_at_ms + instance
BUSINESS_KEY: Final = b"p"  # + tenant, process, payment -> instance
DEFINITION: Final = b"q"  # + process, version -> Deployed
START_TIMER: Final = b"d"  # + timer -> StartTimer
MESSAGE: Final = b"b"  # + message -> MessageRecord
MESSAGE_ID: Final = b"u"  # + tenant, name, correlation key, message id -> expires_at_ms + message
MESSAGE_ID_EXPIRY: Final = b"U"  # + expires_at_ms + message -> key of MESSAGE_ID
BROADCAST: Final = b"c"  # + broadcast -> BroadcastRecord
INCIDENT_PAYLOAD: Final = b"i"  # + incident -> variables
OUTBOX: Final = b"o"  # + owner + sequence -> OutboxRecord
OUTBOX_LAST: Final = b"O"  # + owner -> last sequence given
FENCE: Final = b"f"  # + tenant -> epoch + first key after it
USAGE: Final = b"l"  # + day + tenant, member -> Usage; the member is empty for the whole tenant
RECEIVED: Final = b"h"  # + origin + sequence
RECEIVED_FLOOR: Final = b"H"  # + origin -> sequences below are done for good

NUMBER_BYTES: Final = 8
NUMBER_MAX: Final = 2 ** (8 * NUMBER_BYTES) - 1
_LENGTH_BYTES: Final = 2
KEY_TEXT_CHARS_MAX: Final = 512

encode: Final = msgspec.msgpack.Encoder().encode


def number(value: int) -> bytes:
    """Write a number so that byte order is number order."""
    return value.to_bytes(NUMBER_BYTES, "big")


def last_number(key: bytes) -> int:
    """Read the number at the end of a key."""
    return int.from_bytes(key[-NUMBER_BYTES:], "big")


def texts(*values: str) -> bytes:
    """Write texts with their lengths; callers bound them by ``KEY_TEXT_CHARS_MAX``."""
    parts: list[bytes] = []
    for value in values:
        raw = value.encode()
        parts.append(len(raw).to_bytes(_LENGTH_BYTES, "big"))
        parts.append(raw)
    return b"".join(parts)


def fits_key(*values: str) -> bool:
    """Tell whether texts may stand in a key: bounded, and valid Unicode."""
    for value in values:
        if len(value) > KEY_TEXT_CHARS_MAX:
            return False
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return False
    return True
