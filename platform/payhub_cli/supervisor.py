"""Keeps the processes of an installation running: starts, watches, restarts and stops them."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from payhub_cli.local.server import guarded, tail
from payhub_cli.process import ProcessSpec, ProcessState
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

READY_WAIT_S: Final = 60.0
READY_POLL_S: Final = 0.05
STOP_WAIT_S: Final = 10.0  # an engine hands over, drains and finishes within 8 s
BACK_OFF_FIRST_S: Final = 0.2
BACK_OFF_MAX_S: Final = 5.0
STEADY_AFTER_S: Final = 10.0  # having run this long, the next crash is a new one
START_CRASHES_MAX: Final = 3
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
FOREIGN_VARIABLES: Final = ("NATS_URL", "DATABASE_URL")


class StartError(PayhubError):
    """A process did not become ready; the end of its log is in the text."""

    title = "payhub could not be started"


@dataclass(slots=True)
class Child:
    """A supervised process as it is now."""

    spec: ProcessSpec
    log_file: Path
    state: ProcessState = "starting"
    pid: int = 0
    restarts: int = 0
    process: Process | None = field(default=None, repr=False)
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)


class Supervisor:
    """Runs processes until ``stop``; they end with us even when we are killed (see ``local.guard``).

    Args:
        specs: in the order of starting; stopped in reverse order.
        log_folder: each process writes ``<name>.log`` there.
        on_change: called with all children whenever one of them changed.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        log_folder: Path,
        on_change: Callable[[Sequence[Child]], None] = lambda _children: None,
    ) -> None:
        self.children = [Child(spec, log_folder / f"{spec.name}.log") for spec in specs]
        self._on_change = on_change

    async def start(self) -> None:
        """Start all processes at once and wait until all are ready.

        Raises:
            StartError: one crashed repeatedly or was not ready in time. The others still run: call ``stop``.
        """
        for child in self.children:
            child.log_file.parent.mkdir(parents=True, exist_ok=True)
            await self._start(child)
        deadline = time.monotonic() + READY_WAIT_S
        for child in self.children:
            await _wait_until_ready(child, deadline)

    async def stop(self) -> None:
        """Stop all processes in reverse order, those that belong together at once; who is late is killed.

        The last replica of a group waits in vain for another one to lead: all wait at the same time.
        """
        for _, alike in itertools.groupby(reversed(self.children), key=_stops_with):
            await asyncio.gather(*map(self._stop, alike))

    async def stop_one(self, name: str) -> None:
        """Stop one process and keep it stopped: for drills."""
        await self._stop(self._named(name))

    async def start_one(self, name: str) -> None:
        """Start a stopped process again; it is supervised as before."""
        await self._start(self._named(name))

    async def _start(self, child: Child) -> None:
        await self._spawn(child)
        child.keeper = asyncio.create_task(self._keep(child), name=f"keep-{child.spec.name}")

    async def _stop(self, child: Child) -> None:
        if child.keeper is not None:
            child.keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await child.keeper
        await _end(child)
        self._changed(child, "stopped")

    def _named(self, name: str) -> Child:
        return next(child for child in self.children if child.spec.name == name)

    async def _keep(self, child: Child) -> None:
        """Restart a process whenever it ends, with growing pauses while it does not run steadily."""
        back_off_s = BACK_OFF_FIRST_S
        while True:
            assert child.process is not None  # noqa: S101 - spawned before it is kept
            started = time.monotonic()
            async with _background(self._watch(child)):
                code = await child.process.wait()
            steady = time.monotonic() - started > STEADY_AFTER_S
            back_off_s = BACK_OFF_FIRST_S if steady else min(back_off_s * 2, BACK_OFF_MAX_S)
            child.restarts += 1
            self._changed(child, "restarting")
            _logger.warning("%s ended with %s; restarting in %.1f s", child.spec.name, code, back_off_s)
            _kill_group(child.pid)  # whatever it left in its group
            await asyncio.sleep(back_off_s)
            try:
                await self._spawn(child)
            except OSError as error:  # no memory, no room for its log: tried again as if it had crashed
                _logger.warning("%s cannot be started: %s", child.spec.name, error)

    async def _watch(self, child: Child) -> None:
        """Note when a started process serves; a crash cancels this."""
        while True:
            if await asyncio.to_thread(child.spec.is_ready, child.pid):
                break
            await asyncio.sleep(READY_POLL_S)
        self._changed(child, "ready")

    async def _spawn(self, child: Child) -> None:
        spec = child.spec
        spec.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may hold members' data
        if child.log_file.exists() and child.log_file.stat().st_size > LOG_BYTES_MAX:
            child.log_file.replace(child.log_file.with_suffix(".log.1"))
        with child.log_file.open("ab") as log:
            child.process = await asyncio.create_subprocess_exec(
                *guarded(spec.command, spec.death_signal, spec.user_id),
                cwd=spec.folder,
                env=_environment(spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C reaches the supervisor alone
            )
        child.pid = child.process.pid
        self._changed(child, "starting")

    def _changed(self, child: Child, state: ProcessState) -> None:
        child.state = state
        self._on_change(self.children)


async def _wait_until_ready(child: Child, deadline: float) -> None:
    while child.state != "ready":
        if child.restarts >= START_CRASHES_MAX:
            raise StartError("process-crashed", f"{child.spec.name} keeps crashing. {tail(child.log_file)}")
        if time.monotonic() > deadline:
            text = f"{child.spec.name} was not ready after {READY_WAIT_S:.0f} s. {tail(child.log_file)}"
            raise StartError("process-not-ready", text)
        await asyncio.sleep(READY_POLL_S)


@contextlib.asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``work`` beside the block and cancel it when the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _end(child: Child) -> None:
    if child.process is None or child.process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(child.spec.stop_signal)
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            await child.process.wait()
    except TimeoutError:
        _logger.warning("%s did not stop in %.0f s and is killed", child.spec.name, STOP_WAIT_S)
        _kill_group(child.pid)
        await child.process.wait()
    _kill_group(child.pid)


def _stops_with(child: Child) -> str:
    return child.spec.stops_with or child.spec.name


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _environment(added: dict[str, str]) -> dict[str, str]:
    """Return our environment without anybody else's payhub settings, with what the process needs."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PAYHUB_") and name not in FOREIGN_VARIABLES
    }
    return {**ours, **added}
