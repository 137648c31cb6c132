"""What a run stands in: sizes that a seed chooses, the engine's own log, a bound on real time."""

import contextlib
import logging
import random
import signal
from collections.abc import Iterator
from unittest import mock

from simulation.engine_loop import SpinningError

from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.overlay import RaftCore
from payhub_engines.server import machine, rounds

REAL_S_MAX = 40  # a run takes seconds; what never gives the others a turn must end, too


class _Errors(logging.Handler):
    """Takes what the engine logs as its own defect."""

    def __init__(self, seen: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self.seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        # Of a disk that fails, and of what is cancelled with a process, it has to tell.
        kind = record.exc_info[0] if record.exc_info else None
        if (
            record.name.endswith((".stream", ".commits", ".jobs"))
            and "lost its worker" not in record.msg
            and kind is not TimeoutError  # a connector that never answers
        ):
            self.seen.append(record)


@contextlib.contextmanager
def chosen_sizes(chooser: random.Random) -> Iterator[None]:
    """Make batches, segments and writes as large or small as a seed says, so that their edges are met."""
    journal = {"segment_bytes": chooser.choice([3_000, 40_000]), "cache_bytes": chooser.choice([400, 80_000])}
    append = {"append_entries_max": chooser.choice([1, 4, 4096])}
    with (
        mock.patch.object(rounds, "COMMANDS_A_BATCH_MAX", chooser.choice([1, 3, 256])),
        mock.patch.object(machine, "FLUSH_MS", chooser.choice([0, 50, 500, 5_000])),
        mock.patch.object(machine, "BEHIND_MS", chooser.choice([0, 30, 300, 3_000])),
        mock.patch.object(machine, "BEHIND_BYTES_MAX", chooser.choice([2_000, 100_000])),
        mock.patch.object(machine, "REPLAY_BYTES", chooser.choice([500, 100_000])),
        mock.patch.dict(Journal.__init__.__kwdefaults__, journal),
        mock.patch.dict(RaftCore.__init__.__kwdefaults__, append),
    ):
        yield


@contextlib.contextmanager
def engine_log() -> Iterator[list[logging.LogRecord]]:
    logger, seen = logging.getLogger("payhub_engines"), list[logging.LogRecord]()
    handler, before = _Errors(seen), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield seen
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


@contextlib.contextmanager
def bounded_time() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise SpinningError(f"the run takes longer than {REAL_S_MAX} s")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, REAL_S_MAX)  # processor time, so that a busy machine counts less
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
