"""The simulation is worth what it finds: each defect planted here has to be found by one of its seeds.

How often differs: of 80 seeds one to fifty find most of them, of 400 nine find a vote that counts twice.
"""

import pytest
from simulation.raft_checks import SafetyViolationError
from simulation.raft_replica import Replica
from simulation.raft_world import LivenessViolationError, simulate

from payhub_engines.consensus import exchange, framing
from payhub_engines.consensus.errors import ConsensusError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.overlay import RaftCore
from payhub_engines.consensus.replication import take_entries
from payhub_engines.consensus.simulated_disk import SimulatedDisk

SEEDS = 250  # at most: the first that finds it ends the search
pytestmark = pytest.mark.timeout(600)  # a search is bounded by its seeds, and slow on a busy machine


def answer_before_the_sync(monkeypatch):
    send_entries = RaftCore.send_entries

    def planted(core):
        core.flush()
        send_entries(core)

    monkeypatch.setattr(RaftCore, "send_entries", planted)


def read_without_asking_the_others(monkeypatch):
    monkeypatch.setattr(RaftCore, "is_confirmed", lambda core, _: core.is_leader)


def commit_what_was_not_compared(monkeypatch):
    def planted(journal, commit_index, message):
        taken = take_entries(journal, commit_index, message)
        known = min(message.commit_index, journal.last_index)
        return taken._replace(commit_index=max(taken.commit_index, known))

    monkeypatch.setattr(exchange, "take_entries", planted)


def truncate_without_a_conflict(monkeypatch):
    def planted(journal, commit_index, message):
        taken = take_entries(journal, commit_index, message)
        if taken.is_match and commit_index < taken.next_index <= journal.last_index:
            journal.deleteEntriesFrom(taken.next_index - journal.first_index)
        return taken

    monkeypatch.setattr(exchange, "take_entries", planted)


def trust_what_a_killed_process_left(monkeypatch):
    monkeypatch.setattr(Journal, "_reopen", lambda journal, name, _: journal._disk.open(name))


def apply_to_an_old_state_from_the_start(monkeypatch):
    start = RaftCore.__init__

    def planted(core, journal, replica, applied_index, *rest, **options):
        start(core, journal, replica, max(applied_index - 1, 0), *rest, **options)

    monkeypatch.setattr(RaftCore, "__init__", planted)


def count_a_repeated_vote(monkeypatch):
    receive = RaftCore.receive

    def planted(core, peer, message):
        core._votes.clear()
        receive(core, peer, message)

    monkeypatch.setattr(RaftCore, "receive", planted)


def forget_the_vote(monkeypatch):
    def planted(journal, term, vote):
        journal._term, journal._vote = term, vote or ""

    monkeypatch.setattr(Journal, "setCurrentTerm", planted)


def vote_in_doubt(monkeypatch):
    monkeypatch.setattr(Replica, "_doubt", lambda _, __: None)


def replace_entries_in_one_frame(monkeypatch):
    monkeypatch.setattr(framing, "_TAKE_AWAY", ())


def trust_what_a_sync_failed_to_write(monkeypatch):
    def planted(disk, name, _):
        disk.open(name).sync()

    monkeypatch.setattr(SimulatedDisk, "rewrite", planted)


def vote_for_whom_has_less(monkeypatch):
    monkeypatch.setattr(RaftCore, "_SyncObj__getCurrentLogTerm", lambda _: 0)


@pytest.mark.parametrize(
    ("plant", "replicas"),
    [
        (answer_before_the_sync, 3),
        (answer_before_the_sync, 5),
        (apply_to_an_old_state_from_the_start, 3),
        (replace_entries_in_one_frame, 3),
        (read_without_asking_the_others, 3),
        (commit_what_was_not_compared, 3),
        (commit_what_was_not_compared, 5),
        (count_a_repeated_vote, 5),
        (forget_the_vote, 3),
        (truncate_without_a_conflict, 3),
        (truncate_without_a_conflict, 5),
        (trust_what_a_killed_process_left, 3),
        (trust_what_a_killed_process_left, 5),
        (trust_what_a_sync_failed_to_write, 3),
        (vote_for_whom_has_less, 3),
        (vote_in_doubt, 3),
    ],
)
def test_a_planted_defect_is_found(monkeypatch, plant, replicas):
    plant(monkeypatch)
    with pytest.raises((SafetyViolationError, LivenessViolationError, ConsensusError)):
        _run_all(replicas)


def _run_all(replicas: int) -> None:
    for seed in range(SEEDS):
        simulate(seed, replicas)
