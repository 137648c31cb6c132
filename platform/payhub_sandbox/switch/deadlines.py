"""When what is under way expires."""

import heapq


class Deadlines:
    """Keys by the time at which they expire, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def add(self, at_ms: int, key: str) -> None:
        """Remember a key; one that is added twice is passed twice."""
        heapq.heappush(self._heap, (at_ms, key))

    def passed(self, now_ms: int) -> str | None:
        """Take out the earliest key whose time is before now; None where there is none."""
        if not self._heap or self._heap[0][0] >= now_ms:
            return None
        return heapq.heappop(self._heap)[1]
