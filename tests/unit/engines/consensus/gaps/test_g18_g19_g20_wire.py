"""G18, G19 and G20: who is listened to, and what is made of the bytes that come."""

import logging
import os
import pickle
import struct
import zlib

import pytest
from pysyncobj.node import Node
from pysyncobj.poller import createPoller
from pysyncobj.tcp_connection import TcpConnection
from unit.engines.consensus.gaps.ours import Group

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.log import ENTRY_BYTES_MAX
from payhub_engines.consensus.messages import AppendEntries, Vote, decode

STRANGER = "stranger"
MEMBERSHIP = 2  # a command type of pysyncobj


# G18: membership changes by a log entry, is believed at once, and strangers' votes count.


def test_g18_stock_counts_the_votes_of_strangers(stock):
    group = stock("abcde")
    group["a"].set_private("raftElectionDeadline", 0)
    group.tick("a")
    for number in range(2):
        group["a"].wire._onMessageReceived(Node(f"{STRANGER}:{number}"), {"type": "response_vote", "term": 1})
    assert group["a"]._isLeader()


def test_g18_stock_lets_two_majorities_live_side_by_side(stock):
    group = stock("ab", dynamicMembershipChange=True)
    group.elect("a")
    group.settle()
    group.cut("a")
    # B hears from somebody in a later term that A is no member: uncommitted, and believed at once.
    removal = b"\x02" + pickle.dumps(["rem", "a:1"])
    group["b"].wire._onMessageReceived(
        Node(STRANGER),
        {
            "type": "append_entries",
            "term": 9,
            "commit_index": 1,
            "prevLogIdx": 1,
            "prevLogTerm": 0,
            "entries": [(removal, 2, 9)],
        },
    )
    group["b"].set_private("raftElectionDeadline", 0)
    group.tick("b")
    assert group["a"]._isLeader()
    assert group["b"]._isLeader()


def test_g18_ours_listens_to_its_members_and_nobody_becomes_one(caplog):
    group = Group("abcde")
    core = group["a"].core
    core.call_election()
    group.tick("a")
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            core.receive(f"{STRANGER}-{number}", Vote(core.term))
        core.receive(STRANGER, AppendEntries(9, 1, 1, 1, 0, [(9, b"\x00x")]))
    assert (core.is_leader, core.term) == (False, 1)
    assert core.conf.dynamicMembershipChange is False
    with pytest.raises(Exception, match="is disabled"):
        core.addNodeToCluster("f:1")
    with pytest.raises(Exception, match="is disabled"):
        core.removeNodeFromCluster("b:1")
    assert sorted(node.id for node in core.otherNodes) == list("bcde")


def test_g18_ours_stops_at_a_membership_entry():
    group = Group("abc")
    group.elect("a")
    journal, core = group["a"].journal, group["a"].core
    journal.add(bytes([MEMBERSHIP]) + pickle.dumps(["rem", "b"]), journal.last_index + 1, core.term)
    with pytest.raises(UnexpectedMessageError, match="type 2"):
        group.settle()
    assert len(core.otherNodes) == 2


# G19: bytes are unpickled before it is known who sent them.


class Harmless:
    """Runs ``os.mkdir`` where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_g19_stock_runs_what_anybody_sends(tmp_path):
    packed = zlib.compress(pickle.dumps(Harmless(tmp_path / "ran"), 2))
    connection = TcpConnection(createPoller("auto"))
    connection._TcpConnection__readBuffer = struct.pack("i", len(packed)) + packed
    connection._TcpConnection__processParseMessage()
    assert (tmp_path / "ran").is_dir()


def test_g19_stock_runs_what_a_member_appends(stock, tmp_path):
    group = stock("ab")
    group.elect("a")
    group["a"]._applyCommand(pickle.dumps(Harmless(tmp_path / "ran")), None, 0)
    with pytest.raises((KeyError, FileExistsError)):
        group.settle()
    assert (tmp_path / "ran").is_dir()


def test_g19_ours_reads_messages_as_data(tmp_path):
    raw = pickle.dumps(Harmless(tmp_path / "ran"))
    for data in (raw, zlib.compress(raw), struct.pack("i", len(raw)) + raw):
        with pytest.raises(UnexpectedMessageError):
            decode(data)
    group = Group("abc")
    group.elect("a")
    group.put("a", raw)
    group.heartbeats()
    assert {tuple(group.values(name)) for name in "abc"} == {(raw,)}
    assert not (tmp_path / "ran").exists()


# G20: an entry larger than a batch is pickled, cut, and declared whole too soon.


def test_g20_stock_chokes_on_a_large_binary_command(stock):
    group = stock("ab", appendEntriesBatchSizeBytes=2**16)
    group.elect("a")
    group.put("a", bytes(range(128, 256)) * 800)
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        group.settle()


def test_g20_ours_replicates_the_largest_entry_whole():
    group = Group("abc")
    group.elect("a")
    value = bytes(range(128, 256)) * (ENTRY_BYTES_MAX // 128)
    group.put("a", b"before", value, b"after")
    group.check_end()
    assert group.values("c") == [b"before", value, b"after"]
