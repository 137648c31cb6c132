"""What the replicas of a group say to each other, as bytes and as pysyncobj's dictionaries."""

import struct
from typing import Annotated, Any, Final, TypeVar

import msgspec

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.log import ENTRY_BYTES_MAX

T = TypeVar("T")

APPEND_BYTES_MAX: Final = 1024 * 1024
"""A message takes no further entry once it holds this many bytes of commands."""

APPEND_ENTRIES_MAX: Final = 4096
_ENTRY_OVERHEAD_BYTES: Final = 32
MESSAGE_BYTES_MAX: Final = (
    APPEND_BYTES_MAX + ENTRY_BYTES_MAX + (APPEND_ENTRIES_MAX + 1) * _ENTRY_OVERHEAD_BYTES
)
"""No message is longer: a batch may end with one entry of any size."""

MEMBERS_MAX: Final = 5
ID_CHARS_MAX: Final = 64
SNAPSHOT_FILES_MAX: Final = 4096
SNAPSHOT_NAME_CHARS_MAX: Final = 255
CHUNK_BYTES: Final = 256 * 1024

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""A term or an index."""


class PreVote(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Would you vote for me in ``term``? Asks without changing anything (Raft thesis, section 9.6)."""

    term: Count
    last_index: Count
    last_term: Count


class PreVoteAnswer(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The answer to a ``PreVote`` for ``asked_term``; ``term`` is the answerer's own."""

    asked_term: Count
    term: Count
    is_granted: bool
    is_full: bool = True  # else this vote helps only who has the votes of all


class RequestVote(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Vote for me in ``term``; my log ends with this entry."""

    term: Count
    last_index: Count
    last_term: Count
    needs_all: bool = False  # counts for nothing without the votes of all members


class Vote(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """You have my vote in ``term``. A refusal is silence."""

    term: Count


class AppendEntries(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Entries that follow the one at ``previous_index``, each with its term; none is a heartbeat."""

    term: Count
    commit_index: Count
    first_index: Count  # of the leader's log: what is below can no longer be sent
    previous_index: Count
    previous_term: Count
    entries: list[tuple[Count, bytes]]
    round: Count = 0  # echoed by the answer: who answers still followed this leader when it was sent
    doubts: Annotated[dict[str, Count], msgspec.Meta(max_length=MEMBERS_MAX)] = {}
    """Of each follower that said so the number of its doubts: what it acknowledged before does not count."""


class Appended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The answer to ``AppendEntries``, with the answerer's term (gap G3 of the audit).

    Where ``is_success``, all below ``next_index`` is durable and equal to the leader's log as of ``term``;
    else ``next_index`` is where the leader should go on.
    """

    term: Count
    is_success: bool
    next_index: Count
    round: Count = 0
    rejected: Count = 0  # the previous_index that a refusal refuses
    doubts: Count = 0  # how often this replica may have lost what it had acknowledged


class TimeoutNow(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The leader of ``term`` hands over: stand for election at once (Raft thesis, section 3.10)."""

    term: Count


class SnapshotFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of a snapshot. Its name is checked by who writes it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=SNAPSHOT_NAME_CHARS_MAX)]
    size: Count  # bytes
    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class SnapshotQuery(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """You no longer have the entries that I lack: offer me your state."""

    term: Count


class SnapshotOffer(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The leader's state as of an entry, file by file. It commits nothing of the receiver's log (gap G1).

    The receiver's log begins where the leader's does, for the audit may need what follows there.
    """

    term: Count
    snapshot: Count  # its number, which no other has
    index: Count  # of the last entry that the state holds
    log_index: Count  # of the first entry of the leader's log; at most ``index``
    log_term: Count  # its term
    files: Annotated[list[SnapshotFile], msgspec.Meta(max_length=SNAPSHOT_FILES_MAX)]


class ChunkQuery(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Send me a piece of a snapshot."""

    snapshot: Count
    file: Count  # position in the offer
    offset: Count  # bytes


class Chunk(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A piece of a snapshot; no data where the leader does not have it (any more)."""

    snapshot: Count
    file: Count
    offset: Count
    data: Annotated[bytes, msgspec.Meta(max_length=CHUNK_BYTES)]


class Hello(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """First on a connection: who speaks, and to whom. Followed by messages once it was answered."""

    cluster: Annotated[str, msgspec.Meta(max_length=ID_CHARS_MAX)]
    replica: Annotated[str, msgspec.Meta(max_length=ID_CHARS_MAX)]
    to: Annotated[str, msgspec.Meta(max_length=ID_CHARS_MAX)]
    members: Annotated[list[str], msgspec.Meta(max_length=MEMBERS_MAX)]  # of the whole group, sorted
    version: Count = 1


class Welcome(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The answer to a ``Hello``: what a replica needs to know that finds its folder empty."""

    is_known: bool  # whether the answerer has heard the other one as a member
    has_history: bool  # whether the answerer's group has held an election


RaftMessage = PreVote | PreVoteAnswer | RequestVote | Vote | AppendEntries | Appended | TimeoutNow
SnapshotMessage = SnapshotQuery | SnapshotOffer | ChunkQuery | Chunk
Message = RaftMessage | SnapshotMessage

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_raft_decoder: msgspec.msgpack.Decoder[RaftMessage] = msgspec.msgpack.Decoder(RaftMessage)
_hello_decoder = msgspec.msgpack.Decoder(Hello)
_welcome_decoder = msgspec.msgpack.Decoder(Welcome)


def encode(message: Message | Hello | Welcome) -> bytes:
    """Return a message as msgpack."""
    return _encoder.encode(message)


def encode_after(length: struct.Struct, message: Message | Hello | Welcome) -> bytes:
    """Return a message as msgpack, behind its length in bytes."""
    buffer = bytearray(length.size)
    _encoder.encode_into(message, buffer, length.size)
    length.pack_into(buffer, 0, len(buffer) - length.size)
    return bytes(buffer)


def decode(data: bytes) -> Message:
    """Read a message of another replica.

    Raises:
        UnexpectedMessageError: it is too long, or none of ours.
    """
    return _decode(_decoder, data)


def decode_raft(data: bytes) -> RaftMessage:
    """Read a message of Raft itself.

    Raises:
        UnexpectedMessageError: it is too long, or none of Raft's.
    """
    return _decode(_raft_decoder, data)


def decode_hello(data: bytes) -> Hello:
    """Read the first message of a connection.

    Raises:
        UnexpectedMessageError: it is none.
    """
    return _decode(_hello_decoder, data)


def decode_welcome(data: bytes) -> Welcome:
    """Read the answer to a ``Hello``.

    Raises:
        UnexpectedMessageError: it is none.
    """
    return _decode(_welcome_decoder, data)


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    if len(data) > MESSAGE_BYTES_MAX:
        raise UnexpectedMessageError(f"A message of {len(data)} bytes is too long.")
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnexpectedMessageError(f"A message cannot be read: {error}.") from error


def from_pysyncobj(message: dict[str, Any], *, needs_all: bool = False) -> RaftMessage:
    """Translate what pysyncobj itself sends: votes and nothing else.

    Raises:
        UnexpectedMessageError: pysyncobj would send entries, a snapshot or a forwarded command.
    """
    match message:
        case {"type": "request_vote", "term": term, "last_log_index": index, "last_log_term": last_term}:
            return RequestVote(term, index, last_term, needs_all)
        case {"type": "response_vote", "term": term}:
            return Vote(term)
        case _:
            raise UnexpectedMessageError(f"This group never sends a {message['type']} of this form.")


def to_pysyncobj(message: RequestVote | Vote | TimeoutNow) -> dict[str, Any]:
    """Translate a message that pysyncobj itself handles."""
    match message:
        case RequestVote(term, last_index, last_term):
            return {
                "type": "request_vote",
                "term": term,
                "last_log_index": last_index,
                "last_log_term": last_term,
            }
        case Vote(term):
            return {"type": "response_vote", "term": term}
        case TimeoutNow(term):
            return {"type": "timeout_now", "term": term}
