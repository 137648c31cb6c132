"""What an engine must keep, whatever fails: checked against all that its replicas have committed."""

from collections import Counter
from dataclasses import dataclass

import msgspec
from simulation.engine_limits import Counted
from simulation.engine_traces import Traces
from simulation.raft_checks import SafetyViolationError

from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.events import decode_entry
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.records import Counts
from payhub_engines.core.state import State, digest
from payhub_platform.contracts.audit import AuditBatch


@dataclass(frozen=True)
class Sight:
    """What one read has shown: the position it was at, and of some payments their instance and outcome."""

    next_position: int
    payments: dict[tuple[str, str, str], tuple[int, str] | None]


class History:
    """What all replicas together have done; it knows more than any of them.

    Attributes:
        violation: the first thing that must never happen.
        entries: of each index that holds one.
        acknowledged: the instance of each payment whose client was told that it is safe.
        floor: the lowest position that a read which begins now must show.
    """

    def __init__(self, xmls: list[bytes], seen: Counter[str]) -> None:
        self.seen = seen
        self.violation: BaseException | None = None
        self.entries: dict[int, bytes] = {}
        self.last_index = 0
        self.traces = Traces(xmls)
        self.acknowledged: dict[tuple[str, str, str], int] = {}
        self.floor = 0
        self.counted = Counted(seen)
        self._index_of: list[tuple[int, int]] = []  # last position and index of each entry

    def fail(self, error: BaseException) -> None:
        if self.violation is None:
            self.violation = error

    def apply(self, replica: str, index: int, data: bytes) -> None:
        """Take note that a replica is about to apply an entry, as committed."""
        known = self.entries.get(index)
        if known is None and index > self.last_index:
            self._take(index, data)
        elif known != data:
            error = SafetyViolationError(f"{replica} applied another entry {index} than others did")
            self.fail(error)
            raise error

    def _take(self, index: int, data: bytes) -> None:
        self.entries[index] = data
        self.last_index = index
        try:
            entry = decode_entry(data)
            self.traces.take(entry)
            self.counted.take(entry)
        except SafetyViolationError as error:
            self.fail(error)
            raise
        self._index_of.append((self.traces.next_position - 1, index))

    def index_of(self, position: int) -> int:
        """Return the index of the last entry whose positions are all at or below one."""
        return max((index for last, index in self._index_of if last <= position), default=0)

    def acknowledge(self, place: tuple[str, str, str], key: int) -> None:
        """Take note that a client was told that its payment is taken."""
        trace = self.traces.instances.get(key)
        if trace is None or self.traces.by_payment.get(place) is not trace:
            self.fail(SafetyViolationError(f"{place} was acknowledged as {key}, which is not committed"))
        elif self.acknowledged.setdefault(place, key) != key:
            self.fail(SafetyViolationError(f"{place} was acknowledged as two instances"))
        else:
            self.floor = max(self.floor, trace.begun_at)

    def saw(self, floor: int, sight: Sight) -> None:
        """Check what a read has shown that began when ``floor`` was the lowest position to show."""
        self.seen["read"] += 1
        if not floor < sight.next_position <= self.traces.next_position:
            detail = f"a read showed position {sight.next_position - 1}, at least {floor} was known and "
            self.fail(SafetyViolationError(f"{detail}{self.traces.next_position - 1} committed"))
            return
        self.floor = max(self.floor, sight.next_position - 1)
        for place, shown in sight.payments.items():
            trace = self.traces.by_payment.get(place)
            expected = None
            if trace is not None and trace.begun_at < sight.next_position:
                has_ended = 0 < trace.ended_at < sight.next_position
                expected = (trace.key, trace.outcome if has_ended else "")
            if shown != expected:
                self.fail(SafetyViolationError(f"a read showed {shown} of {place}, not {expected}"))

    def check_states(self, states: dict[str, tuple[int, str, Counts]]) -> None:
        """Check the states of all replicas after all: the last entry applied, a digest, what is open."""
        store = MemoryStore()
        state = State(store)
        for data in self.entries.values():
            apply_entry(decode_entry(data), state)
        self.counted.check(state)
        write(state, store)
        expected = digest(store)
        for replica, (index, found, counts) in states.items():
            if index < self.last_index:
                raise SafetyViolationError(f"{replica} ended at entry {index}, not {self.last_index}")
            if found != expected:
                raise SafetyViolationError(f"{replica} ended in another state than a replay of the log")
            if any(msgspec.structs.astuple(counts)):
                raise SafetyViolationError(f"{replica} has something left over: {counts}")

    def check_end(self) -> None:
        """Check that all instances have ended, and each acknowledged payment is there."""
        traces = self.traces
        for trace in traces.instances.values():
            if trace.open or not trace.outcome:
                raise SafetyViolationError(f"instance {trace.key} has not ended: {trace.open}")
        if traces.kept:
            raise SafetyViolationError(f"messages are kept for ever: {list(traces.kept)}")
        for place, key in self.acknowledged.items():
            if traces.by_payment[place].key != key:
                raise SafetyViolationError(f"{place} was acknowledged as {key}, which is not there")

    def check_handover(self, engine: str, neighbour: "History") -> None:
        """Check that all that this engine has queued for its neighbour took effect there, once."""
        queued = {(f"{engine}/1", sequence) for _, sequence in self.traces.queued}
        if queued != neighbour.traces.received:
            raise SafetyViolationError(f"handed over {queued}, received {neighbour.traces.received}")

    def check_audit(self, exported: list[AuditBatch]) -> None:
        """Check that what was exported is the log, byte for byte: all, in order, once."""
        log, position = list(self.entries.values()), 1
        found: list[bytes] = []
        for batch in exported:
            if batch.first_position != position:
                raise SafetyViolationError(f"the export ends before {position}, then {batch.first_position}")
            found += batch.entries
            position += batch.count
        if found != log:
            raise SafetyViolationError(f"{len(found)} entries were exported, the log has {len(log)}")
