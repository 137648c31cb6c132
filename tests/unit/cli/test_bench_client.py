"""The bench's client, against small replicas that speak its protocol."""

import asyncio
import contextlib

import pytest

from payhub_cli.bench.client import Client
from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.load import Load, Plan
from payhub_cli.bench.protocol import Answers, Entries, Look, ReadLog, Start, Status, frame, read

LOG = [(1, b"one"), (2, b"two"), (4, b"four")]


class Memory:
    """A replica that accepts and completes at once what it is told to, and keeps what it was sent."""

    def __init__(self, *, leads=True, refuses=0, code="engine-overloaded", dies_after=None):
        self.leads = leads
        self.sent = []
        self.known = set()
        self.first_index = 1
        self.successor = None
        self._serving = set()
        self._refuses = refuses
        self._code = code
        self._dies_after = dies_after

    @contextlib.asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await asyncio.gather(*self._serving)

    async def _serve(self, reader, writer):
        self._serving.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                match await read(reader):
                    case Look():
                        status = Status(is_leader=self.leads, position=7, applied_index=4, running=0)
                        writer.write(frame(status))
                    case ReadLog(from_index):
                        entries = [each for each in LOG if each[0] >= from_index][:2]
                        writer.write(frame(Entries(self.first_index, entries)))
                    case Start(_, payments):
                        self._start(payments, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _start(self, payments, writer):
        self.sent += payments
        if self._refuses:
            self._refuses -= 1
            writer.write(frame(Answers([], [], [], payments, [self._code], [0] * len(payments))))
            if self.successor is not None:
                self.leads, self.successor.leads = False, True
            return
        if self._dies_after is not None and len(self.sent) > self._dies_after:
            # It has accepted them; their end is never told.
            writer.write(frame(Answers(payments, [], [], [], [], [])))
            self.leads, self.successor.leads = False, True
            writer.close()
            return
        known = [each for each in payments if each in self.known]
        self.known.update(payments)
        new = [each for each in payments if each not in known]
        writer.write(frame(Answers(payments, new, known, [], [], [])))


async def run(plan, *replicas):
    async with contextlib.AsyncExitStack() as stack:
        ports = {
            str(number): await stack.enter_async_context(each.listening())
            for number, each in enumerate(replicas, 1)
        }
        client, load = Client(ports, lambda: None), Load(plan)
        client.note_kill()
        await client.run([load])
    return client, load


async def test_payments_go_to_the_leader_until_the_plan_is_done():
    follower, leader = Memory(leads=False), Memory()
    client, load = await run(Plan("x", "A", 60.0, in_flight=3, payments_max=7), follower, leader)
    assert (client.leader, follower.sent) == ("2", [])
    assert sorted(leader.sent) == sorted(f"x-{number}" for number in range(1, 8))
    assert (load.completed, len(load.accepted), load.refusals) == (7, 7, 0)


async def test_what_is_refused_is_sent_again():
    leader = Memory(refuses=2)
    _, load = await run(Plan("x", "A", 60.0, in_flight=1, payments_max=2), leader)
    assert leader.sent == ["x-1", "x-1", "x-1", "x-2"]
    assert (load.completed, load.refusals) == (2, 2)


async def test_what_the_lost_leader_did_not_complete_is_sent_to_the_next():
    second = Memory(leads=False)
    first = Memory(dies_after=2)
    first.successor = second
    client, load = await run(Plan("x", "A", 60.0, in_flight=1, payments_max=4), first, second)
    assert second.sent == ["x-3", "x-4"]
    assert (client.leader, client.connections, load.completed) == ("2", 2, 4)
    assert client.recovered_at is not None


async def test_a_replica_that_leads_no_longer_is_left():
    second = Memory(leads=False)
    first = Memory(refuses=1, code="engine-not-leader")
    first.successor = second
    client, load = await run(Plan("x", "A", 60.0, in_flight=1, payments_max=2), first, second)
    assert (client.leader, second.sent, load.completed) == ("2", ["x-1", "x-2"], 2)


async def test_a_payment_that_ended_before_it_was_sent_again_is_no_recovery():
    leader = Memory()
    leader.known.add("x-1")
    client, load = await run(Plan("x", "A", 60.0, in_flight=1, payments_max=1), leader)
    assert (load.completed, load.accepted) == (1, {"x-1"})
    assert client.recovered_at is None


async def test_a_replica_that_died_by_itself_ends_the_measurement():
    def check():
        raise BenchError("replica 1 ended")

    client = Client({"1": 1}, check)
    with pytest.raises(BenchError, match="ended"):
        await client.run([Load(Plan("x", "A", 60.0, in_flight=1))])


async def test_the_whole_log_is_read_and_a_trimmed_one_refused():
    replica = Memory()
    async with replica.listening() as port:
        client = Client({"1": port}, lambda: None)
        assert [each async for each in client.read_log("1")] == LOG
        replica.first_index = 2
        with pytest.raises(BenchError, match="whole log"):
            [each async for each in client.read_log("1")]
