"""When to stand for election, to send a heartbeat, and to give up leading: by an injected clock."""

import random
import time
from collections.abc import Callable, Iterable
from typing import Final

# A killed leader is to be replaced within two seconds, new state and all. Its connections end with it, so
# that usually FORSAKEN_MS decide; a machine that falls silent is given up after ELECTION_MAX_MS. Shorter
# times would take a busy machine for a dead one: eight heartbeats are late before anybody stands.
HEARTBEAT_MS: Final = 50
ELECTION_MIN_MS: Final = 400
ELECTION_MAX_MS: Final = 800
LEADER_FALLBACK_MS: Final = 800
FORSAKEN_MIN_MS: Final = 20
FORSAKEN_MAX_MS: Final = 150

MonotonicClock = Callable[[], int]
"""Returns milliseconds since any fixed moment; never goes back."""


def monotonic_clock() -> int:
    """Return the machine's monotonic time in milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Timers:
    """The deadlines of one replica.

    pysyncobj asks the machine for the time in many places. Instead of replacing its clock, payhub sets
    its deadlines to "never", and to "now" when one of these has come.
    """

    def __init__(self, clock: MonotonicClock, chooser: random.Random) -> None:
        self._clock = clock
        self._chooser = chooser
        self._election_at_ms = 0
        self._heartbeat_at_ms = 0
        self._leader_heard_at_ms: int | None = None
        self._heard_at_ms: dict[str, int] = {}
        self._handover_until_ms = 0
        self.arm_election()

    def arm_election(self) -> None:
        """Wait a random time before the next election."""
        self._election_at_ms = self._clock() + self._chooser.randint(ELECTION_MIN_MS, ELECTION_MAX_MS)

    @property
    def is_election_due(self) -> bool:
        """Whether nothing was heard of a leader for too long."""
        return self._clock() >= self._election_at_ms

    def heard_leader(self) -> None:
        """Note that a leader lives."""
        self._leader_heard_at_ms = self._clock()

    def forsake_leader(self) -> None:
        """Stand soon: the connection to the leader has ended, and nobody need wait for it.

        Whether it is dead is for the others to say, who vote only when they have not heard it either.
        """
        self._leader_heard_at_ms = None
        soon_ms = self._clock() + self._chooser.randint(FORSAKEN_MIN_MS, FORSAKEN_MAX_MS)
        self._election_at_ms = min(self._election_at_ms, soon_ms)

    @property
    def is_leader_fresh(self) -> bool:
        """Whether a leader was heard so lately that no other replica needs to be elected."""
        heard = self._leader_heard_at_ms
        return heard is not None and self._clock() - heard < ELECTION_MIN_MS

    def begin_term(self, peers: Iterable[str]) -> None:
        """Begin to lead: every peer gets the full time for its first answer."""
        self._heard_at_ms = dict.fromkeys(peers, self._clock())
        self._heartbeat_at_ms = 0
        self._handover_until_ms = 0

    def heard(self, peer: str) -> None:
        """Note an answer to this leader."""
        self._heard_at_ms[peer] = self._clock()

    @property
    def has_quorum(self) -> bool:
        """Whether a majority, this leader included, answered within the time to fall back."""
        since = self._clock() - LEADER_FALLBACK_MS
        count = 1 + sum(heard >= since for heard in self._heard_at_ms.values())
        return 2 * count > len(self._heard_at_ms) + 1

    @property
    def is_heartbeat_due(self) -> bool:
        """Whether the followers wait for a sign of life."""
        return self._clock() >= self._heartbeat_at_ms

    def sent_heartbeat(self) -> None:
        """Note that all followers were written to."""
        self._heartbeat_at_ms = self._clock() + HEARTBEAT_MS

    def call_heartbeat(self) -> None:
        """Write to all followers with the next turn."""
        self._heartbeat_at_ms = 0

    def begin_handover(self) -> None:
        """Take no entries until another leads, or has failed to."""
        self._handover_until_ms = self._clock() + ELECTION_MIN_MS

    @property
    def is_handing_over(self) -> bool:
        """Whether another was asked to lead, and may still do so."""
        return self._clock() < self._handover_until_ms
