"""What operators' tools do to an engine: over HTTP, on one real replica."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from support.ports import free_port
from support.replica_group import listens

from payhub_engines.core.commands import StartInstance
from payhub_engines.core.reply import Accepted
from payhub_engines.server.app import create_app, run
from payhub_engines.server.engine import Engine
from payhub_engines.server.settings import EngineSettings
from payhub_platform.security.internal import internal_headers
from payhub_platform.security.secrets import SecretBox

TOKEN = "secret"
HEAD = (
    '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"'
    ' xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">'
)


def steps(*tasks: str) -> str:
    """A process ``steps`` that waits for somebody at each task."""
    parts, before = ['<startEvent id="start"/>'], "start"
    for task in (*tasks, "end"):
        parts.append(f'<sequenceFlow id="to-{task}" sourceRef="{before}" targetRef="{task}"/>')
        before = task
    parts += [
        f'<serviceTask id="{task}"><extensionElements><zeebe:taskDefinition type="by-hand"/>'
        "</extensionElements></serviceTask>"
        for task in tasks
    ]
    body = "".join(parts)
    return f'{HEAD}<process id="steps" isExecutable="true">{body}<endEvent id="end"/></process></definitions>'


CHOICE = f"""{HEAD}<process id="choice" isExecutable="true">
  <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="which"/>
  <exclusiveGateway id="which"/>
  <sequenceFlow id="f2" sourceRef="which" targetRef="end">
    <conditionExpression>= amount &gt; 5</conditionExpression></sequenceFlow>
  <sequenceFlow id="f3" sourceRef="which" targetRef="other">
    <conditionExpression>= amount &lt; 0</conditionExpression></sequenceFlow>
  <endEvent id="end"/><endEvent id="other"/>
</process></definitions>"""


class Operator:
    """Asks the API, and starts instances as the engine's own parts do."""

    def __init__(self, engine: Engine, http: aiohttp.ClientSession) -> None:
        self.engine = engine
        self._http = http

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.ask("GET", path, status, headers=internal_headers(TOKEN))

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        return await self.ask("POST", path, status, json=body, headers=internal_headers(TOKEN))

    async def ask(self, method: str, path: str, status: int, **options: Any) -> Any:
        url = f"http://127.0.0.1:{self.engine.settings.port}/engine/v1{path}"
        async with self._http.request(method, url, **options) as answer:
            assert answer.status == status, await answer.text()
            assert (answer.content_type == "application/problem+json") is (status != 200)
            return msgspec.json.decode(await answer.read())

    async def start(self, process: str, payment: str, **variables: Any) -> int:
        command = StartInstance(
            process=process, tenant="lion", payment=payment, fingerprint="f", variables=variables
        )
        reply = await self.engine.stream.submit(command, "lion")
        assert isinstance(reply, Accepted)
        return reply.key


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    settings = EngineSettings(
        engine_id="north",
        site="site-1",
        data_dir=tmp_path / "engine",
        port=free_port(),
        nats_url="nats://127.0.0.1:1",
        internal_token=TOKEN,
        secrets_key=SecretBox.new_key(),
    )
    engine, started, stop = Engine(settings), asyncio.Event(), asyncio.Event()
    await engine.start()
    serving = asyncio.create_task(run(engine, create_app(engine, started), settings, started, lambda: stop))
    async with asyncio.timeout(30), aiohttp.ClientSession() as http:
        await started.wait()
        while not engine.is_leader:
            await engine.leadership_changed()
        while not await listens(settings.port):  # it has started a moment before
            await asyncio.sleep(0.01)
        yield Operator(engine, http)
    stop.set()
    assert await serving == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/overview"),
        ("GET", "/replica"),
        ("GET", "/incidents"),
        ("POST", "/incidents/1/resolve"),
        ("GET", "/instances/1"),
        ("POST", "/instances/1/cancel"),
        ("POST", "/instances/1/modify"),
        ("POST", "/instances/1/migrate"),
        ("GET", "/processes"),
        ("POST", "/processes"),
    ],
)
async def test_nobody_without_the_internal_credential(operator: Operator, method: str, path: str):
    assert (await operator.ask(method, path, status=401))["code"] == "internal-credential"


async def test_the_overview_tells_role_positions_limits_and_what_is_in_flight(operator: Operator):
    await operator.post("/processes", {"xml": steps("first")})
    await operator.start("steps", "p1")
    told = await operator.get("/overview")
    assert (told["engine"], told["site"]) == ("north", "site-1")
    assert (told["inFlight"], told["counts"]["jobs"], told["incidents"]) == (1, 1, [])
    limits = told["limits"]
    assert (limits["inFlight"], limits["waiting"], limits["disk"]) == (1_000, 8_192, "enough")
    replica = await operator.get("/replica")
    assert (replica["replica"], replica["role"], replica["leader"], replica["term"]) == (
        "1",
        "leader",
        "1",
        1,
    )
    assert replica["appliedIndex"] == replica["commitIndex"] >= replica["firstIndex"] == 1
    assert replica["nextPosition"] == told["nextPosition"] > 1
    assert replica["logBytes"] > 0


async def test_processes_are_deployed_numbered_and_listed(operator: Operator):
    first = await operator.post("/processes", {"xml": steps("first")})
    assert (first["process"], first["number"], first.get("duplicate", False)) == ("steps", 1, False)
    assert (await operator.post("/processes", {"xml": steps("first")}))["duplicate"] is True
    second = await operator.post("/processes", {"xml": steps("first", "second")})
    assert second["number"] == 2
    listed = (await operator.get("/processes"))["processes"]
    assert [one["version"] for one in listed if one["process"] == "steps"] == [
        first["version"],
        second["version"],
    ]
    assert "payer-fund-transfer" in {one["process"] for one in listed}


async def test_a_process_that_cannot_run_is_refused_and_says_why(operator: Operator):
    wrong = steps("first").replace('targetRef="end"', 'targetRef="nowhere"')
    refused = await operator.post("/processes", {"xml": wrong}, status=422)
    assert "nowhere" in refused["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/processes", {"xml": "<a/>", "name": "x"}),
        ("/incidents/1/resolve", {"retry": 1}),
        ("/instances/1/cancel", {"compensation": True}),
        ("/instances/1/modify", {"activate": [{"element": "a", "vars": {}}]}),
        ("/instances/1/migrate", {"version": "1", "map": {}}),
    ],
)
async def test_fields_that_mean_nothing_are_refused(operator: Operator, path: str, body: Any):
    assert (await operator.post(path, body, status=400))["code"] == "unknown-field"


async def test_an_instance_is_looked_at_migrated_modified_and_cancelled(operator: Operator):
    await operator.post("/processes", {"xml": steps("first")})
    key = await operator.start("steps", "p1", amount=3)
    seen = await operator.get(f"/instances/{key}")
    [element] = seen["elements"]
    assert (seen["tenant"], seen["payment"], seen["variables"]) == ("lion", "p1", {"amount": 3})
    assert (element["element"], element["job"]["type"]) == ("first", "by-hand")

    newer = await operator.post("/processes", {"xml": steps("first", "second")})
    refused = await operator.post(f"/instances/{key}/migrate", {"version": "none"}, status=422)
    assert refused["code"] == "unknown-version"
    await operator.post(f"/instances/{key}/migrate", {"version": newer["version"]})
    moved = {"activate": [{"element": "second", "variables": {"by": "hand"}}], "terminate": [element["key"]]}
    assert await operator.post(f"/instances/{key}/modify", moved) == {"key": key}
    seen = await operator.get(f"/instances/{key}")
    assert (seen["version"], [one["element"] for one in seen["elements"]]) == (newer["version"], ["second"])
    assert seen["elements"][0]["variables"] == {"by": "hand"}

    await operator.post(f"/instances/{key}/cancel", {"compensate": True})
    ended = await operator.get(f"/instances/{key}")
    assert (ended["outcome"], ended["elements"]) == ("terminated", [])
    again = await operator.post(f"/instances/{key}/cancel", {}, status=422)
    assert again["code"] == "instance-not-running"


async def test_an_incident_is_resolved_with_the_variable_that_was_missing(operator: Operator):
    await operator.post("/processes", {"xml": CHOICE})
    key = await operator.start("choice", "p1", amount=1)
    told = await operator.get("/incidents")
    [incident] = told["incidents"]
    assert (told["total"], incident["instance"], incident["element"]) == (1, key, "which")
    assert (incident["tenant"], incident["process"], incident["code"]) == (
        "lion",
        "choice",
        "no-matching-flow",
    )
    resolve = f"/incidents/{incident['key']}/resolve"
    refused = await operator.post(resolve, {"retries": 0}, status=422)
    assert refused["code"] == "invalid-retries"
    await operator.post(resolve, {"variables": {"amount": 6}})
    assert (await operator.get(f"/instances/{key}"))["outcome"] == "completed"
    assert (await operator.post(resolve, {}, status=422))["code"] == "incident-not-found"
    assert await operator.get("/incidents") == {"incidents": [], "total": 0}


async def test_what_is_not_there_is_not_found(operator: Operator):
    assert (await operator.get("/instances/999", status=404))["code"] == "instance-not-found"
