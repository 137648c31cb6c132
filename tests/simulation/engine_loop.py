"""Processes in one event loop and one thread: each can be killed or paused, and time is virtual."""

import asyncio
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any

from simulation.virtual_time import VirtualLoop

END_ROUNDS_MAX = 100
END_ROUND_S = 0.05
TURNS_MAX = 20_000  # of the loop, in which no time passes


class SpinningError(AssertionError):
    """Something goes on for ever and waits for nothing."""


_LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)


class Life:
    """One process from its start to its end; what it starts belongs to it.

    Attributes:
        is_paused: nothing of it runs (SIGSTOP); what came due runs when it goes on.
        is_dying: nothing that it still does reaches the outside; its tasks are being cancelled.
        is_over: nothing of it runs any more.
        release: version of the appliers that it runs with.
    """

    def __init__(self, name: str, release: int) -> None:
        self.name = name
        self.release = release
        self.is_paused = False
        self.is_dying = False
        self.is_over = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._held: list[asyncio.Handle] = []
        self._context = contextvars.copy_context()
        self._context.run(_LIFE.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def after(self, delay_ms: float, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function of this process later."""
        loop = asyncio.get_running_loop()
        loop.call_later(delay_ms / 1000, function, *arguments, context=self._context.copy())

    def may_run(self, handle: asyncio.Handle) -> bool:
        if self.is_paused:
            self._held.append(handle)
        return not (self.is_paused or self.is_over)

    def go_on(self) -> None:
        self.is_paused = False
        held, self._held = self._held, []
        asyncio.get_running_loop()._ready.extend(held)

    async def end(self) -> None:
        """Kill the process: cancel all that it does, so that nothing is left over; nobody hears of it."""
        self.is_dying = True
        self.go_on()
        for task in list(self.tasks):
            task.cancel()
        for round_number in range(END_ROUNDS_MAX):
            running = [task for task in self.tasks if not task.done()]
            if not running:
                break
            if round_number > 1:
                running[0].cancel()
            await asyncio.wait(running, timeout=END_ROUND_S)
        else:
            raise AssertionError(f"{self.name} does not end: {running}")
        self.is_over = True
        self.tasks.clear()


def release_of_life() -> int:
    """Return the release of the process that runs; 0 outside of all."""
    life = _LIFE.get()
    return 0 if life is None else life.release


class _Handle(asyncio.Handle):
    __slots__ = ("life",)

    def _run(self) -> None:
        if self.life is None or self.life.may_run(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ("life",)

    def _run(self) -> None:
        if self.life is None or self.life.may_run(self):
            super()._run()


class ProcessLoop(VirtualLoop):
    """A virtual loop that knows to which process each callback belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(_make_task)
        self._turns_now = 0
        self._turned_at_s = 0.0

    def _run_once(self) -> None:
        if self.time() != self._turned_at_s:
            self._turns_now, self._turned_at_s = 0, self.time()
        self._turns_now += 1
        if self._turns_now > TURNS_MAX:
            raise SpinningError(f"something goes round and round: {list(self._ready)[:5]}")
        super()._run_once()

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        handle.life = handle._context.get(_LIFE)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = _TimerHandle(when, callback, args, self, context)
        handle.life = handle._context.get(_LIFE)
        heapq.heappush(self._scheduled, handle)
        handle._scheduled = True
        return handle


def _make_task(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    life = _LIFE.get() if context is None else context.get(_LIFE)
    if life is not None:
        life.tasks[task] = None
        if len(life.tasks) > 2_000:
            life.tasks = {each: None for each in life.tasks if not each.done()}
    return task


class SimulatedWorker:
    """Implements ``Worker``: does what waits for a disk after a time of its own, in order."""

    def __init__(self, delay_ms: Callable[[], float]) -> None:
        self._delay_ms = delay_ms
        self._free_at_s = 0.0
        self._waiting: list[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = []

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        loop = asyncio.get_running_loop()
        self._waiting.append((work, done))
        self._free_at_s = max(self._free_at_s, loop.time()) + self._delay_ms() / 1000
        loop.call_at(self._free_at_s, self._next)

    def close(self) -> None:
        """Do at once what waits, as a thread would have by the time that it is joined."""
        while self._waiting:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            return
        work, done = self._waiting.pop(0)
        error: BaseException | None = None
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - as a real thread does
            error = failure
        asyncio.get_running_loop().call_soon(done, error)


class SimulatedThread(Executor):
    """Does what waits for a disk after a time of its own, one thing after the other."""

    def __init__(self, chooser: random.Random, delay_ms: Callable[[], float]) -> None:
        self._chooser = chooser
        self._delay_ms = delay_ms
        self._free_at_s = 0.0
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        loop = asyncio.get_running_loop()
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        self._free_at_s = max(self._free_at_s, loop.time()) + self._delay_ms() / 1000
        loop.call_at(self._free_at_s, self._next)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Do at once what waits, as a thread would have by the time that it is joined."""
        while self._waiting:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            return
        future, function = self._waiting.pop(0)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - as a real thread does
            future.set_exception(error)
