"""The climate: what happens to any message by chance, the same each time for the same seed."""

import hashlib
from collections import Counter
from typing import Annotated, Final

import msgspec

from payhub_sandbox.switch.message import Outgoing
from payhub_sandbox.switch.target import resource_of

COUNTED_MAX: Final = 100_000
HELD_MS_MAX: Final = 120_000
HELD_BACK_MS_MAX: Final = 500
"""How long a message is held back at most so that later ones overtake it."""

_Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=HELD_MS_MAX)]
_CHANCES: Final = 6  # independent numbers drawn for one message
_CHANCE_BYTES: Final = 4


class Climate(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Chances for every message that the switch sends.

    Attributes:
        seed: the n-th message of one kind to one DFSP meets the same fate under the same seed.
        latency_ms_min: shortest time on the way.
        latency_ms_max: longest time on the way; drawn evenly between the two.
        loss_percent: never delivered.
        duplicate_percent: delivered twice.
        reorder_percent: held back up to half a second, so that later messages overtake it.
        late_percent: held back by ``late_ms``.
        late_ms: how late.
        resources: only these resources are concerned; empty for all.
    """

    seed: int = 1
    latency_ms_min: _Milliseconds = 0
    latency_ms_max: _Milliseconds = 0
    loss_percent: _Percent = 0
    duplicate_percent: _Percent = 0
    reorder_percent: _Percent = 0
    late_percent: _Percent = 0
    late_ms: _Milliseconds = 40_000
    resources: list[str] = []


class Forecast:
    """Decides the fate of each message; the climate may be changed while the switch runs."""

    def __init__(self, climate: Climate) -> None:
        self._climate = climate
        self._seen: Counter[str] = Counter()

    @property
    def climate(self) -> Climate:
        """The climate that prevails."""
        return self._climate

    @climate.setter
    def climate(self, climate: Climate) -> None:
        self._climate = climate
        self._seen.clear()

    def deliveries(self, messages: list[Outgoing]) -> list[Outgoing]:
        """Return what is delivered of messages, each with its delay and number of copies."""
        if self._climate == Climate(seed=self._climate.seed):
            return messages
        return [fated for message in messages for fated in self._fate(message)]

    def _fate(self, message: Outgoing) -> list[Outgoing]:
        climate = self._climate
        if climate.resources and resource_of(message.path) not in climate.resources:
            return [message]
        chances = self._chances(message)
        lost, doubled, reordered, late = (chance % 100 for chance in chances[:4])
        if lost < climate.loss_percent:
            return []
        spread = max(0, climate.latency_ms_max - climate.latency_ms_min)
        delay_ms = climate.latency_ms_min + chances[4] % (spread + 1)
        if reordered < climate.reorder_percent:
            delay_ms += 1 + chances[5] % HELD_BACK_MS_MAX
        if late < climate.late_percent:
            delay_ms += climate.late_ms
        copies = message.copies * (2 if doubled < climate.duplicate_percent else 1)
        fated = msgspec.structs.replace(message, delay_ms=message.delay_ms + delay_ms, copies=copies)
        return [fated]

    def _chances(self, message: Outgoing) -> list[int]:
        kind = f"{message.destination}|{message.method}|{message.path}"
        if len(self._seen) >= COUNTED_MAX:
            self._seen.clear()
        self._seen[kind] += 1
        text = f"{self._climate.seed}|{kind}|{self._seen[kind]}"
        digest = hashlib.sha256(text.encode()).digest()
        steps = range(0, _CHANCES * _CHANCE_BYTES, _CHANCE_BYTES)
        return [int.from_bytes(digest[step : step + _CHANCE_BYTES], "big") for step in steps]
