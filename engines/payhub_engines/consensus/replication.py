"""What a follower does with a leader's entries: pure steps on the journal, without timers and network.

Replaces pysyncobj's handler, which commits what it has not verified and truncates what it has
acknowledged (gaps G1, G2 and G4 of the audit).
"""

from typing import NamedTuple

from payhub_engines.consensus.errors import HistoryConflictError, UnexpectedMessageError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import AppendEntries


class Taken(NamedTuple):
    """The outcome of one message.

    Attributes:
        is_match: whether this log holds the entry before the message's entries.
        next_index: where the leader should go on.
        commit_index: the highest index known to be committed, by what this message verified.
    """

    is_match: bool
    next_index: int
    commit_index: int


def take_entries(journal: Journal, commit_index: int, message: AppendEntries) -> Taken:
    """Append what is new; replace what conflicts, never what is committed.

    Nothing is durable before the journal's next sync: the answer has to wait for it.

    Raises:
        HistoryConflictError: the leader contradicts a committed entry.
        UnexpectedMessageError: an entry's term is higher than its leader's.
    """
    previous = message.previous_index
    if previous > journal.last_index or not _is_same(journal, previous, message.previous_term):
        if previous <= commit_index:
            raise HistoryConflictError(previous)
        # All up to the commit index is equal everywhere, so that one round trip finds the common part.
        return Taken(is_match=False, next_index=commit_index + 1, commit_index=commit_index)
    index = previous
    for term, command in message.entries:
        index += 1
        if term > message.term:
            raise UnexpectedMessageError(f"Entry {index} has term {term}, its leader {message.term}.")
        if index <= journal.last_index:
            if _is_same(journal, index, term):
                continue
            if index <= commit_index:
                raise HistoryConflictError(index)
            journal.deleteEntriesFrom(index - journal.first_index)
        journal.add(command, index, term)
    verified = min(message.commit_index, index)
    return Taken(is_match=True, next_index=index + 1, commit_index=max(commit_index, verified))


def is_beyond_help(journal: Journal, message: AppendEntries) -> bool:
    """Tell whether the leader's log begins above what this one holds of it.

    The entry at ``first_index`` is the lowest that a leader can compare; what it trimmed is committed.
    """
    previous = message.previous_index
    if previous != message.first_index:
        return False
    return previous > journal.last_index or not _is_same(journal, previous, message.previous_term)


def _is_same(journal: Journal, index: int, term: int) -> bool:
    """Compare an entry by its term; what was trimmed here is committed, hence equal."""
    return index < journal.first_index or journal.term_at(index) == term
