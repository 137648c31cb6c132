"""The gaps of pysyncobj 0.3.17 that matter to one replica, each by its number in the audit."""

import pickle

import pytest
from pysyncobj import SyncObj
from pysyncobj.node import Node

from payhub_engines.consensus import overlay
from payhub_engines.consensus.errors import (
    ApplyFailedError,
    ConsensusVersionError,
    NotLeaderError,
    UnexpectedMessageError,
)
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.overlay import NO_OP, REGULAR, RaftCore, check_version
from payhub_engines.consensus.simulated_disk import SimulatedDisk
from payhub_engines.consensus.transport import LoneTransport


def core_on(disk, applied=None, applied_index=0):
    entries = [] if applied is None else applied
    return RaftCore(
        Journal(disk), "north-0", applied_index, lambda index, data: entries.append((index, data))
    )


def elected(core):
    core.call_election()
    core.doTick()
    assert core.is_leader
    return core


def test_the_installed_release_has_every_name():
    check_version()


def test_a_release_without_a_name_is_refused(monkeypatch):
    monkeypatch.delattr(SyncObj, "_SyncObj__getEntries")
    with pytest.raises(ConsensusVersionError, match="_SyncObj__getEntries"):
        core_on(SimulatedDisk())


def test_a_release_without_an_attribute_is_refused(monkeypatch):
    monkeypatch.setattr(overlay, "USED_ATTRIBUTES", ("_SyncObj__gone",))
    with pytest.raises(ConsensusVersionError, match="_SyncObj__gone"):
        core_on(SimulatedDisk())


def test_another_release_is_refused(monkeypatch):
    monkeypatch.setattr(overlay, "VERSION", "0.3.18")
    with pytest.raises(ConsensusVersionError, match=r"0\.3\.18"):
        check_version()


def test_every_override_replaces_something_and_is_listed():
    own = {name for name in vars(RaftCore) if callable(getattr(SyncObj, name, None)) and name[:2] != "__"}
    assert own == set(overlay.OVERRIDDEN_METHODS)


def test_g7_request_ids_do_not_start_again():
    first, second = core_on(SimulatedDisk()), core_on(SimulatedDisk())
    assert first._SyncObj__commandsLocalCounter != second._SyncObj__commandsLocalCounter


@pytest.mark.parametrize("seed", range(10))
def test_g8_nothing_counts_as_committed_before_it_is_durable(seed):
    disk = SimulatedDisk()
    applied = []
    core = elected(core_on(disk, applied))
    assert Journal(disk.after_power_loss(seed)).last_index == core.commit_index == 2
    index = core.propose(b"a")
    assert not applied
    core.doTick()
    assert applied == [(index, b"a")]
    assert Journal(disk.after_power_loss(seed)).command(index) == REGULAR + b"a"


def test_g8_what_is_not_durable_is_not_applied():
    applied = []
    core = elected(core_on(SimulatedDisk(), applied))
    index = core.propose(b"a")
    core._SyncObj__raftCommitIndex = index
    core._SyncObj__applyLogEntries()
    assert applied == []
    assert not core.has_more
    core._journal.sync()
    assert core.has_more
    core._SyncObj__applyLogEntries()
    assert applied == [(index, b"a")]


@pytest.mark.parametrize("seed", range(10))
def test_g10_term_and_vote_survive_a_power_loss(seed):
    disk = SimulatedDisk()
    elected(core_on(disk))
    again = core_on(disk.after_power_loss(seed))
    assert again.term == 1
    assert again._SyncObj__votedForNodeId == "north-0"


def test_g12_a_poison_entry_is_neither_swallowed_nor_skipped():
    def refuse(_index, _data):
        raise ValueError("poison")

    core = elected(RaftCore(Journal(SimulatedDisk()), "north-0", 0, refuse))
    index = core.propose(b"a")
    for _ in range(3):
        with pytest.raises(ApplyFailedError) as failure:
            core.doTick()
        assert failure.value.index == index
        assert core.applied_index == index - 1


def test_g13_membership_and_version_commands_are_refused():
    core = elected(core_on(SimulatedDisk()))
    core._journal.add(b"\x03" + pickle.dumps(1), core._journal.last_index + 1, core.term)
    with pytest.raises(UnexpectedMessageError, match="type 3"):
        core.doTick()


def test_g14_what_the_state_holds_is_not_applied_again():
    disk = SimulatedDisk()
    core = elected(core_on(disk))
    indices = []
    for number in range(5):
        indices.append(core.propose(b"%d" % number))
        core.doTick()
    core._journal.close()
    applied = []
    elected(core_on(disk, applied, applied_index=indices[2]))
    assert applied == [(indices[3], b"3"), (indices[4], b"4")]


def test_g15_a_commit_index_above_the_log_is_clamped():
    journal = Journal(SimulatedDisk())
    journal.add(NO_OP, 1, 0)
    journal.setRaftCommitIndex(50)
    assert journal.getRaftCommitIndex() == 1


def test_g19_nothing_is_unpickled():
    core = elected(core_on(SimulatedDisk()))
    with pytest.raises(UnexpectedMessageError):
        core._SyncObj__doApplyCommand(b"\x00" + pickle.dumps((0, ())))
    with pytest.raises(UnexpectedMessageError):
        core._SyncObj__loadDumpFile(clearJournal=True)
    with pytest.raises(UnexpectedMessageError):
        core._SyncObj__onMessageReceived(Node("stranger"), {"type": "append_entries"})
    with pytest.raises(UnexpectedMessageError):
        core._applyCommand(b"x", None)


def test_entries_come_only_by_the_leader():
    with pytest.raises(NotLeaderError):
        core_on(SimulatedDisk()).propose(b"a")


def test_a_lone_transport_has_nobody_to_talk_to():
    with pytest.raises(UnexpectedMessageError):
        LoneTransport(None, Node("a"), {Node("b")})
    with pytest.raises(UnexpectedMessageError):
        LoneTransport(None, Node("a"), set()).send(Node("b"), {"type": "request_vote"})
