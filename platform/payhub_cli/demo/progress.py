"""Live progress: what is being done, and how long each step took."""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Final, TextIO

from rich.console import Console
from rich.status import Status

from payhub_cli.demo.errors import DemoError

PIPE_COLUMNS: Final = 110


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on in silence with an error of ours; rich would leave the event loop from where it stands."""
        self.quiet = True
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no path, a device
            os.dup2(nowhere.fileno(), self.file.fileno())
        raise DemoError("Nobody reads the output any more.")


def console(file: TextIO) -> Console:
    """Return a console on a terminal, with its width, or on a pipe, which has none."""
    return _Console(file=file, width=None if file.isatty() else PIPE_COLUMNS, highlight=False)


def mark(shown: Console, *, holds: bool) -> str:
    """Return a tick or a cross, or a word where the output cannot show them."""
    if not shown.encoding.startswith("utf"):
        return "ok" if holds else "FAILED"
    return "[green]✓[/]" if holds else "[red]✗[/]"


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
        done = mark(self._console, holds=True)
        self._console.print(f"{done} {text} [dim]({time.monotonic() - started:.1f} s)[/]")
