"""Groups of three and five whole logs: roles, appends, reads, hand-over, restarts; in virtual time."""

import asyncio
import functools

import pytest
from simulation.virtual_time import run_virtual
from unit.engines.consensus.raft_kit import Applied, Group

from payhub_engines.consensus import snapshot_files
from payhub_engines.consensus.errors import (
    EntriesTrimmedError,
    GroupSettingsError,
    NotLeaderError,
    OutcomeUnknownError,
    ReplicaIdentityError,
)
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import Appended, AppendEntries, Chunk, TimeoutNow, decode, encode
from payhub_engines.consensus.overlay import STATE, RaftCore
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.consensus.recovery import recover
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk


def virtual(test):
    """Run a test in virtual time."""

    @functools.wraps(test)
    def run(*arguments, **named):
        run_virtual(test(*arguments, **named))

    return run


async def numbers(group: Group, first: int, count: int) -> None:
    await asyncio.gather(*(group.append(b"%d" % number) for number in range(first, first + count)))


def values(state: list[tuple[int, bytes]]) -> list[int]:
    return [int(data) for _, data in state]


@virtual
@pytest.mark.parametrize("names", ["123", "12345"])
async def test_a_new_group_elects_a_leader_and_keeps_all_equal(tmp_path, names):
    async with Group(tmp_path, names) as group:
        leader = await group.leader()
        await numbers(group, 0, 100)
        assert sorted(values(await group.equal())) == list(range(100))
        assert leader.roles == [True]
        assert {member.log.leader for member in group.members.values()} == {leader.name}
        assert [member.roles for member in group.followers()] == [[]] * (len(names) - 1)


@virtual
async def test_a_group_of_several_needs_a_network():
    with pytest.raises(GroupSettingsError):
        RaftLog(SimulatedDisk(), cluster="north", replica="1", members="123")


@virtual
async def test_followers_take_no_entries_and_no_reads(tmp_path):
    async with Group(tmp_path) as group:
        await group.leader()
        for follower in group.followers():
            with pytest.raises(NotLeaderError):
                await follower.log.append(b"1")
            with pytest.raises(NotLeaderError):
                await follower.log.barrier()
            with pytest.raises(NotLeaderError):
                await follower.log.hand_over()


@virtual
async def test_the_leader_sends_before_its_own_sync(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        seen: list[tuple[int, int]] = []
        write = leader.journal.write
        group.hub.sent.clear()

        def watched(batch):
            entries = [message for _, _, message in group.hub.sent if isinstance(message, AppendEntries)]
            seen.append((len(batch.frame.entries), sum(len(message.entries) for message in entries)))
            write(batch)

        leader.journal.write = watched
        await leader.log.append(b"1")
        assert seen[0] == (1, 2)  # one entry, to each of two followers


@virtual
async def test_an_isolated_leader_gives_up_and_does_not_know_what_became_of_its_entries(tmp_path):
    async with Group(tmp_path) as group:
        old = await group.leader()
        await group.append(b"1")
        group.hub.isolate(old.name)
        waiting = asyncio.create_task(old.log.append(b"2"))
        reading = asyncio.create_task(old.log.barrier())
        new = await group.leader()
        assert new is not old
        with pytest.raises(OutcomeUnknownError):
            await waiting
        with pytest.raises(NotLeaderError):
            await reading
        assert (old.roles, new.roles) == ([True, False], [True])
        await group.append(b"3")
        group.hub.rejoin(old.name)
        assert values(await group.equal()) == [1, 3]


@virtual
async def test_a_read_waits_for_a_majority_and_writes_nothing(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        await leader.log.append(b"1")
        syncs = leader.journal.sync_count
        await asyncio.gather(*(leader.log.barrier() for _ in range(50)))
        assert leader.journal.sync_count == syncs
        group.hub.lost.append(Appended)
        reading = asyncio.create_task(leader.log.barrier())
        await asyncio.sleep(0.1)
        assert not reading.done()
        group.hub.lost.clear()
        await reading


@virtual
async def test_a_killed_leader_is_replaced_well_within_two_seconds(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        await group.append(b"1")
        group.hub.isolate(leader.name)
        began_s = asyncio.get_running_loop().time()
        await group.leader()
        assert asyncio.get_running_loop().time() - began_s < 0.5  # its connections ended
        group.hub.rejoin(leader.name)
        await group.equal()


@virtual
async def test_a_silent_leader_is_replaced_within_two_seconds(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        group.hub.cut.add(leader.name)  # and nobody is told
        began_s = asyncio.get_running_loop().time()
        await group.leader()
        assert asyncio.get_running_loop().time() - began_s < 2


@virtual
async def test_a_hand_over_fails_no_append(tmp_path):
    async with Group(tmp_path) as group:
        old = await group.leader()

        async def client(first: int) -> None:
            for number in range(first, first + 200):
                await group.append(b"%d" % number)

        clients = [asyncio.create_task(client(1000 * index)) for index in range(5)]
        await asyncio.sleep(0.05)
        name = await old.log.hand_over()
        assert name not in (None, old.name)
        assert (await group.leader()).name == name
        await asyncio.gather(*clients)
        expected = sorted(1000 * index + number for index in range(5) for number in range(200))
        assert sorted(values(await group.equal())) == expected
        assert old.roles == [True, False]


@virtual
async def test_a_hand_over_that_nobody_takes_leaves_the_leader(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        await group.append(b"1")
        group.hub.lost.append(TimeoutNow)
        assert await leader.log.hand_over() is None
        group.hub.lost.clear()
        await group.append(b"2")
        assert values(await group.equal()) == [1, 2]


@virtual
async def test_all_stop_and_start_again(tmp_path):
    async with Group(tmp_path) as group:
        for life in range(3):
            await numbers(group, 10 * life, 10)
            for member in group.members.values():
                await member.stop()
                member.disk = member.disk.after_power_loss(life)
            for member in group.members.values():
                await member.start()
        assert sorted(values(await group.equal())) == list(range(30))


@virtual
async def test_a_follower_that_was_away_catches_up_from_the_log(tmp_path):
    async with Group(tmp_path) as group:
        await group.leader()
        away = group.followers()[0]
        await away.stop()
        away.log = None
        for number in range(200):
            await group.append(b"%d" % number)
        await away.start()
        assert values(await group.equal()) == list(range(200))
        assert away.machine.installed == 0


async def trimmed(group: Group, count: int = 50):
    """Leave a follower behind a log that was trimmed; return it."""
    await group.leader()
    away = group.followers()[0]
    await away.stop()
    away.log = None
    for number in range(count):
        await group.append(b"%d" % number)
    for member in group.members.values():
        if member.log is not None:
            await asyncio.sleep(0.1)
            member.log.trim(member.core.applied_index)
    return away


@virtual
async def test_a_follower_behind_a_trimmed_log_gets_the_state(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        await away.start()
        assert values(await group.equal()) == list(range(50))
        assert away.machine.installed == 1
        last = away.machine.applied_index
        assert away.log.first_index == last
        with pytest.raises(EntriesTrimmedError):
            away.log.entries(last - 1, 100)
        assert away.log.entries(last, 100) == [(last, b"49")]
        await group.append(b"50")
        assert values(await group.equal()) == list(range(51))
        await away.stop()
        await away.start()
        assert values(await group.equal()) == list(range(51))
        assert away.machine.installed == 1
        assert not any((tmp_path / away.name).iterdir())


@virtual
async def test_who_takes_over_a_state_gets_the_log_that_the_sender_still_has(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        kept = [await group.append(b"%d" % number) for number in range(50, 80)]
        leader = await group.leader()
        held = leader.log.entries(leader.log.first_index, 1 << 20)
        assert [index for index, _ in held][-30:] == kept
        await away.start()
        await group.equal()
        assert away.machine.installed == 1
        assert away.log.entries(away.log.first_index, 1 << 20) == held
        assert not any((tmp_path / away.name).iterdir())


@virtual
async def test_a_journal_that_is_still_behind_the_state_goes_on_after_a_kill(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        for number in range(50, 80):
            await group.append(b"%d" % number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RaftCore, "installed", dying(RaftCore.installed, is_after=True))
            await away.start()
            with pytest.raises(KilledError):
                await away.log.wait_stopped()
        assert away.journal.last_index < 60 < away.machine.applied_index
        away.log = None
        await group.append(b"80")
        await away.start()
        assert values(await group.equal()) == list(range(81))
        assert len(away.log.entries(away.log.first_index, 1 << 20)) > 30
        assert not any((tmp_path / away.name).iterdir())


@virtual
async def test_lost_pieces_of_a_state_are_asked_for_again(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        group.hub.lost.append(Chunk)
        await away.start()
        await asyncio.sleep(3)
        group.hub.lost.clear()
        assert values(await group.equal()) == list(range(50))
        copies = {message.snapshot for *_, message in group.hub.sent if isinstance(message, Chunk)}
        assert len(copies) == 1


@virtual
async def test_a_new_leader_sends_its_own_state_when_the_old_one_is_gone(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        group.hub.lost.append(Chunk)
        await away.start()
        await asyncio.sleep(1)
        old = await group.leader()
        await old.stop()
        old.log = None
        group.hub.lost.clear()
        assert values(await group.equal()) == list(range(50))
        assert away.machine.installed == 1


@virtual
async def test_entries_go_on_while_a_state_is_sent(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        leader = await group.leader()
        group.hub.lost.append(Chunk)
        await away.start()
        await asyncio.sleep(1)
        for number in range(50, 80):
            await group.append(b"%d" % number)
        leader.log.trim(leader.core.applied_index)
        assert leader.roles == [True]
        group.hub.lost.clear()
        assert values(await group.equal()) == list(range(80))
        assert away.machine.installed == 1  # what follows the copy was not trimmed meanwhile


@virtual
async def test_a_state_that_changed_on_its_way_is_not_taken_over(tmp_path):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        leader = await group.leader()
        deliver = group.hub.deliver

        def damaging(sender, receiver, data):
            message = decode(data)
            if isinstance(message, Chunk) and message.file == 1 and is_damaging:
                message = Chunk(message.snapshot, message.file, message.offset, bytes(len(message.data)))
            deliver(sender, receiver, encode(message))

        is_damaging = True
        group.hub.deliver = damaging
        await away.start()
        await asyncio.sleep(5)
        assert away.machine.installed == 0
        is_damaging = False
        assert values(await group.equal()) == list(range(50))
        assert leader.roles == [True]


class KilledError(Exception):
    """Stands for kill -9."""


def dying(function, *, is_after: bool):
    """Make a step the last one of a process, done or not."""

    def die(*arguments, **named):
        if is_after:
            function(*arguments, **named)
        raise KilledError

    return die


@virtual
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (snapshot_files, "begin"),
        (snapshot_files, "finish"),
        (snapshot_files, "mark"),
        (Applied, "install"),
        (Journal, "restart"),
        (RaftCore, "installed"),
        (snapshot_files, "clear"),
    ],
)
async def test_a_replica_killed_while_it_takes_over_a_state_goes_on(tmp_path, owner, step, is_after):
    async with Group(tmp_path) as group:
        away = await trimmed(group)
        await away.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, step, dying(getattr(owner, step), is_after=is_after))
            if step in ("begin", "finish"):
                await asyncio.sleep(2)
                await away.stop()
            else:
                with pytest.raises(KilledError):
                    await away.log.wait_stopped()
        await group.append(b"50")
        await away.start()
        assert values(await group.equal()) == list(range(51))


@virtual
async def test_a_state_keeps_what_follows_it_in_the_same_history(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 20)
        await group.equal()
        member = group.followers()[0]
        last, term = member.journal.last_index, member.core.term
        await member.stop()
        journal = Journal(member.disk)
        journal.restart(last - 5, term, STATE)
        assert (journal.first_index, journal.last_index) == (last - 5, last)
        assert journal.command(last - 5) != STATE
        journal.restart(last - 2, term + 1, STATE)
        assert (journal.first_index, journal.last_index, journal.last_term) == (last - 2, last - 2, term + 1)
        assert Journal(member.disk).command(last - 2) == STATE
        member.log = None


@virtual
async def test_a_member_with_an_empty_folder_is_refused(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 10)
        lost = group.followers()[0]
        await lost.stop()
        lost.disk = SimulatedDisk()
        await lost.start()
        with pytest.raises(ReplicaIdentityError, match="replica-known"):
            await lost.log.wait_stopped()
        lost.log = None
        await numbers(group, 10, 10)
        assert sorted(values(await group.equal())) == list(range(20))


@virtual
async def test_an_empty_folder_waits_until_all_others_have_spoken(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 10)
        one, other = group.followers()
        await other.stop()
        await one.stop()
        one.disk = SimulatedDisk()
        await one.start()
        await asyncio.sleep(5)
        assert one.core is None
        await other.start()
        with pytest.raises(ReplicaIdentityError, match="replica-known"):
            await one.log.wait_stopped()
        one.log = None


@virtual
async def test_a_dead_replica_is_replaced_by_one_with_a_new_id(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 20)
        await group.equal()
        (leader, *_), dead = [await group.leader()], group.followers()[0]
        await dead.stop()
        del group.members[dead.name]
        group.names = sorted({*group.names, "4"} - {dead.name})
        for member in list(group.members.values()):
            await member.stop()
        for member in group.members.values():
            await member.start()
        group.members["4"] = new = type(dead)(group, "4")
        await new.start()
        assert leader.log is not None
        assert sorted(values(await group.equal())) == list(range(20))
        for _ in range(100):
            await asyncio.sleep(0.01)
        assert new.log._turns._membership.can_vote
        # It counts now: with another one gone, the group goes on.
        first = next(name for name in group.names if name != "4")
        await group[first].stop()
        group[first].log = None
        await numbers(group, 20, 5)
        assert sorted(values(await group.equal())) == list(range(25))


@virtual
async def test_a_new_replica_does_not_vote_for_who_lacks_entries(tmp_path):
    # Entry 20 is on the dead replica and on one other; the third must not lead by the new one's vote.
    async with Group(tmp_path) as group:
        await numbers(group, 0, 20)
        await group.equal()
        leader = await group.leader()
        behind, dead = group.followers()
        group.hub.isolate(behind.name)
        await group.append(b"20")
        for member in (leader, behind, dead):
            await member.stop()
            member.log = None
        group.hub.cut.clear()
        del group.members[dead.name]
        group.names = sorted({*group.names, "4"} - {dead.name})
        await behind.start()
        group.members["4"] = new = type(dead)(group, "4")
        await new.start()
        await asyncio.sleep(10)
        assert not behind.log.is_leader
        await leader.start()
        assert sorted(values(await group.equal())) == list(range(21))


@virtual
async def test_members_change_one_at_a_time_and_never_come_back(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 5)
        member = group["1"]
        for members in ("145", "12", "12345", "1"):
            await member.stop()
            with pytest.raises(ReplicaIdentityError, match="members-changed"):
                await member.start(members)
        await member.stop()
        await member.start("124")
        await member.stop()
        with pytest.raises(ReplicaIdentityError, match="members-changed"):
            await member.start("123")
        member.log = None


@virtual
async def test_a_new_group_forms_in_any_order_and_after_stops(tmp_path):
    group = Group(tmp_path)
    group.hub.cut.add("3")
    async with group:
        await asyncio.sleep(2)
        assert [group[name].core for name in "123"] == [None] * 3
        await group["1"].stop()
        await group["1"].start()
        group.hub.rejoin("3")
        await numbers(group, 0, 5)
        assert sorted(values(await group.equal())) == list(range(5))


@virtual
async def test_a_slow_disk_costs_no_leadership_but_a_hanging_one_does(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        disk = leader.log._turns._writer
        disk.delay_s = 1.5
        await leader.log.append(b"1")
        assert leader.roles == [True]
        disk.delay_s = 60.0
        with pytest.raises(OutcomeUnknownError):
            await leader.log.append(b"2")
        await asyncio.sleep(2)
        assert leader.roles == [True, False]
        assert (await group.leader()) is not leader
        disk.delay_s = 0.0
        await asyncio.sleep(60)
        assert values(await group.equal()) in ([1], [1, 2])


def damage_last_frame(member) -> None:
    """Flip a bit of what a stopped replica wrote last."""
    name = [name for name in member.disk.names() if name.startswith("journal-")][-1]
    member.disk.flip_bit(name, recover(member.disk).last_frame + 40)


def membership(member):
    return member.log._turns._membership


@virtual
async def test_a_replica_in_doubt_votes_again_once_it_has_caught_up(tmp_path):
    async with Group(tmp_path) as group:
        leader = await group.leader()
        await numbers(group, 0, 5)
        held = await group.equal()
        doubtful, other = group.followers()
        await doubtful.stop()
        doubtful.machine = Applied()
        damage_last_frame(doubtful)
        group.hub.isolate(leader.name)
        await doubtful.start()
        assert (membership(doubtful).can_vote, membership(doubtful).doubts) == (False, 1)
        await asyncio.sleep(5)
        assert not other.log.is_leader  # two of three, and still nobody leads
        group.hub.rejoin(leader.name)
        await numbers(group, 5, 1)
        assert (await group.equal())[: len(held)] == held
        await asyncio.sleep(1)
        assert (membership(doubtful).can_vote, membership(doubtful).doubts) == (True, 1)
        group.hub.isolate((await group.leader()).name)
        await group.leader()


@virtual
@pytest.mark.parametrize("names", ["123", "12345"])
async def test_a_group_in_doubt_comes_up_again_once_all_are_there(tmp_path, names):
    async with Group(tmp_path, names) as group:
        await numbers(group, 0, 5)
        await group.equal()
        for member in group.members.values():
            await member.stop()
            member.machine = Applied()
            damage_last_frame(member)
        last = group.members[names[-1]]
        for name in names[:-1]:
            await group[name].start()
        await asyncio.sleep(5)
        assert not any(group[name].log.is_leader for name in names[:-1])
        await last.start()
        await numbers(group, 5, 1)
        state = await group.equal()
        assert values(state)[-1] == 5
        await asyncio.sleep(1)
        assert all(membership(member).can_vote for member in group.members.values())


@virtual
async def test_a_doubt_is_written_down_before_anything_is_cut(tmp_path):
    async with Group(tmp_path) as group:
        await numbers(group, 0, 5)
        await group.equal()
        member = group.followers()[0]
        await member.stop()
        member.machine = Applied()
        damage_last_frame(member)
        name = [name for name in member.disk.names() if name.startswith("journal-")][-1]
        length = member.disk.size(name)
        member.disk.power_loss_after = member.disk.steps + 1
        with pytest.raises(PowerLossError):
            await member.start()
        assert member.disk.size(name) == length
        assert b'"can_vote":false,"doubts":1' in member.disk.read("replica.json", 0, 1000)
        member.disk.power_loss_after = None
        member.log = None
        await member.start()
        await group.equal()
