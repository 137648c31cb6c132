"""What a leader sends: entries in bounded batches ahead of their acknowledgement, heartbeats, rounds.

A batch leaves before the leader's own sync, so that all replicas write at the same time (Raft thesis,
section 10.2.1). It asserts nothing about the leader's disk: term and vote were durable before the election.
"""

from pysyncobj.node import Node

from payhub_engines.consensus.exchange import Exchange, Progress
from payhub_engines.consensus.messages import APPEND_BYTES_MAX, Appended, AppendEntries, RaftMessage

WINDOW_MESSAGES_MAX = 64
WINDOW_BYTES_MAX = 8 * 1024 * 1024


class Sending(Exchange):
    """The part of ``RaftCore`` that writes to followers."""

    _append_entries_max: int
    _round: int

    def send_entries(self) -> None:
        """Send each follower what it lacks, as leader; a heartbeat where nothing else is due.

        It changes nothing in the journal, so that it may run while a sync does.
        """
        if not self.is_leader or not self._members:
            return
        is_due = self._timers.is_heartbeat_due
        if is_due:
            self._timers.sent_heartbeat()
        connected = self._SyncObj__connectedNodes
        batches: dict[int, AppendEntries] = {}  # by first index: followers that are equally far share one
        for peer, node in self._members.items():
            if node in connected:
                self._send_to(peer, node, batches, is_due=is_due)

    @property
    def is_due(self) -> bool:
        """Whether the time has come for something, though nothing arrived."""
        if not self.is_leader:
            return self._timers.is_election_due
        return bool(self._members) and self._timers.is_heartbeat_due

    def is_news(self, peer: str, message: RaftMessage) -> bool:
        """Whether a message may change something soon; others may wait for the next turn."""
        if not isinstance(message, Appended) or not self.is_leader or not message.is_success:
            return True
        is_committed = message.next_index <= self.commit_index + 1 and message.term == self.term
        is_all_sent = self._SyncObj__raftNextIndex[self._members[peer]] > self._journal.last_index
        return not is_committed or not is_all_sent

    def begin_round(self) -> int:
        """Ask all followers whether they still follow; return the round's number.

        Once it is confirmed in this term, nobody else had been elected before the call: a read of a state
        that is current (``is_current``) sees all that was acknowledged before (gap G16 of the audit).
        """
        self._round += 1
        self._timers.call_heartbeat()
        return self._round

    def is_confirmed(self, number: int) -> bool:
        """Whether a majority has followed this leader since a round of this term began."""
        count = 1 + sum(progress.round >= number for progress in self._progress.values())
        return self.is_leader and 2 * count > len(self._members) + 1

    def _send_to(self, peer: str, node: Node, batches: dict[int, AppendEntries], *, is_due: bool) -> None:
        next_index, progress = self._SyncObj__raftNextIndex, self._progress[peer]
        # Nothing below the first entry can be compared; who lacks that needs the state.
        begin = max(next_index[node], self._journal.first_index + 1)
        if progress.probed is not None:
            if is_due or progress.probed != begin:
                progress.probed = begin
                self._to_peers.send(peer, self._batch(begin, 0))
            return
        is_silent = True
        while begin <= self._journal.last_index and self._has_room(progress):
            message = batches.get(begin)
            if message is None:
                message = batches[begin] = self._batch(begin, self._append_entries_max)
            begin += len(message.entries)
            progress.sent(begin - 1, sum(len(command) for _, command in message.entries))
            self._to_peers.send(peer, message)
            is_silent = False
        next_index[node] = begin
        if is_silent and is_due:
            message = batches.get(-begin)
            if message is None:
                message = batches[-begin] = self._batch(begin, 0)
            self._to_peers.send(peer, message)

    @staticmethod
    def _has_room(progress: Progress) -> bool:
        is_short = len(progress.in_flight) < WINDOW_MESSAGES_MAX
        return is_short and progress.in_flight_bytes < WINDOW_BYTES_MAX

    def _batch(self, from_index: int, entries_max: int) -> AppendEntries:
        entries = self._journal.read(from_index, entries_max, APPEND_BYTES_MAX) if entries_max else []
        return AppendEntries(
            term=self.term,
            commit_index=self.commit_index,
            first_index=self._journal.first_index,
            previous_index=from_index - 1,
            previous_term=self._journal.term_at(from_index - 1),
            entries=[(term, command) for command, _, term in entries],
            round=self._round,
            doubts=self._doubted,
        )
