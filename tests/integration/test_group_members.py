"""Who is a member of a group: lost folders and their replacement, as docs/operating.md tells it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from support.engine_group import EngineGroup

from payhub_cli.process import ask_health

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[EngineGroup]:
    async with aiohttp.ClientSession() as http:
        held = EngineGroup(tmp_path, http, ("1", "2", "3"))
        try:
            yield held
        finally:
            await held.end()


async def test_the_first_start_waits_for_all_of_them(group: EngineGroup):
    for replica in ("1", "2"):
        await group.spawn(replica)
        await group.until_answers(replica)
    # Only the third one can say that it is new as well, and has never voted.
    assert not (await asyncio.to_thread(ask_health, group.url("1"))).is_ready
    await group.start("3")
    await group.note(1, at="1")
    assert await group.noted(at="2") == {"note-1"}


async def test_a_lost_folder_does_not_come_back_but_a_new_member_takes_its_place(group: EngineGroup):
    await group.start("1", "2", "3")
    await group.note(1, at="1")
    await group.stop("3")
    shutil.rmtree(group.data("3"))
    await group.note(2, at="2")

    async with asyncio.timeout(30):
        assert await (await group.spawn("3")).wait() == 1
    last = group.log_file("3").read_text().splitlines()[-1]
    assert "CRITICAL" in last
    assert "replace" in last
    assert "Traceback" not in group.log_file("3").read_text()
    await group.note(3, at="1")

    await group.stop("1", "2")
    group.replace("3", by="4")
    await group.start("1", "2", "4")
    await group.note(4, at="4")
    assert await group.noted(at="4") == {"note-1", "note-2", "note-3", "note-4"}
    views = [await group.view(replica) for replica in group.members]
    assert sorted(view.role for view in views) == ["follower", "follower", "leader"]

    # The new one counts: the group goes on with it and one of the others.
    await group.stop("1")
    await group.note(5, at="4")
    assert "note-5" in await group.noted(at="2")
