"""Messages between replicas: whole through the codec, bounded, and nothing else gets in or out."""

import pickle

import pytest

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.log import ENTRY_BYTES_MAX
from payhub_engines.consensus.messages import (
    APPEND_BYTES_MAX,
    APPEND_ENTRIES_MAX,
    MESSAGE_BYTES_MAX,
    Appended,
    AppendEntries,
    PreVote,
    PreVoteAnswer,
    RequestVote,
    TimeoutNow,
    Vote,
    decode,
    encode,
    from_pysyncobj,
    to_pysyncobj,
)

MESSAGES = [
    PreVote(1, 2, 3),
    PreVoteAnswer(1, 2, is_granted=True),
    RequestVote(1, 2, 3),
    Vote(1),
    AppendEntries(1, 2, 3, 4, 5, [(1, b"a"), (2, b"")]),
    Appended(1, is_success=False, next_index=2),
    TimeoutNow((1 << 63) - 1),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_as_it_was(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        pickle.dumps({"type": "append_entries"}),
        encode(Vote(1))[:-1],
        encode(Vote(-1)),
        encode(Vote(1 << 63)),
        bytes(MESSAGE_BYTES_MAX + 1),
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(UnexpectedMessageError):
        decode(data)


def test_the_largest_batches_are_within_the_bound():
    highest = (1 << 63) - 1
    tiny = [(highest, b"x" * (APPEND_BYTES_MAX // APPEND_ENTRIES_MAX))] * (APPEND_ENTRIES_MAX - 1)
    entries = [*tiny, (highest, bytes(ENTRY_BYTES_MAX + 1))]
    data = encode(AppendEntries(highest, highest, highest, highest, highest, entries))
    assert len(data) <= MESSAGE_BYTES_MAX


def test_pysyncobj_sends_no_snapshot_no_part_and_no_command():
    unknown = [
        {"type": "append_entries", "term": 1, "commit_index": 1, "serialized": None},
        {"type": "append_entries", "term": 1, "prevLogIdx": 1, "transmission": "start", "data": b""},
        {"type": "apply_command", "command": b""},
    ]
    for message in unknown:
        with pytest.raises(UnexpectedMessageError):
            from_pysyncobj(message)


@pytest.mark.parametrize("message", [RequestVote(1, 2, 3), Vote(4)])
def test_votes_pass_through_pysyncobj_unchanged(message):
    assert from_pysyncobj(to_pysyncobj(message)) == message
