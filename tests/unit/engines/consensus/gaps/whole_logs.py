"""Groups of whole logs, in virtual time, of which one replica gets the state instead of entries."""

import asyncio
from pathlib import Path

from unit.engines.consensus.raft_kit import Group, Member

COUNT = 50
LOST = b"lost"


async def trim_all(group: Group, names: list[str]) -> None:
    for number in range(COUNT):
        await group.append(b"%d" % number)
    await asyncio.sleep(1)  # all have applied them
    for name in names:
        group[name].log.trim(group[name].core.applied_index)


async def follower_behind(group: Group) -> Member:
    """Return a stopped follower whose next entries the others no longer have."""
    await group.leader()
    away = group.followers()[0]
    await away.stop()
    away.log = None
    await trim_all(group, [name for name in group.names if name != away.name])
    return away


async def overtaken_leader(folder: Path) -> tuple[Member, list[BaseException | int], list[tuple[int, bytes]]]:
    """Isolate a leader with callers, trim what it lacks, and let it come back.

    Returns:
        the old leader, what its callers were told, and the state that all hold in the end.
    """
    async with Group(folder) as group:
        old = await group.leader()
        await group.append(b"base")
        group.hub.isolate(old.name)
        waiting = [asyncio.create_task(old.log.append(LOST)) for _ in range(3)]
        await trim_all(group, [name for name in group.names if name != old.name])
        group.hub.rejoin(old.name)
        state = await group.equal()
        return old, await asyncio.gather(*waiting, return_exceptions=True), state
