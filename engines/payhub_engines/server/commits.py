"""Decides what waits, in order, as entries that fit the log, and answers once they are committed."""

import logging
from typing import Final, NamedTuple

from payhub_engines.consensus.errors import EntryTooLargeError
from payhub_engines.consensus.log import ENTRY_BYTES_MAX, ReplicatedLog
from payhub_engines.core.errors import CommandTooLargeError
from payhub_engines.core.events import LogEntry, encode_entry
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Reply
from payhub_engines.server.machine import Machine
from payhub_engines.server.waiting import Waiting
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = ENTRY_BYTES_MAX // 4
"""An entry takes no further command beyond; what one command may add (``core.limits``) fits into the rest."""

Decided = tuple[Waiting, Reply]


class Committed(NamedTuple):
    """What became of a batch.

    Attributes:
        unlogged: replies that rest on the state alone, for nothing was to be logged.
        rest: did not fit into the entry, and was not decided.
        is_current: whether something was committed after ``unlogged``, so that they are current.
    """

    unlogged: list[Decided]
    rest: list[Waiting]
    is_current: bool


class CommandFailedError(PayhubError):
    """A command met a defect of the engine; nothing of it was done."""

    title = "The command failed"

    def __init__(self) -> None:
        detail = "The engine could not decide this command; it is in the engine's log."
        super().__init__("command-failed", detail)


class _UndecidedError(Exception):
    """Nothing of a part was done: because of the command ``at`` a place, or of all together (None)."""

    def __init__(self, answer: PayhubError, at: int | None) -> None:
        super().__init__(answer.code)
        self.answer = answer
        self.at = at


class Commits:
    """Turns commands into committed entries; one batch at a time."""

    def __init__(self, machine: Machine, log: ReplicatedLog, clock: Clock) -> None:
        self._machine = machine
        self._log = log
        self._clock = clock

    async def commit(self, batch: list[Waiting]) -> Committed:
        """Decide commands, and answer those whose events are committed.

        One that meets a defect, or is too large for the log, is answered with its error; the others are
        decided again without it. What fits no more into an entry comes back, so that others get a turn.

        Raises:
            UnavailableError: the log took an entry not, or nobody knows; what follows was not decided.
        """
        unlogged: list[Decided] = []
        is_current = False
        at_once = len(batch)
        batch = list(batch)
        while batch:
            part = batch[:at_once]
            try:
                replies, is_logged = await self._commit_part(part)
            except _UndecidedError as undecided:
                if undecided.at is None and len(part) > 1:
                    at_once = len(part) // 2
                else:
                    batch.pop(undecided.at or 0).answer(undecided.answer)
                continue
            decided = zip(part, replies, strict=False)  # those that did not fit any more are next
            if is_logged:
                for waiting, reply in decided:
                    waiting.answer(reply)
            else:
                unlogged += decided
            is_current = is_logged
            is_full = len(replies) < len(part)
            batch = batch[len(replies) :]
            at_once = len(batch)
            if is_full:
                break
        return Committed(unlogged, batch, is_current)

    async def _commit_part(self, part: list[Waiting]) -> tuple[list[Reply], bool]:
        """Decide as many as fit into one entry, and commit it; tell whether there was anything to log."""
        machine = self._machine
        machine.begin()
        try:
            replies, entry, data = self._decide(part)
        except _UndecidedError:
            # Half-decided, the state is useless.
            machine.rebuild()
            raise
        if entry is None:
            machine.settle()
            return replies, False
        machine.decided(entry, data)
        try:
            await self._log.append(data)
        except EntryTooLargeError as error:
            machine.rebuild()
            raise _UndecidedError(error, None) from error
        except BaseException:
            machine.rebuild()
            raise
        return replies, True

    def _decide(self, part: list[Waiting]) -> tuple[list[Reply], LogEntry | None, bytes]:
        deciding = Batch(self._machine.state, self._clock())
        replies: list[Reply] = []
        at: int | None = 0
        try:
            for at, waiting in enumerate(part):  # noqa: B007 - tells where it stopped
                if waiting.command is not None:
                    before = deciding.size
                    replies.append(deciding.decide(waiting.command))
                    waiting.size = deciding.size - before
                if deciding.size >= BATCH_BYTES_MAX:
                    break
            at = None
            entry = deciding.seal()
            return replies, entry, b"" if entry is None else encode_entry(entry)
        except CommandTooLargeError as error:
            raise _UndecidedError(error, at) from error
        except Exception as error:
            # A defect must stop neither the engine nor the other commands.
            _logger.exception("a command of a batch of %d failed", len(part))
            raise _UndecidedError(CommandFailedError(), at) from error
