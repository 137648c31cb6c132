"""A replica starts only with its own folder, and only with its journal in it."""

import pytest
from unit.engines.consensus.raft_kit import Applied

from payhub_engines.consensus.errors import ReplicaIdentityError
from payhub_engines.consensus.identity import IDENTITY_NAME
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk


async def run_once(disk, cluster="north", replica="north-0"):
    log = RaftLog(disk, cluster=cluster, replica=replica)
    await log.start(Applied(), lambda _: None)
    index = await log.append(b"a")
    await log.stop()
    return index


async def test_the_folder_of_another_replica_is_refused():
    disk = SimulatedDisk()
    await run_once(disk)
    for cluster, replica in (("north", "north-1"), ("south", "north-0")):
        with pytest.raises(ReplicaIdentityError, match="replica-identity"):
            await run_once(disk, cluster, replica)
    await run_once(disk)


async def test_a_member_without_its_journal_is_refused():
    disk = SimulatedDisk()
    await run_once(disk)
    for name in disk.names():
        if name != IDENTITY_NAME:
            disk.remove(name)
    with pytest.raises(ReplicaIdentityError, match="journal-missing"):
        await run_once(disk)


async def test_a_member_whose_journal_is_empty_is_refused():
    disk = SimulatedDisk()
    await run_once(disk)
    for name in disk.names():
        if name != IDENTITY_NAME:
            disk.put(name, b"")
    with pytest.raises(ReplicaIdentityError, match="journal-missing"):
        await run_once(disk)


async def test_a_journal_without_its_identity_is_refused():
    disk = SimulatedDisk()
    await run_once(disk)
    disk.remove(IDENTITY_NAME)
    with pytest.raises(ReplicaIdentityError, match="identity-missing"):
        await run_once(disk)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format":2}', b'{"format":1,"cluster":"north"}', b'{"\xe3an_vote":true}']
)
async def test_an_identity_that_cannot_be_read_is_refused(content):
    disk = SimulatedDisk()
    await run_once(disk)
    disk.put(IDENTITY_NAME, content)
    with pytest.raises(ReplicaIdentityError, match="identity-missing"):
        await run_once(disk)


async def test_a_first_start_cut_off_at_any_step_can_be_repeated():
    whole = SimulatedDisk()
    await run_once(whole)
    for step in range(whole.steps):
        for seed in range(4):
            disk = SimulatedDisk()
            disk.power_loss_after = step
            log = RaftLog(disk, cluster="north", replica="north-0")
            try:
                await log.start(Applied(), lambda _: None)
            except PowerLossError:
                await run_once(disk.after_power_loss(seed))
            else:
                await log.stop()
