"""Between the bench's client and a replica: msgpack frames with a four-byte length."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

ENGINE: Final = "bench"
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
_LENGTH_BYTES: Final = 4


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One replica of the engine that is measured.

    Attributes:
        peers: addresses of all replicas for Raft, ``1=127.0.0.1:4001,...``; empty for a group of one.
        port: where this replica listens for the client.
        nats_url: where the audit trail goes; empty: nowhere.
        payload_bytes: of the payment's extension, which every process of it carries.
        certificate: PEM file of the replica, with ``key`` and ``authority``; empty: Raft without TLS.
    """

    replica: str
    peers: str
    port: int
    data_dir: str
    nats_url: str
    payload_bytes: int
    certificate: str = ""
    key: str = ""
    authority: str = ""


class Start(msgspec.Struct, frozen=True, tag=True):
    """Start payments of a tenant under these ids; the same id again is the same payment."""

    tenant: str
    payments: list[str]


class Answers(msgspec.Struct, frozen=True, tag=True):
    """What became of payments since the last answers.

    Attributes:
        accepted: they are committed.
        completed: they have just ended, of whatever tenant.
        known: sent again although they have ended; when, is not said.
        refused: they were not taken; the client tries again.
        codes: why, each code once.
        retry_after_s: when each of those refused should come again, in their order.
    """

    accepted: list[str]
    completed: list[str]
    known: list[str]
    refused: list[str]
    codes: list[str]
    retry_after_s: list[int]


class Look(msgspec.Struct, frozen=True, tag=True):
    """Ask how the replica is."""


class Status(msgspec.Struct, frozen=True, tag=True):
    """How a replica is.

    Attributes:
        is_leader: it takes payments.
        position: the last position of its state.
        applied_index: the last entry of the log that its state holds.
        running: process instances that have not ended.
    """

    is_leader: bool
    position: int
    applied_index: int
    running: int


class ReadLog(msgspec.Struct, frozen=True, tag=True):
    """Ask for entries of the log from an index on."""

    from_index: int


class Entries(msgspec.Struct, frozen=True, tag=True):
    """Entries of the log with their indices, bounded; none where there are none yet."""

    first_index: int
    entries: list[tuple[int, bytes]]


Message = Start | Answers | Look | Status | ReadLog | Entries

_decode: Final[Callable[[bytes], Message]] = msgspec.msgpack.Decoder(Message).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def frame(message: Message) -> bytes:
    """Write a message with its length."""
    data = _encode(message)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


async def read(reader: asyncio.StreamReader) -> Message:
    """Read the next message.

    Raises:
        asyncio.IncompleteReadError: the other side has closed.
        ValueError: the frame is too long.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"A frame of {length} bytes is too long.")
    return _decode(await reader.readexactly(length))
