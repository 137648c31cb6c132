"""The stream processor when the log refuses, forgets or changes hands, over a log that the test controls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from unit.engines.server.fake_log import FakeLog
from unit.engines.server.replica_kit import Replica, answer, start_command

from payhub_engines.consensus.errors import NotLeaderError, OutcomeUnknownError
from payhub_engines.core.commands import CompleteJob, CorrelateMessage
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Accepted
from payhub_engines.server.stream import ListenerFailedError
from payhub_platform.errors import UnavailableError

TURNS = 30


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Led:
    """A replica over a fake log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.log = FakeLog()
        self.replica = Replica(folder / name, log=self.log)
        self.stream = self.replica.stream

    async def lead(self) -> "Led":
        await self.stream.start()
        self.log.lead()
        await turns()
        assert self.stream.is_ready
        return self

    def digest(self) -> str:
        return self.replica.digest()


@pytest.fixture
async def led(tmp_path: Path) -> AsyncIterator[Led]:
    found = await Led(tmp_path, "one").lead()
    yield found
    await found.stream.stop()


async def digest_of(log: FakeLog, folder: Path) -> str:
    """Return what a replica makes of the same entries that only follows."""
    follower = Led(folder, "follower")
    follower.log.committed = list(log.committed)
    await follower.stream.start()
    found = follower.digest()
    await follower.stream.stop()
    return found


async def failed(task: asyncio.Task) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()


async def test_what_was_decided_and_lost_leaves_no_trace(led: Led, tmp_path: Path) -> None:
    await led.stream.submit(start_command(1))
    led.log.is_held = True
    lost = asyncio.create_task(led.stream.submit(start_command(2)))
    await turns()
    led.log.lose()
    assert isinstance(await failed(lost), OutcomeUnknownError)
    assert not led.stream.is_ready
    assert led.replica.state.find_instance("lion", "ask", "p2") is None
    assert led.digest() == await digest_of(led.log, tmp_path)
    assert [entry.first_position for entry in led.replica.entries] == [1, 2]


async def test_another_leaders_entry_comes_before_the_loss_is_noticed(led: Led, tmp_path: Path) -> None:
    other = await Led(tmp_path, "other").lead()
    led.log.is_held = True
    lost = asyncio.create_task(led.stream.submit(start_command(1)))
    await other.stream.submit(start_command(2))
    await turns()
    led.log.lose()
    led.log.put(other.log.committed[-1][1])  # in the same turn: nobody has heard of the loss yet
    assert led.replica.state.find_instance("lion", "ask", "p2") is not None
    assert isinstance(await failed(lost), OutcomeUnknownError)
    assert led.replica.state.find_instance("lion", "ask", "p1") is None
    assert led.digest() == other.digest() == await digest_of(led.log, tmp_path)
    await other.stream.stop()


@pytest.mark.parametrize("is_noticed", [False, True])
async def test_what_was_proposed_is_kept_by_the_next_term(led: Led, tmp_path: Path, is_noticed: bool) -> None:
    led.log.is_held = True
    unknown = asyncio.create_task(led.stream.submit(start_command(1)))
    await turns()
    [proposed] = led.log.lose()
    if is_noticed:
        await turns()
    led.log.put(proposed)
    led.log.is_held = False
    led.log.lead()
    assert isinstance(await failed(unknown), OutcomeUnknownError)
    await turns()
    again = await led.stream.submit(start_command(1))
    assert isinstance(again, Accepted)
    assert again.duplicate
    assert led.digest() == await digest_of(led.log, tmp_path)


async def test_nobody_sees_what_is_not_committed(led: Led) -> None:
    led.log.is_held = True
    starting = asyncio.create_task(led.stream.submit(start_command(1)))
    await turns()
    reading = asyncio.create_task(
        led.stream.read(lambda state: state.find_instance("lion", "ask", "p1") is not None)
    )
    before = led.stream.machine.store.get(b"")
    led.stream.machine.flush()
    await turns()
    assert not starting.done()
    assert not reading.done()
    assert led.stream.machine.written_index <= led.log.commit_index
    assert led.stream.machine.store.get(b"") == before
    led.log.commit()
    await turns()
    led.log.confirm()
    assert isinstance(await starting, Accepted)
    assert await reading is True


async def test_a_read_waits_for_the_barrier_and_a_lost_leader_reads_nothing(led: Led) -> None:
    led.log.is_held = True
    reading = asyncio.create_task(led.stream.read(lambda state: state.next_position))
    await turns()
    led.log.lose()
    assert isinstance(await failed(reading), UnavailableError)


async def test_reads_that_wait_when_a_state_is_installed_are_refused_with_the_leadership(
    led: Led, tmp_path: Path
) -> None:
    other = await Led(tmp_path, "other").lead()
    await asyncio.gather(*(other.stream.submit(start_command(number)) for number in range(5)))
    copy = tmp_path / "copy"
    other.stream.machine.checkpoint(copy)
    led.log.is_held = True
    starting = asyncio.create_task(led.stream.submit(start_command(9)))
    await turns()
    reading = asyncio.create_task(led.stream.read(lambda state: state.next_position))
    await turns()
    led.log.lose()
    led.stream.machine.install(copy)
    assert isinstance(await failed(starting), UnavailableError)
    assert isinstance(await failed(reading), UnavailableError)
    led.log.committed = list(other.log.committed)
    assert led.digest() == other.digest()
    await other.stream.stop()


async def test_an_opening_that_the_log_refuses_at_once_is_tried_again_and_blocks_nobody(
    tmp_path: Path,
) -> None:
    led = Led(tmp_path, "one")
    led.log.refusal = NotLeaderError("handing over")
    await led.stream.start()
    async with asyncio.timeout(20):
        led.log.lead()
        await turns()
        assert not led.stream.is_ready
        led.log.refusal = None
        while not led.stream.is_ready:
            await asyncio.sleep(0.001)
    assert isinstance(await led.stream.submit(start_command(1)), Accepted)
    await led.stream.stop()


async def test_a_leader_change_in_the_middle_of_the_opening(tmp_path: Path) -> None:
    led, roles = Led(tmp_path, "one"), []
    led.stream.on_role(roles.append)
    led.log.is_held = True
    await led.stream.start()
    led.log.lead()
    await turns()
    led.log.lose()
    led.log.is_held = False
    led.log.lead()
    async with asyncio.timeout(20):
        while not led.stream.is_ready:
            await asyncio.sleep(0.001)
    assert roles == [False, True]
    assert isinstance(await led.stream.submit(start_command(1)), Accepted)
    assert led.digest() == await digest_of(led.log, tmp_path)
    await led.stream.stop()


async def test_a_read_that_raises_fails_alone(led: Led) -> None:
    raising = asyncio.create_task(led.stream.read(lambda state: 1 // (state.next_position - 2)))
    reading = asyncio.create_task(led.stream.read(lambda state: state.next_position))
    assert isinstance(await failed(raising), ZeroDivisionError)
    assert await reading == 2
    assert led.stream.is_ready


async def test_a_reply_that_meets_a_defect_reaches_the_others_and_stops_nothing(led: Led) -> None:
    replies: list[object] = []

    def defect(_reply: object) -> None:
        raise RuntimeError("defect")

    led.stream.post(start_command(1), "lion", defect)
    led.stream.post(start_command(2), "lion", replies.append)
    await turns()
    assert [type(reply) for reply in replies] == [Accepted]
    assert led.stream.is_ready


async def test_each_command_is_answered_once_when_the_second_entry_of_a_batch_is_refused(led: Led) -> None:
    replies: dict[int, list[object]] = {number: [] for number in range(12)}
    led.log.refusal, led.log.refuse_after = NotLeaderError(), 1
    for number, heard in replies.items():
        led.stream.post(start_command(number, size=200_000), "lion", heard.append)
    await turns()
    kinds = [[type(reply) for reply in heard] for heard in replies.values()]
    committed = kinds.count([Accepted])
    assert 0 < committed < len(kinds)
    assert kinds == [[Accepted]] * committed + [[NotLeaderError]] * (len(kinds) - committed)
    assert led.replica.state.index.running == committed


async def test_a_listener_that_fails_ends_the_replica_but_not_the_others_entry(
    led: Led, tmp_path: Path
) -> None:
    heard: list[int] = []

    def defect(_entry: object) -> None:
        raise RuntimeError("defect")

    led.stream.on_committed(defect)
    led.stream.on_committed(lambda entry: heard.append(entry.first_position))
    reply = await led.stream.submit(start_command(1))
    assert isinstance(reply, Accepted)
    assert heard == [2]
    assert isinstance(await led.stream.failure(), ListenerFailedError)
    assert not led.stream.is_ready
    assert led.digest() == await digest_of(led.log, tmp_path)


async def test_all_hear_that_the_leadership_is_lost_though_one_of_them_fails(led: Led) -> None:
    heard: list[bool] = []

    def defect(_is_leader: bool) -> None:
        raise RuntimeError("defect")

    led.stream.on_role(defect)
    led.stream.on_role(heard.append)
    led.log.lose()
    assert heard == [False]
    assert isinstance(await led.stream.failure(), ListenerFailedError)


async def test_a_caller_that_gives_up_harms_nobody(led: Led) -> None:
    led.log.is_held = True
    leaving = asyncio.create_task(led.stream.submit(start_command(1)))
    staying = asyncio.create_task(led.stream.submit(start_command(2)))
    await turns()
    leaving.cancel()
    await turns()
    led.log.commit()
    assert isinstance(await staying, Accepted)
    assert led.replica.state.find_instance("lion", "ask", "p1") is not None


async def test_stopping_in_the_middle_of_a_batch_answers_all_and_keeps_the_state_whole(
    tmp_path: Path,
) -> None:
    led = await Led(tmp_path, "one").lead()
    await led.stream.submit(start_command(1))
    led.log.is_held = True
    tasks = [asyncio.create_task(led.stream.submit(start_command(number))) for number in (2, 3)]
    await turns()
    tasks.append(asyncio.create_task(led.stream.submit(start_command(4))))
    await turns()
    await led.stream.stop()
    for task in tasks:
        error = await failed(task)
        assert isinstance(error, UnavailableError)
        assert error.code == "engine-stopping"
    again = Replica(tmp_path / "one", log=FakeLog())
    again.log.committed = list(led.log.committed)
    await again.stream.start()
    assert again.digest() == await digest_of(led.log, tmp_path)
    await again.stop()


async def test_a_hand_over_finishes_what_was_taken_and_takes_nothing_more(led: Led) -> None:
    led.log.is_held, led.log.taker = True, "2"
    taken = asyncio.create_task(led.stream.submit(start_command(1)))
    await turns()
    waiting = asyncio.create_task(led.stream.submit(start_command(2)))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(led.stream.hand_over())
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="engine-not-leader"):
        await led.stream.submit(start_command(3))
    for _ in range(2):
        led.log.commit()
        await turns()
    assert await leaving == "2"
    assert isinstance(await taken, Accepted)
    assert isinstance(await waiting, Accepted)
    assert not led.stream.is_ready


async def test_a_leader_whom_nobody_follows_goes_on(led: Led) -> None:
    assert await led.stream.hand_over() is None
    assert isinstance(await led.stream.submit(start_command(1)), Accepted)


class PoisonedSeal(Batch):
    """Fails when an entry with p1 is joined, as an event that cannot be written would."""

    def seal(self):
        entry = super().seal()
        if entry is not None and any(getattr(event, "payment", "") == "p1" for event in entry.events):
            raise RuntimeError("poison")
        return entry


async def test_an_entry_that_cannot_be_written_loses_only_the_command_that_is_why(
    led: Led, monkeypatch
) -> None:
    monkeypatch.setattr("payhub_engines.server.commits.Batch", PoisonedSeal)
    results = await asyncio.gather(
        *(led.stream.submit(start_command(number)) for number in range(8)), return_exceptions=True
    )
    assert [getattr(result, "code", "") for result in results] == ["", "command-failed", *[""] * 6]
    assert led.replica.state.index.running == 7


class PoisonedStart(Batch):
    def decide(self, command):
        reply = super().decide(command)
        if getattr(command, "payment", "") == "p1":
            raise RuntimeError("poison")
        return reply


async def test_a_defect_is_found_at_once_not_by_halving(led: Led, monkeypatch) -> None:
    monkeypatch.setattr("payhub_engines.server.commits.Batch", PoisonedStart)
    before = led.log.appended
    results = await asyncio.gather(
        *(led.stream.submit(start_command(number)) for number in range(100)), return_exceptions=True
    )
    assert [getattr(result, "code", "") for result in results].count("command-failed") == 1
    assert led.log.appended == before + 1


async def test_the_running_instances_of_each_tenant_are_counted_through_a_loss(led: Led) -> None:
    for number, tenant in enumerate(("lion", "lion", "zebra")):
        await led.stream.submit(start_command(number, tenant=tenant))
    led.log.is_held = True
    lost = asyncio.create_task(led.stream.submit(start_command(3, tenant="oryx")))
    await turns()
    assert led.replica.state.index.running_of == {"lion": 2, "zebra": 1, "oryx": 1}
    led.log.lose()
    await failed(lost)
    assert led.replica.state.index.running_of == {"lion": 2, "zebra": 1}
    led.log.is_held = False
    led.log.lead()
    await turns()
    for job in list(led.replica.state.jobs()):
        if job.tenant == "zebra":
            await led.stream.submit(CompleteJob(job=job.key, variables={}))

    callback = msgspec.structs.replace(answer(2).callback, tenant="zebra")
    await led.stream.submit(CorrelateMessage(callback=callback))
    assert led.replica.state.index.running_of == {"lion": 2}
