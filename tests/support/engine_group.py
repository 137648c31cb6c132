"""One engine of several replicas as real processes, and nothing else: no NATS, no gateway, no bank."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from support.ports import free_ports

from payhub_cli.process import ask_health
from payhub_platform.contracts.engine import ReplicaView
from payhub_platform.security.internal import internal_headers
from payhub_platform.security.secrets import SecretBox

TOKEN = "secret"
READY_WAIT_S = 30.0
POLL_S = 0.05

PROCESS = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="test">
  <process id="note-{number}" isExecutable="true"><startEvent id="start"/>
    <sequenceFlow id="flow" sourceRef="start" targetRef="end"/><endEvent id="end"/></process></definitions>"""


class EngineGroup:
    """Starts and stops replicas, each in a folder of its own.

    Attributes:
        folder: has a folder for each replica.
        members: what each is told of the group: its HTTP and Raft ports by replica id.
    """

    def __init__(self, folder: Path, http: aiohttp.ClientSession, replicas: tuple[str, ...]) -> None:
        self.folder = folder
        self.members = {replica: self._ports() for replica in replicas}
        self._http = http
        self._secrets_key = SecretBox.new_key()
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, *replicas: str) -> None:
        """Start replicas and wait until each serves."""
        for replica in replicas:
            await self.spawn(replica)
        for replica in replicas:
            await self.until_ready(replica)

    async def spawn(self, replica: str) -> asyncio.subprocess.Process:
        """Start a replica's process; its log goes on in ``<id>.log``."""
        with self.log_file(replica).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "payhub_engines", env=self._environment(replica), stderr=log
            )
        self._running[replica] = process
        return process

    async def until_ready(self, replica: str) -> None:
        """Wait until a replica serves."""
        async with asyncio.timeout(READY_WAIT_S):
            while not (await asyncio.to_thread(ask_health, self.url(replica))).is_ready:
                assert self._running[replica].returncode is None, self.log_file(replica).read_text()
                await asyncio.sleep(POLL_S)

    async def until_answers(self, replica: str) -> None:
        """Wait until a replica's process answers at all."""
        async with asyncio.timeout(READY_WAIT_S):
            while not (await asyncio.to_thread(ask_health, self.url(replica))).replica:
                await asyncio.sleep(POLL_S)

    async def stop(self, *replicas: str) -> None:
        """Ask replicas to stop, all at once, and wait until they have."""
        for replica in replicas:
            self._running[replica].send_signal(signal.SIGTERM)
        for replica in replicas:
            assert await self._running.pop(replica).wait() == 0

    async def end(self) -> None:
        """Kill what still runs."""
        for process in self._running.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def signal(self, replica: str, number: signal.Signals) -> None:
        """Send a signal to a replica, and wait for its end where it is killed."""
        process = self._running[replica]
        process.send_signal(number)
        if number == signal.SIGKILL:
            await self._running.pop(replica).wait()

    def is_running(self, replica: str) -> bool:
        """Tell whether a replica was started and neither stopped nor killed."""
        return replica in self._running

    async def instances(self, at: str) -> int:
        """Return how many process instances are open, as the leader tells it through a replica."""
        return int((await self._get(at, "/engine/v1/overview"))["counts"]["instances"])

    async def note(self, number: int, at: str) -> None:
        """Have something committed, by any replica."""
        path, body = "/engine/v1/processes", {"xml": PROCESS.format(number=number)}
        async with self._http.post(self.url(at) + path, json=body, headers=internal_headers(TOKEN)) as answer:
            assert answer.status == 200, await answer.text()

    async def noted(self, at: str) -> set[str]:
        """Return which notes are committed, as the leader tells it through a replica."""
        told = await self._get(at, "/engine/v1/processes")
        return {one["process"] for one in told["processes"] if one["process"].startswith("note-")}

    async def view(self, replica: str) -> ReplicaView:
        """Return where a replica itself stands."""
        return msgspec.convert(await self._get(replica, "/engine/v1/replica"), ReplicaView)

    def url(self, replica: str) -> str:
        """Return a replica's HTTP address."""
        return f"http://127.0.0.1:{self.members[replica][0]}"

    def data(self, replica: str) -> Path:
        """Return a replica's folder."""
        return self.folder / replica

    def log_file(self, replica: str) -> Path:
        """Return where a replica's log goes."""
        return self.folder / f"{replica}.log"

    def replace(self, replica: str, by: str) -> None:
        """Name another member instead of one; takes effect where a replica starts from now on."""
        del self.members[replica]
        self.members[by] = self._ports()

    async def _get(self, replica: str, path: str) -> Any:
        async with self._http.get(self.url(replica) + path, headers=internal_headers(TOKEN)) as answer:
            assert answer.status == 200, await answer.text()
            return msgspec.json.decode(await answer.read())

    def _ports(self) -> tuple[int, int]:
        http, raft = free_ports(2)
        return http, raft

    def _environment(self, replica: str) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PAYHUB_")}
        members = self.members.items()
        return {
            **ours,
            "PAYHUB_ENGINE_ID": "north",
            "PAYHUB_SITE": "north",
            "PAYHUB_DATA_DIR": str(self.data(replica)),
            "PAYHUB_PORT": str(self.members[replica][0]),
            "PAYHUB_NATS_URL": "nats://127.0.0.1:1",
            "PAYHUB_INTERNAL_TOKEN": TOKEN,
            "PAYHUB_SECRETS_KEY": self._secrets_key,
            "PAYHUB_REPLICA": replica,
            "PAYHUB_PEERS": ",".join(f"{one}=127.0.0.1:{raft}" for one, (_, raft) in members),
            "PAYHUB_REPLICA_URLS": ",".join(f"{one}={self.url(one)}" for one, _ in members),
        }
