"""How much a batch may hold during a flood: so much that who waits for it hardly notices the others in it.

A payment is a chain of some twenty commands, and each waits for one round: a batch is decided, logged and
committed. A quiet round takes about as long as the log; everything in its batch makes it longer. Others'
payments take longer by the same factor as the rounds, so that a bound on what a round may take beyond a quiet
one bounds what a flood does to them. It costs the flood most of its throughput, for the engine waits for the
log more often than it decides. Therefore full batches are the rule, and this is for floods
(``Admission.is_crowded``).
"""

from typing import Final

from payhub_engines.server.admission import Admission
from payhub_engines.server.waiting import COST_MIN, Queue, Waiting

COMMANDS_A_BATCH_MAX: Final = 256
FULL_WAITING: Final = 128  # commands of ordinary size; more are a flood, where other tenants want little
GRACE: Final = 0.1  # a crowded round may take so much longer than a quiet one; the goal for others is 0.5
QUIET_COST: Final = 4 * COST_MIN  # what a round holds that counts as quiet
QUIET_ROUNDS: Final = 64  # the mean is of about so many: the clock counts whole milliseconds
QUIET_ROUNDS_MIN: Final = 16  # before, the mean is not known
QUIET_MS: Final = 2.0  # where none was seen yet
QUIET_MS_MIN: Final = 0.3
QUIET_MS_MAX: Final = 20.0  # a slower log does not make longer batches fair
PROBE_EVERY: Final = 32  # of crowded rounds one takes a single turn of each: else none would be quiet
PROBE_FIRST_EVERY: Final = 2  # until the mean is known
OUTLIER: Final = 3  # a round counts at most so many times what was expected
OUTLIER_MS: Final = 3  # and so much in any case
GRANT_MIN: Final = 4 * COST_MIN  # even a flood goes on
GRANT_MAX: Final = 256 * COST_MIN
KEPT: Final = 0.98  # of what is known of the cost, when a round is added to it
KNOWN_ROUNDS: Final = 50  # what is assumed before the first round counts like so many
ASSUMED_MS: Final = 0.03 / COST_MIN  # what a unit of cost takes, where nothing was seen yet
MS_A_UNIT_MIN: Final = ASSUMED_MS / 10
MS_A_UNIT_MAX: Final = ASSUMED_MS * 10


class Rounds:
    """Learns what a quiet round takes and what each command adds, and grants accordingly."""

    def __init__(self, queue: Queue, admission: Admission) -> None:
        """Begin with assumptions.

        Args:
            queue: holds what waits.
            admission: tells of floods, and is told when the engine is full.
        """
        self._queue = queue
        self._admission = admission
        self._quiet_ms = QUIET_MS
        self._quiet_cost = 0.0
        self._quiet_rounds = 0
        self._is_probe = False
        self._cost = float(KNOWN_ROUNDS * QUIET_COST)
        self._cost_ms = self._cost * ASSUMED_MS
        self._granted = 0

    def take(self) -> list[Waiting]:
        """Take what is decided next: all that waits, or during a flood what others do not notice."""
        if len(self._queue) > FULL_WAITING:
            self._admission.note_full()
        cost_max = self.grant() if self._admission.is_crowded else None
        return self._queue.take(COMMANDS_A_BATCH_MAX, cost_max, self._admission.is_flooding)

    def settle(self, batch: list[Waiting], took_ms: int) -> None:
        """Learn from a batch that was decided and committed in so long."""
        cost = self._queue.settle(batch)
        if cost > FULL_WAITING * COST_MIN:
            self._admission.note_full()
        self.observe(cost, took_ms)

    @property
    def is_known(self) -> bool:
        """Whether enough quiet rounds were seen."""
        return self._quiet_rounds >= QUIET_ROUNDS_MIN

    @property
    def quiet_ms(self) -> float:
        """What a round takes that decides next to nothing."""
        return min(max(self._quiet_ms, QUIET_MS_MIN), QUIET_MS_MAX) if self.is_known else QUIET_MS

    @property
    def ms_a_unit(self) -> float:
        """What a unit of cost adds to a round."""
        return min(max(self._cost_ms / self._cost, MS_A_UNIT_MIN), MS_A_UNIT_MAX)

    def observe(self, cost: int, took_ms: int) -> None:
        """Take note of a round.

        Args:
            cost: of what was decided, as ``Queue.settle`` tells.
            took_ms: from the first decision until all was answered.
        """
        # A process that waits for the processor, or a disk that hesitates, tells nothing about commands.
        expected_ms = self.quiet_ms + max(cost - self._quiet_cost, 0.0) * self.ms_a_unit
        took_ms = min(took_ms, max(int(OUTLIER * expected_ms), OUTLIER_MS))
        if cost <= QUIET_COST or self._is_probe:
            self._is_probe = False
            self._quiet_rounds += 1
            part = 1 / min(self._quiet_rounds, QUIET_ROUNDS)
            self._quiet_ms += (took_ms - self._quiet_ms) * part
            self._quiet_cost += (cost - self._quiet_cost) * part
        elif self.is_known:  # else nobody knows what the log took of it
            self._cost = self._cost * KEPT + max(cost - self._quiet_cost, COST_MIN)
            self._cost_ms = self._cost_ms * KEPT + took_ms - self.quiet_ms

    def grant(self) -> int:
        """Return what the next crowded round may cost beyond one turn of each tenant."""
        self._granted += 1
        every = PROBE_EVERY if self.is_known else PROBE_FIRST_EVERY
        self._is_probe = self._granted % every == 0
        if self._is_probe:
            return 0
        granted = GRACE * self.quiet_ms / self.ms_a_unit
        return int(min(max(granted, GRANT_MIN), GRANT_MAX))
