"""Checks a whole log: every payment did everything exactly once. Pure."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from payhub_cli.bench.connectors import LOOKUP, PAYEE, PAYER
from payhub_engines.core.events import InstanceCompleted, InstanceStarted, JobCompleted, decode_entry

JOBS_OF: Final = {PAYER: 7, LOOKUP: 2, PAYEE: 6}  # on the way to each one's good end
SHOWN_MAX: Final = 10


class _Run:
    """One process instance of a payment."""

    __slots__ = ("done", "ended", "payment", "process")

    def __init__(self, payment: str, process: str) -> None:
        self.payment = payment
        self.process = process
        self.done = 0  # a bit for each element whose job is completed
        self.ended = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the log says of the payments.

    Attributes:
        lost: accepted, and the payer's process never ended.
        duplicated: those for which a process was started or completed, or a job completed, other than once.
        examples: a few of both, with what is wrong.
    """

    payments: int
    events: int
    log_bytes: int
    lost: int
    duplicated: int
    examples: list[str]


@dataclass(slots=True)
class Ledger:
    """Takes entries in order; ``digest`` tells whether two replicas' logs are the same."""

    last_index: int = 0
    _digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    _runs: dict[int, _Run] = field(default_factory=dict)
    _of: dict[str, list[_Run]] = field(default_factory=dict)
    _bits: dict[tuple[str, str], int] = field(default_factory=dict)
    _wrong: dict[str, str] = field(default_factory=dict)
    _events: int = 0
    _bytes: int = 0

    @property
    def digest(self) -> str:
        """Of all entries so far, with their indices."""
        return self._digest.hexdigest()

    def take(self, index: int, data: bytes, *, digest_only: bool = False) -> None:
        """Take the next entry.

        Args:
            index: its index in the log.
            data: the entry.
            digest_only: compare it only, as of another replica.
        """
        self.last_index = index
        self._digest.update(index.to_bytes(8, "big"))
        self._digest.update(len(data).to_bytes(8, "big"))
        self._digest.update(data)
        if not digest_only:
            self._bytes += len(data)
            self._take_events(data)

    def verdict(self, accepted: Collection[str]) -> Verdict:
        """Judge the payments of the log whose ids are among ``accepted``."""
        lost, wrong = [], {}
        for payment in accepted:
            runs = self._of.get(payment, [])
            if not any(run.process == PAYER and run.ended for run in runs):
                lost.append(payment)
                continue
            found = self._wrong.get(payment) or _what_is_wrong(runs)
            if found:
                wrong[payment] = found
        examples = [f"{payment}: lost" for payment in lost[:SHOWN_MAX]]
        examples += [f"{payment}: {text}" for payment, text in list(wrong.items())[:SHOWN_MAX]]
        return Verdict(len(self._of), self._events, self._bytes, len(lost), len(wrong), examples)

    def _take_events(self, data: bytes) -> None:
        events = decode_entry(data).events
        self._events += len(events)
        for event in events:
            if isinstance(event, InstanceStarted):
                run = self._runs[event.instance] = _Run(event.payment, event.process)
                self._of.setdefault(event.payment, []).append(run)
            elif isinstance(event, InstanceCompleted):
                self._runs[event.instance].ended += 1
            elif isinstance(event, JobCompleted):
                run = self._runs[event.instance]
                bit = self._bits.setdefault((run.process, event.element), len(self._bits))
                if run.done >> bit & 1:
                    self._wrong[run.payment] = f"{run.process}: job {event.element} completed twice"
                run.done |= 1 << bit


def _what_is_wrong(runs: list[_Run]) -> str:
    for process, jobs in JOBS_OF.items():
        own = [run for run in runs if run.process == process]
        if len(own) != 1:
            return f"{process}: started {len(own)} times"
        if own[0].ended != 1:
            return f"{process}: completed {own[0].ended} times"
        if own[0].done.bit_count() != jobs:
            return f"{process}: {own[0].done.bit_count()} of {jobs} jobs completed"
    return ""
