"""Business keys: a client's own, or the engine's where a timer, signal or message starts an instance.

What leaves the engine carries ids derived from the business key. So the engine's own begin as no client's
may, and name the life of the engine that made them: no two ever meet, neither here nor at a bank.
"""

from typing import Final, Literal

from payhub_engines.core.state import State

RESERVED: Final = ":"
RESERVED_DETAIL: Final = f"A business key must not begin with {RESERVED!r}: the engine's own do."


def make(state: State, kind: Literal["message", "signal", "timer"], number: int) -> str:
    """Return a key such as ``:timer-17@north/6f1c2b...``; the number is given once in an engine's life."""
    return f"{RESERVED}{kind}-{number}@{state.origin}"


def is_reserved(key: str) -> bool:
    """Tell whether a key may only be made by the engine."""
    return key.startswith(RESERVED)
