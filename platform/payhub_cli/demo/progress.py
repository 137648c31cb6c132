"""Live progress: what is being done, and how long each step took."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.status import Status


class Step:
    """One step under way."""

    def __init__(self, text: str, status: Status) -> None:
        self._text = text
        self._status = status
        self._done = 0

    def advance(self, total: int) -> None:
        """Count one more of ``total`` as done."""
        self._done += 1
        self._status.update(f"{self._text} ({self._done} of {total} ended)")


class Steps:
    """Tells steps on a console: live on a terminal, one line each elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Tell a step for the length of a block."""
        started = time.monotonic()
        with self._console.status(text) as status:
            yield Step(text, status)
        self._console.print(f"[green]✓[/] {text} [dim]({time.monotonic() - started:.1f} s)[/]")
