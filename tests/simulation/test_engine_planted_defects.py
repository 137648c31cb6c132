"""The simulation is worth what it finds: each defect planted here has to be found.

Nearly every seed finds some, one of a hundred a read that asks nobody: the first seed spares the search.
"""

import contextlib

import pytest
from msgspec.structs import replace
from simulation import engine_world
from simulation.engine_checks import SafetyViolationError
from simulation.engine_loop import SpinningError
from simulation.engine_world import simulate
from simulation.raft_world import LivenessViolationError

from payhub_engines.consensus.errors import ConsensusError
from payhub_engines.consensus.state_transfer import StateTransfer
from payhub_engines.consensus.turns import Turns
from payhub_engines.core.events import TimerCreated
from payhub_engines.server.commits import Commits
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.machine import Machine
from payhub_engines.server.timers import TimerWorker

ENDED_WITHIN_S = 75.0  # what ends at all ends a minute after the last fault, when the last timer is due
SEEDS = 40  # at most: the first that finds it ends the search
pytestmark = pytest.mark.timeout(600)  # a search is bounded by its seeds, and slow on a busy machine


def answer_before_the_commit(monkeypatch):
    decide = Commits._decide

    def planted(commits, part):
        replies, entry, data = decide(commits, part)
        for waiting, reply in zip(part, replies, strict=False):
            waiting.answer(reply)
        return replies, entry, data

    monkeypatch.setattr(Commits, "_decide", planted)


def write_what_is_only_decided(monkeypatch):
    decided = Machine.decided

    def planted(machine, entry, data):
        decided(machine, entry, data)
        if machine._rocks.applied_index < machine._applied_index:
            machine._rocks.write(machine.state.take_changes(), machine._applied_index)

    monkeypatch.setattr(Machine, "decided", planted)


def acknowledge_before_the_sync(monkeypatch):
    propose = Turns._propose

    def planted(turns, core):
        propose(turns, core)
        core.flush()

    monkeypatch.setattr(Turns, "_propose", planted)


def do_jobs_before_the_commit(monkeypatch):
    decided = Machine.decided

    def planted(machine, entry, data):
        decided(machine, entry, data)
        machine._on_applied(entry)

    monkeypatch.setattr(Machine, "decided", planted)


def forget_jobs_at_a_new_leader(monkeypatch):
    monkeypatch.setattr(JobWorker, "resume", lambda worker: setattr(worker, "_is_leading", True))


def forget_timers_at_a_new_leader(monkeypatch):
    due, told = TimerWorker._due, TimerWorker._on_committed

    def planted_told(worker, entry):
        mine = worker.__dict__.setdefault("mine", set())
        mine.update(event.timer for event in entry.events if isinstance(event, TimerCreated))
        told(worker, entry)

    def planted_due(worker):
        mine = worker.__dict__.setdefault("mine", set())
        found = due(worker)
        return [one for one in found if getattr(one[0], "timer", None) in {None, *mine}]

    monkeypatch.setattr(TimerWorker, "_on_committed", planted_told)
    monkeypatch.setattr(TimerWorker, "_due", planted_due)


def apply_the_last_entry_again(monkeypatch):
    flush = Machine.flush

    def planted(machine):
        if machine._applied_index > machine._rocks.applied_index + 1:
            machine._applied_index -= 1
            flush(machine)
            machine._applied_index += 1

    monkeypatch.setattr(Machine, "flush", planted)


def keep_what_was_never_committed(monkeypatch):
    def planted(machine):
        machine._decided, machine._is_ahead = None, False

    monkeypatch.setattr(Machine, "rebuild", planted)


def write_a_state_that_lacks_an_entry(monkeypatch):
    monkeypatch.setattr(Machine, "_whole_entries", lambda _: contextlib.nullcontext())


def trim_before_the_state_is_durable(monkeypatch):
    monkeypatch.setattr(Machine, "sync", lambda machine: machine._rocks.applied_index)


def send_a_state_without_the_log_before_it(monkeypatch):
    begin = StateTransfer.__init__

    def planted(transfer, *arguments, **named):
        begin(transfer, *arguments, **named)
        source, journal = transfer._source, transfer._journal
        make = source._make_offers

        def planted_make(term):
            index = source._offer.index
            source._offer = replace(source._offer, log_index=index, log_term=journal.term_at(index))
            make(term)

        source._make_offers = planted_make

    monkeypatch.setattr(StateTransfer, "__init__", planted)


@pytest.mark.parametrize(
    ("plant", "replicas", "first_seed"),
    [
        (acknowledge_before_the_sync, 3, 5),
        (answer_before_the_commit, 3, 0),
        (apply_the_last_entry_again, 1, 0),
        (do_jobs_before_the_commit, 3, 0),
        (forget_jobs_at_a_new_leader, 3, 0),
        (forget_timers_at_a_new_leader, 3, 2),
        (keep_what_was_never_committed, 3, 0),
        (send_a_state_without_the_log_before_it, 3, 17),
        (trim_before_the_state_is_durable, 3, 0),
        (write_a_state_that_lacks_an_entry, 3, 0),
        (write_what_is_only_decided, 3, 0),
    ],
)
def test_a_planted_defect_is_found(monkeypatch, plant, replicas, first_seed):
    plant(monkeypatch)
    monkeypatch.setattr(engine_world, "ENDED_WITHIN_S", ENDED_WITHIN_S)
    found = (SafetyViolationError, LivenessViolationError, ConsensusError, SpinningError, AssertionError)
    with pytest.raises(found):
        _run_all(replicas, first_seed)


def _run_all(replicas: int, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + SEEDS):
        simulate(seed, replicas)
