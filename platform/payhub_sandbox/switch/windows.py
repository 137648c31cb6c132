"""Settlement windows: what was committed in each, paid between DFSPs by deferred net settlement."""

from collections import defaultdict
from typing import Final, Literal

import msgspec

from payhub_platform.errors import ConflictError, NotFoundError, UnavailableError
from payhub_sandbox.switch.participants import Participants

WINDOWS_MAX: Final = 10_000

WindowState = Literal["OPEN", "CLOSED", "SETTLED"]


class Window(msgspec.Struct, kw_only=True):
    """One settlement window; ``net`` is in minor units by (FSP id, currency), positive owes."""

    number: int
    state: WindowState = "OPEN"
    opened_at_ms: int
    closed_at_ms: int | None = None
    settled_at_ms: int | None = None
    transfers: int = 0
    net: dict[tuple[str, str], int] = {}


class SettlementWindows:
    """All windows; exactly one is open. Positions are the sum of the windows that are not settled."""

    def __init__(self, participants: Participants, now_ms: int) -> None:
        self._participants = participants
        self._windows: dict[int, Window] = {1: Window(number=1, opened_at_ms=now_ms)}

    @property
    def open(self) -> Window:
        """The window that takes what is committed now."""
        return self._windows[max(self._windows)]

    def all(self) -> list[Window]:
        """Return all windows, oldest first."""
        return list(self._windows.values())

    def record(self, payer: str, payee: str, currency: str, minor: int) -> None:
        """Move an amount from the payer's to the payee's position, in the open window."""
        window = self.open
        window.transfers += 1
        for fsp_id, amount in ((payer, minor), (payee, -minor)):
            self._participants.position(fsp_id, currency).position += amount
            key = (fsp_id, currency)
            window.net[key] = window.net.get(key, 0) + amount

    def close(self, number: int, now_ms: int) -> Window:
        """Close the open window; the next one opens at once.

        Raises:
            NotFoundError: code ``unknown-window``.
            ConflictError: code ``window-not-open``; it is closed or settled already.
            UnavailableError: code ``too-many-windows``; the oldest is not settled.
        """
        window = self._window(number)
        if window.state != "OPEN":
            raise ConflictError("window-not-open", "Only the open window can be closed.")
        if len(self._windows) >= WINDOWS_MAX:
            self._forget_oldest()
        window.state, window.closed_at_ms = "CLOSED", now_ms
        self._windows[number + 1] = Window(number=number + 1, opened_at_ms=now_ms)
        return window

    def settle(self, number: int, now_ms: int) -> Window:
        """Settle a closed window: what it moved leaves the positions; a repeat changes nothing.

        Raises:
            NotFoundError: code ``unknown-window``.
            ConflictError: code ``window-open``; close it first.
        """
        window = self._window(number)
        if window.state == "OPEN":
            raise ConflictError("window-open", "An open window takes transfers; close it first.")
        if window.state == "CLOSED":
            for (fsp_id, currency), amount in window.net.items():
                position = self._participants.position(fsp_id, currency)
                position.position -= amount
                position.settled += amount
            window.state, window.settled_at_ms = "SETTLED", now_ms
        return window

    def unsettled(self) -> dict[tuple[str, str], int]:
        """Return the sum of the windows that are not settled: what every position must be."""
        total: defaultdict[tuple[str, str], int] = defaultdict(int)
        for window in self._windows.values():
            if window.state != "SETTLED":
                for key, amount in window.net.items():
                    total[key] += amount
        return dict(total)

    def _forget_oldest(self) -> None:
        oldest = self._windows[min(self._windows)]
        if oldest.state != "SETTLED":
            raise UnavailableError("too-many-windows", "Settle the oldest windows first.")
        del self._windows[oldest.number]

    def _window(self, number: int) -> Window:
        window = self._windows.get(number)
        if window is None:
            raise NotFoundError("unknown-window", "There is no such settlement window.")
        return window
