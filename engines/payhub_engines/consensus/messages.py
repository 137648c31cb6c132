"""What the replicas of a group say to each other, as bytes and as pysyncobj's dictionaries."""

from typing import Annotated, Any, Final

import msgspec

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.log import ENTRY_BYTES_MAX

APPEND_BYTES_MAX: Final = 1024 * 1024
"""A message takes no further entry once it holds this many bytes of commands."""

APPEND_ENTRIES_MAX: Final = 4096
_ENTRY_OVERHEAD_BYTES: Final = 32
MESSAGE_BYTES_MAX: Final = (
    APPEND_BYTES_MAX + ENTRY_BYTES_MAX + (APPEND_ENTRIES_MAX + 1) * _ENTRY_OVERHEAD_BYTES
)
"""No message is longer: a batch may end with one entry of any size."""

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


class RequestVote(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Vote for me in ``term``; my log ends with this entry."""

    term: Count
    last_index: Count
    last_term: Count


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


class Appended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The answer to ``AppendEntries``, with the answerer's term (gap G3 of the audit).

    Where ``is_success``, all below ``next_index`` is durable and equal to the leader's log as of ``term``;
    else ``next_index`` is where the leader should go on.
    """

    term: Count
    is_success: bool
    next_index: Count


class TimeoutNow(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The leader of ``term`` hands over: stand for election at once (Raft thesis, section 3.10)."""

    term: Count


Message = PreVote | PreVoteAnswer | RequestVote | Vote | AppendEntries | Appended | TimeoutNow

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a message as msgpack."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Read a message of another replica.

    Raises:
        UnexpectedMessageError: it is too long, or none of ours.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise UnexpectedMessageError(f"A message of {len(data)} bytes is too long.")
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnexpectedMessageError(f"A message cannot be read: {error}.") from error


def from_pysyncobj(message: dict[str, Any], first_index: int) -> Message:
    """Translate what pysyncobj itself sends.

    Args:
        message: pysyncobj's message.
        first_index: the first entry of this replica's log.

    Raises:
        UnexpectedMessageError: pysyncobj would send a snapshot, part of an entry, or a forwarded command.
    """
    match message:
        case {"type": "request_vote", "term": term, "last_log_index": index, "last_log_term": last_term}:
            return RequestVote(term, index, last_term)
        case {"type": "response_vote", "term": term}:
            return Vote(term)
        case {"type": "append_entries", "prevLogIdx": int(index), "entries": entries}:
            return AppendEntries(
                term=message["term"],
                commit_index=message["commit_index"],
                first_index=first_index,
                previous_index=index,
                previous_term=message["prevLogTerm"],
                entries=[(term, command) for command, _, term in entries],
            )
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
