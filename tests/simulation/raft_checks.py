"""What must hold in every run, checked while it runs."""

from collections import Counter
from dataclasses import dataclass, field

from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.overlay import RaftCore


class SafetyViolationError(AssertionError):
    """A run did what must never happen."""


@dataclass
class History:
    """What all replicas together have done; it knows more than any of them.

    Attributes:
        committed: of each committed entry by index its term, and the term of who first knew it.
        applied: the data of each applied entry by index.
        acknowledged: the index of each value whose client was told that it is safe.
        leaders: who led in each term: replica and how often it had been started.
        in_doubt: replicas that may have lost what they acknowledged.
    """

    committed: dict[int, tuple[int, int]] = field(default_factory=dict)
    applied: dict[int, bytes] = field(default_factory=dict)
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    leaders: dict[int, tuple[str, int]] = field(default_factory=dict)
    in_doubt: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def apply(self, replica: str, index: int, data: bytes) -> None:
        if self.applied.setdefault(index, data) != data:
            raise SafetyViolationError(f"{replica} applied another entry {index} than others did")

    def acknowledge(self, value: bytes, index: int) -> None:
        if self.applied.get(index) != value:
            raise SafetyViolationError(f"entry {index} was acknowledged, but another was applied")
        self.acknowledged[value] = index

    def check(self, replica: str, life: int, core: RaftCore, journal: Journal, from_index: int) -> None:
        """Compare what a replica has committed since ``from_index``, and whether it may lead."""
        for index in range(max(from_index + 1, journal.first_index), core.commit_index + 1):
            term = journal.term_at(index)
            if self.committed.setdefault(index, (term, core.term))[0] != term:
                raise SafetyViolationError(f"{replica} committed another entry {index} than others did")
        if core.is_leader and self.leaders.get(core.term) != (replica, life):
            if core.term in self.leaders:
                raise SafetyViolationError(f"term {core.term} has two leaders")
            self.leaders[core.term] = (replica, life)
            self.seen["leader elected"] += 1
            self.seen["leader elected by all"] += core._needs_all
            self.check_complete(replica, core.term, journal)

    def check_complete(self, replica: str, leader_term: int, journal: Journal) -> None:
        """Check that a leader's log holds everything that was committed in earlier terms.

        Who wins a term after others have moved on to a higher one may lack what was committed there.
        """
        for index, (term, known_term) in self.committed.items():
            if known_term >= leader_term:
                continue
            if index > journal.last_index:
                raise SafetyViolationError(f"{replica} lacks committed entry {index}")
            if index >= journal.first_index and journal.term_at(index) != term:
                raise SafetyViolationError(f"{replica} has replaced committed entry {index}")

    def check_end(self, states: dict[str, list[tuple[int, bytes]]]) -> None:
        """Check the states of all replicas after all faults have healed."""
        expected = sorted(self.applied.items())
        for replica, state in states.items():
            if state != expected:
                raise SafetyViolationError(f"{replica} ended in another state")
        times = Counter(value for _, value in expected)
        wrong = [value for value in self.acknowledged if times[value] != 1]
        if wrong:
            raise SafetyViolationError(f"acknowledged, but not there exactly once: {wrong[:5]}")
