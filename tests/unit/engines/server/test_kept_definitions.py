"""Running instances keep the process that they began with, also across an upgrade of the engine."""

import pytest
from unit.engines.server.replica_kit import PROCESS, answer, start_command

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.core.bpmn.model import DefinitionError
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.commands import CompleteJob
from payhub_engines.core.reply import Accepted
from payhub_engines.server.definitions import kept_definitions

UPGRADED = PROCESS.replace(b'id="send"', b'id="send" name="Send it"')


@pytest.fixture
def disk(tmp_path):
    disk = FileDisk(tmp_path / "definitions")
    yield disk
    disk.close()


async def test_what_ran_before_an_upgrade_ends_after_it(replica_on, disk) -> None:
    replica = await replica_on(catalogue=kept_definitions(disk, [PROCESS]))
    await replica.stream.submit(start_command(1))
    upgraded = await replica_on(catalogue=kept_definitions(disk, [UPGRADED]))
    await upgraded.stream.submit(start_command(2))
    for job in list(upgraded.stream.view.jobs()):
        reply = await upgraded.stream.submit(CompleteJob(job=job.key, variables={}))
        assert isinstance(reply, Accepted)
    for number, xml in ((1, PROCESS), (2, UPGRADED)):
        await upgraded.stream.submit(answer(number))
        instance = upgraded.stream.view.find_instance("lion", "ask", f"p{number}")
        assert instance.version == parse(xml).version
        assert instance.ended_at_ms is not None


def test_going_back_to_an_older_release_starts_new_instances_with_its_process(disk) -> None:
    for xml in (PROCESS, UPGRADED, PROCESS):
        assert kept_definitions(disk, [xml]).latest("ask").version == parse(xml).version
    assert len(disk.names()) == 2


def test_a_kept_process_that_was_altered_stops_the_engine(disk) -> None:
    kept_definitions(disk, [PROCESS])
    [name] = disk.names()
    disk.replace(name, UPGRADED)
    with pytest.raises(DefinitionError, match="definition-changed"):
        kept_definitions(disk, [PROCESS])
