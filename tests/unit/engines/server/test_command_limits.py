"""What one command may write and one instance may hold: entries stay small, incidents tell."""

import asyncio

from unit.engines.server.replica_kit import Replica, start_command

from payhub_engines.consensus.log import ENTRY_BYTES_MAX
from payhub_engines.core.commands import CompleteJob, CorrelateMessage, SetVariables, StartInstance
from payhub_engines.core.errors import CommandTooLargeError
from payhub_engines.core.events import encode_entry
from payhub_engines.core.limits import (
    COMMAND_UNITS_MAX,
    INSTANCE_UNITS_MAX,
    SMALL_UNITS,
    units_of,
)
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.server.commits import BATCH_BYTES_MAX
from payhub_engines.testkit import Engine
from payhub_platform.contracts.handover import Callback

NAMESPACES = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">"""


def looped(count: int) -> bytes:
    """Return a process with a job for each of so many items, each with the same large input."""
    return f"""{NAMESPACES}
  <process id="looped" isExecutable="true">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="each"/>
    <serviceTask id="each">
      <extensionElements><zeebe:taskDefinition type="each"/>
        <zeebe:ioMapping><zeebe:input source="=large" target="copy"/></zeebe:ioMapping></extensionElements>
      <multiInstanceLoopCharacteristics><extensionElements>
        <zeebe:loopCharacteristics inputCollection="=for i in 1..{count} return i" inputElement="item"/>
      </extensionElements></multiInstanceLoopCharacteristics>
    </serviceTask>
    <sequenceFlow id="f2" sourceRef="each" targetRef="end"/><endEvent id="end"/>
  </process></definitions>""".encode()


CHAIN = f"""{NAMESPACES}
  <process id="chain" isExecutable="true">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="work"/>
    <exclusiveGateway id="again"/>
    <serviceTask id="work"><extensionElements>
      <zeebe:taskDefinition type="work"/></extensionElements></serviceTask>
    <sequenceFlow id="f2" sourceRef="work" targetRef="again"/>
    <sequenceFlow id="f3" sourceRef="again" targetRef="work"/>
  </process></definitions>""".encode()


def test_units_are_near_the_bytes_that_are_written():
    assert units_of({}) == 0
    assert 1_000 <= units_of({"a": "x" * 1_000}) <= 1_100
    assert units_of({"a": "é" * 1_000}) >= 2_000
    assert 900 <= units_of({"a": [{"b": 1}] * 300}) <= 1_300
    assert units_of({"a": 1, "b": True, "c": None}) < SMALL_UNITS


def test_a_loop_with_large_inputs_is_stopped_by_incidents_within_one_small_entry():
    engine = Engine()
    engine.deploy(looped(1_000))
    key = engine.start("looped", {"large": "x" * 200_000})
    incidents = engine.instance(key).incidents
    assert incidents
    assert {incident.code for incident in incidents} == {"variables-too-large"}


async def test_the_entry_of_such_a_loop_stays_below_the_logs_bound(tmp_path) -> None:
    replica = Replica(tmp_path, xmls=(looped(1_000),))
    await replica.start()
    command = StartInstance(
        process="looped", tenant="lion", payment="p", fingerprint="f", variables={"large": "x" * 200_000}
    )
    assert isinstance(await replica.stream.submit(command), Accepted)
    assert max(len(encode_entry(entry)) for entry in replica.entries) < 2 * COMMAND_UNITS_MAX
    await replica.stop()


def test_an_instance_stops_with_an_incident_where_its_variables_grow_too_large():
    engine = Engine()
    engine.deploy(CHAIN)
    given = iter(range(100))
    engine.on_job("work", lambda _: {f"part{next(given)}": "x" * 100_000})
    key = engine.start("chain", {})
    [incident] = engine.instance(key).incidents
    assert incident.code == "variables-too-large"
    held = units_of(engine.instance(key).variables)
    assert INSTANCE_UNITS_MAX - 110_000 < held <= INSTANCE_UNITS_MAX


async def test_after_room_was_made_the_job_is_done_again(replica_on) -> None:
    replica = await replica_on()
    large = {f"part{number}": "x" * 200_000 for number in range(5)}
    await replica.stream.submit(start_command(1))
    [job] = replica.state.jobs()
    instance = job.instance
    for name, value in large.items():
        reply = await replica.stream.submit(SetVariables(instance=instance, variables={name: value}))
        assert isinstance(reply, Accepted)
    refused = await replica.stream.submit(SetVariables(instance=instance, variables={"b": "x" * 200_000}))
    assert isinstance(refused, Rejected)
    await replica.stream.submit(CompleteJob(job=job.key, variables={"c": "x" * 200_000}))
    [incident] = replica.state.incidents()
    assert incident.code == "variables-too-large"
    smaller = SetVariables(instance=instance, variables=dict.fromkeys(large))
    assert isinstance(await replica.stream.submit(smaller), Accepted)
    reply = await replica.stream.submit(CompleteJob(job=job.key, variables={"c": "x" * 200_000}))
    assert isinstance(reply, Accepted)
    assert replica.state.job(job.key) is None


async def test_commands_share_an_entry_only_while_it_is_small_and_others_get_a_turn_between(
    replica_on,
) -> None:
    replica = await replica_on()
    flood = [
        asyncio.create_task(replica.stream.submit(start_command(number, size=200_000, tenant="flood")))
        for number in range(60)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = asyncio.create_task(replica.stream.submit(start_command(99, tenant="other")))
    assert all(isinstance(reply, Accepted) for reply in await asyncio.gather(*flood, others))
    sizes = [len(encode_entry(entry)) for entry in replica.entries]
    assert max(sizes) < BATCH_BYTES_MAX + 300_000 < ENTRY_BYTES_MAX
    turn = next(
        number
        for number, entry in enumerate(replica.entries)
        if any(scope.tenant == "other" for scope in entry.scopes.values())
    )
    assert turn <= 3


class Careless(Batch):
    """Decides what no model can do: a command that writes more than an entry takes."""

    def decide(self, command):
        reply = super().decide(command)
        if getattr(command, "payment", "") == "p1":
            raise CommandTooLargeError(1)
        return reply


async def test_a_command_that_writes_too_much_is_refused_alone(replica_on, monkeypatch) -> None:
    monkeypatch.setattr("payhub_engines.server.commits.Batch", Careless)
    replica = await replica_on()
    results = await asyncio.gather(
        *(replica.stream.submit(start_command(number)) for number in range(4)), return_exceptions=True
    )
    assert [getattr(result, "code", "") for result in results] == ["", "command-too-large", "", ""]


async def test_a_message_that_an_instance_has_no_room_for_is_an_incident_of_who_waits(replica_on) -> None:
    replica = await replica_on()
    await replica.stream.submit(start_command(1))
    [job] = replica.state.jobs()
    await replica.stream.submit(CompleteJob(job=job.key, variables={}))
    for number in range(5):
        variables = {f"part{number}": "x" * 200_000}
        await replica.stream.submit(SetVariables(instance=job.instance, variables=variables))
    large = Callback(tenant="lion", name="answer", correlation_key="p1", variables={"b": "x" * 200_000})
    assert isinstance(await replica.stream.submit(CorrelateMessage(callback=large)), Accepted)
    [incident] = replica.state.incidents()
    assert (incident.code, incident.element) == ("variables-too-large", "wait")


def test_what_is_small_adds_up_too():
    engine = Engine()
    engine.deploy(CHAIN)
    given = iter(range(10_000))
    engine.on_job("work", lambda _: {f"part{next(given)}": "x" * 2 * SMALL_UNITS})
    key = engine.start("chain", {})
    assert [one.code for one in engine.instance(key).incidents] == ["variables-too-large"]
